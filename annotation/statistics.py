"""Statistics of comparisons. Closed formulas alone, each with its source."""

import math
from statistics import NormalDist
from typing import NamedTuple


class Interval(NamedTuple):
    """A confidence interval of a share, 0..1."""

    low: float
    high: float


def wilson_interval(successes: float, num: int, *, confidence: float = 0.95) -> Interval:
    """Return the two-sided score interval of a share.

    Wilson, "Probable inference, the law of succession, and statistical inference", 1927, JASA 22. With
    p = successes / num and z the normal quantile:

        (p + z^2 / 2n  +-  z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    Example: 8 of 10 at 95 % gives 0.4902 to 0.9433. A tie may count as half a success. Nothing observed
    (num 0) gives 0 to 1.

    Raises:
        ValueError: fewer than 0 or more than `num` successes, or a confidence outside 0..1.
    """
    if num < 0 or not 0 <= successes <= num:
        raise ValueError(f"{successes} successes of {num}: must be from 0 to the number of trials")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must be between 0 and 1")
    if num == 0:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / num
    middle = share + z * z / (2 * num)
    half = z * math.sqrt(share * (1 - share) / num + z * z / (4 * num * num))
    scale = 1 + z * z / num
    # The ends are 0 and 1 exactly when nothing or everything succeeded; rounding must not say otherwise.
    low = 0.0 if successes == 0 else (middle - half) / scale
    high = 1.0 if successes == num else (middle + half) / scale
    return Interval(low, high)


def win_rate(wins: int, ties: int, losses: int) -> float:
    """Return the share of comparisons won, a tie being half a win.

    Raises:
        ValueError: there were no comparisons.
    """
    num = wins + ties + losses
    if num == 0:
        raise ValueError("no comparisons: a win rate needs at least one")
    return (wins + ties / 2) / num
