from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.open_pairs import MAX_BLOCK, OpenPairs

RATERS = ("ann", "bob", "cem")


@dataclass(eq=False)
class Listed:
    name: int
    raters: set[str] = field(default_factory=set)


def expected(pairs: dict[tuple[float, int, int], Listed], rater: str, skip: int) -> Listed | None:
    fresh = [pairs[key] for key in sorted(pairs) if rater not in pairs[key].raters]
    return fresh[skip] if skip < len(fresh) else None


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**9), num_steps=st.integers(0, 3 * MAX_BLOCK))
def test_picks_like_a_sorted_scan(seed: int, num_steps: int) -> None:
    rng = Random(seed)
    opened: OpenPairs[Listed] = OpenPairs()
    model: dict[tuple[float, int, int], Listed] = {}
    for number in range(num_steps):
        if model and rng.random() < 0.3:
            key = rng.choice(list(model))
            opened.remove(key)
            del model[key]
        else:
            key = (rng.choice((0.0, -1.0)), rng.randrange(3), number)
            model[key] = Listed(number, {rater for rater in RATERS if rng.random() < 0.5})
            opened.add(key, model[key])
    assert len(opened) == len(model)
    for rater in (*RATERS, "new"):
        assert opened.num_new(rater) == sum(rater not in pair.raters for pair in model.values())
        for skip in (0, 1, 7, len(model)):
            assert opened.pick(rater, skip=skip) is expected(model, rater, skip)


def test_a_rater_who_has_had_nearly_everything_is_answered_from_few_pairs() -> None:
    """Structure, not time: blocks that hold nothing new are passed over without looking at their pairs."""

    @dataclass(eq=False)
    class Watched(Listed):
        def __getattribute__(self, name: str) -> object:
            if name == "raters":
                looks.append(1)
            return super().__getattribute__(name)

    looks: list[int] = []
    opened: OpenPairs[Listed] = OpenPairs()
    for number in range(20_000):
        opened.add((0.0, 0, number), Watched(number, {"ann"} if number != 19_500 else set()))
    looks.clear()
    found = opened.pick("ann")
    assert found is not None and found.name == 19_500
    assert len(looks) <= MAX_BLOCK
