import pytest

from app.guess_limit import GuessLimit


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def limit(clock):
    return GuessLimit(max_per_account=5, max_per_address=12, lock_s=300.0, clock=clock)


def guesses_allowed(limit, *, account, address, tries):
    return sum(limit.begin(account=account, address=address) == 0 for _ in range(tries))


def test_locks_an_account_for_an_address_after_five_guesses(limit, clock):
    assert guesses_allowed(limit, account="ann", address="1.1.1.1", tries=20) == 5
    clock.now += 100
    assert limit.begin(account="ann", address="1.1.1.1") == pytest.approx(200)


def test_leaves_others_alone_when_one_account_is_locked(limit):
    guesses_allowed(limit, account="ann", address="1.1.1.1", tries=20)

    assert limit.begin(account="bob", address="1.1.1.1") == 0
    assert limit.begin(account="ann", address="2.2.2.2") == 0


def test_counts_spellings_of_a_name_as_one_account(limit):
    assert guesses_allowed(limit, account="Ann", address="1.1.1.1", tries=3) == 3
    assert guesses_allowed(limit, account="aNN", address="1.1.1.1", tries=9) == 2


def test_unlocks_when_the_time_is_over_even_if_guessing_went_on(limit, clock):
    guesses_allowed(limit, account="ann", address="1.1.1.1", tries=5)
    clock.now += 150
    guesses_allowed(limit, account="ann", address="1.1.1.1", tries=20)
    clock.now += 150

    assert limit.begin(account="ann", address="1.1.1.1") == 0


def test_locks_an_address_that_tries_many_accounts(limit):
    allowed = sum(limit.begin(account=f"user{n}", address="1.1.1.1") == 0 for n in range(40))

    assert allowed == 12


def test_forgets_failures_when_the_right_password_comes(limit):
    guesses_allowed(limit, account="ann", address="1.1.1.1", tries=4)
    limit.succeeded(account="ann", address="1.1.1.1")

    assert guesses_allowed(limit, account="ann", address="1.1.1.1", tries=20) == 5
