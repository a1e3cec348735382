import pytest

from app.passwords import MAX_LENGTH, hash_password, password_matches


def test_matches_the_password_that_was_hashed_and_no_other():
    hashed = hash_password("correct horse")

    assert hashed.startswith("$argon2id$")
    assert password_matches(hashed, "correct horse")
    assert not password_matches(hashed, "correct horsf")
    assert not password_matches(hashed, "")


def test_gives_each_hash_its_own_salt():
    assert hash_password("correct horse") != hash_password("correct horse")


@pytest.mark.parametrize("password", ["", "short", "x" * (MAX_LENGTH + 1)])
def test_refuses_a_password_when_its_length_is_out_of_range(password):
    with pytest.raises(ValueError, match=f"{len(password)} characters"):
        hash_password(password)


@pytest.mark.parametrize("stored", ["", "not a hash"])
def test_matches_nothing_when_the_account_has_no_usable_hash(stored):
    # The hash that stands in for a missing account's must not be a way in.
    assert not password_matches(stored, "an account that does not exist")
    assert not password_matches(stored, "")
