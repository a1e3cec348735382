import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.statistics import wilson_interval, win_rate


def test_wilson_interval_of_a_worked_example() -> None:
    # z = 1.959964, p = 0.8, n = 10: (0.8 + 0.19207 +- 1.959964 * sqrt(0.016 + 0.0096036)) / 1.384146
    #                              = (0.99207 +- 0.313617) / 1.384146
    low, high = wilson_interval(8, 10)
    assert (low, high) == (pytest.approx(0.490162, abs=1e-5), pytest.approx(0.943318, abs=1e-5))


def test_wilson_interval_of_nothing_and_of_everything() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    # With no success the upper end is z^2 / (n + z^2) = 3.841459 / 23.841459.
    assert wilson_interval(0, 20) == (0.0, pytest.approx(0.161125, abs=1e-5))
    assert wilson_interval(20, 20) == (pytest.approx(1 - 0.161125, abs=1e-5), 1.0)


@given(num=st.integers(1, 500), data=st.data())
def test_wilson_interval_is_symmetric_and_holds_the_share(num: int, data: st.DataObject) -> None:
    wins = data.draw(st.integers(0, num))
    low, high = wilson_interval(wins, num)
    mirror = wilson_interval(num - wins, num)
    assert 0 <= low <= wins / num <= high <= 1
    assert (low, high) == (pytest.approx(1 - mirror.high), pytest.approx(1 - mirror.low))


@pytest.mark.parametrize(("wins", "num"), [(-1, 5), (6, 5), (0, -1)])
def test_wilson_interval_refuses_impossible_counts(wins: int, num: int) -> None:
    with pytest.raises(ValueError, match="successes"):
        wilson_interval(wins, num)


def test_win_rate_counts_a_tie_as_half() -> None:
    assert win_rate(3, 2, 5) == 0.4
    assert win_rate(0, 4, 0) == 0.5
    with pytest.raises(ValueError, match="at least one"):
        win_rate(0, 0, 0)
