"""Every random number of training and sampling, as a pure function of what it is for.

Nothing here keeps a state: noise, timestep, data order and first adapter weights are read off a counter-based
generator (Philox) whose key is the SHA-256 of the purpose and the ids. A draw therefore does not depend on
which draws were made before it, on the batch it lands in, or on the number of processes. That buys resume to
the same bits, and reference errors that can be computed once and kept.
"""

import hashlib
import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

_SMALLEST = 2.0**-24
_STANDARD_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestepConfig:
    """How the time t in (0, 1) of a draw is chosen: 0 is the clean clip, 1 is pure noise."""

    density: Literal["uniform", "logit_normal"] = "logit_normal"
    """`logit_normal` puts most draws at middle noise (Stable Diffusion 3, arXiv 2403.03206, section 3.1)."""
    mean: float = 0.0
    """Of the logit; used by `logit_normal` only."""
    std: float = 1.0
    """Of the logit; used by `logit_normal` only."""
    shift: float = 1.0
    """s in t' = s t / (1 + (s - 1) t): above 1 moves draws to higher noise, as longer latents need."""
    strata: int = 1
    """Successive draws of a pair take this many equal parts of the distribution in turn; 1 leaves them
    free."""

    def __post_init__(self) -> None:
        if self.density not in ("uniform", "logit_normal"):
            raise ValueError(f"density is {self.density!r}; allowed are 'uniform' and 'logit_normal'")
        if self.std <= 0 or self.shift <= 0:
            raise ValueError(f"std and shift must be above 0, got std={self.std}, shift={self.shift}")
        if self.strata < 1:
            raise ValueError(f"strata must be 1 or more, got {self.strata}")


def generator(*purpose: object) -> np.random.Generator:
    """Return a generator whose whole stream is fixed by `purpose` (compared by its text)."""
    text = "\x1f".join(str(part) for part in purpose)
    digest = hashlib.sha256(text.encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


def pair_noise(run_seed: int, pair_id: str, draw_number: int, shape: tuple[int, ...]) -> Array:
    """Return the standard normal noise of one draw of one pair; winner and loser share it."""
    return generator("noise", run_seed, pair_id, draw_number).standard_normal(shape, dtype=np.float32)


def pair_timestep(run_seed: int, pair_id: str, draw_number: int, config: TimestepConfig) -> float:
    """Return t in (0, 1) of one draw of one pair; winner and loser share it."""
    position = _stratum(run_seed, pair_id, draw_number, config.strata)
    inside = generator("timestep", run_seed, pair_id, draw_number).random()
    return _to_timestep((position + inside) / config.strata, config)


def clip_noise(seed: int, shape: tuple[int, ...]) -> Array:
    """Return the starting noise of a sampled clip: a function of the clip's own seed and shape alone."""
    return generator("clip", seed).standard_normal(shape, dtype=np.float32)


def weight_noise(run_seed: int, name: str, shape: tuple[int, ...]) -> Array:
    """Return standard normal numbers that start the weights called `name`."""
    return generator("weights", run_seed, name).standard_normal(shape, dtype=np.float32)


def epoch_order(run_seed: int, epoch: int, num_items: int) -> npt.NDArray[np.int64]:
    """Return the order in which epoch `epoch` visits items 0 .. num_items - 1."""
    return generator("order", run_seed, epoch).permutation(num_items)


def _stratum(run_seed: int, pair_id: str, draw_number: int, strata: int) -> int:
    if strata == 1:
        return 0
    block, place = divmod(draw_number, strata)
    return int(generator("strata", run_seed, pair_id, block).permutation(strata)[place])


def _to_timestep(uniform: float, config: TimestepConfig) -> float:
    u = min(max(uniform, _SMALLEST), 1.0 - _SMALLEST)
    if config.density == "logit_normal":
        u = 1.0 / (1.0 + math.exp(-(config.mean + config.std * _STANDARD_NORMAL.inv_cdf(u))))
    shifted = config.shift * u / (1.0 + (config.shift - 1.0) * u)
    return min(max(shifted, _SMALLEST), 1.0 - _SMALLEST)
