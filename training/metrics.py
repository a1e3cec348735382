"""The run's measurements, one JSON object per line: `kind` is `train` (one per step) or `held_out`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from training.files import writing_file
from training.losses import DpoTerms, PairErrors

Line = dict[str, float | int | str]


class MetricsFile:
    """Appends lines, each flushed at once; a line cut short by a crash is dropped when read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Add one line."""
        line = json.dumps({"kind": kind, "step": step, **values})
        with self._path.open("a") as file:
            file.write(line + "\n")

    def rewind(self, step: int) -> None:
        """Drop what was measured after `step`: the run goes on from there."""
        lines = [json.dumps(line) for line in read_metrics(self._path) if int(line["step"]) <= step]
        with writing_file(self._path) as partial:
            partial.write_text("".join(line + "\n" for line in lines))


def read_metrics(path: Path) -> Iterator[Line]:
    """Yield the whole lines of a metrics file; nothing where there is no file."""
    if not path.is_file():
        return
    for text in path.read_text().splitlines(keepends=True):
        if text.endswith("\n"):
            yield json.loads(text)


def train_values(terms: DpoTerms, errors: PairErrors, factors: Tensor) -> dict[str, Tensor]:
    """Return what is logged of one forward, each averaged over its pairs; winner and loser always apart."""
    values = {
        "loss": terms.loss,
        "accuracy": terms.accuracy.mean(),
        "inside": terms.inside.mean(),
        "win_gap": terms.win_gap.mean(),
        "lose_gap": terms.lose_gap.mean(),
        "policy_winner": errors.policy_winner.mean(),
        "policy_loser": errors.policy_loser.mean(),
        "reference_winner": errors.reference_winner.mean(),
        "reference_loser": errors.reference_loser.mean(),
        "safeguard": factors.mean(),
    }
    return {name: value.detach().float() for name, value in values.items()}
