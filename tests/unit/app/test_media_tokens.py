from app.media_tokens import MediaTokens


def token(tokens, *, rater="ann", assignment="one", video="left"):
    return tokens.token_for(rater_id=rater, assignment_id=assignment, video_id=video, media_id="m" * 64)


def test_finds_the_media_for_the_rater_it_was_made_for_alone():
    tokens = MediaTokens()
    made = token(tokens)

    assert tokens.find(made, rater_id="ann").media_id == "m" * 64
    assert tokens.find(made, rater_id="bob") is None
    assert tokens.find("unknown", rater_id="ann") is None


def test_gives_two_sides_of_the_same_file_names_with_nothing_in_common():
    tokens = MediaTokens()
    left, right = token(tokens, video="left"), token(tokens, video="right")

    assert left != right
    assert tokens.find(left, rater_id="ann").etag != tokens.find(right, rater_id="ann").etag


def test_gives_the_same_name_when_the_same_assignment_is_shown_again():
    tokens = MediaTokens()

    assert token(tokens) == token(tokens)
    assert token(tokens) != token(tokens, assignment="two")


def test_forgets_the_oldest_of_a_rater_and_nobody_elses():
    tokens = MediaTokens(per_rater=4)
    of_bob = token(tokens, rater="bob")
    made = [token(tokens, assignment=str(number)) for number in range(6)]

    alive = [tokens.find(one, rater_id="ann") is not None for one in made]
    assert alive == [False, False, True, True, True, True]
    assert tokens.find(of_bob, rater_id="bob") is not None
