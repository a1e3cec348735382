"""What a demo or a series of rounds reports, as JSON and as a few lines of text."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.evaluation import CategoryResult


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopReport:
    """Seconds and, per category, the newest round's result against the base model."""

    seconds: Mapping[str, float]
    """`loop` in all, `install` where known, and the loop's steps."""
    rounds: Mapping[str, tuple[CategoryResult, ...]]
    """Per category, the result of each round in order; the last is the headline."""

    def as_dict(self) -> dict[str, object]:
        """Return plain JSON types."""
        return {
            "seconds": {name: round(value, 2) for name, value in self.seconds.items()},
            "categories": {
                category: {**results[-1].as_dict(), "rounds": [result.as_dict() for result in results]}
                for category, results in self.rounds.items()
                if results
            },
        }

    def as_json(self) -> str:
        """Return the report as indented JSON."""
        return json.dumps(self.as_dict(), indent=2) + "\n"

    def as_text(self) -> str:
        """Return the report as lines for a terminal."""
        lines = [f"loop: {self.seconds.get('loop', 0.0):.0f} s"]
        for category, results in self.rounds.items():
            lines += [_line(category, number, result) for number, result in enumerate(results, start=1)]
        return "\n".join(lines)


def check_report_path(path: Path | None) -> None:
    """Refuse a place where no report can be written, before the hours that it is about.

    Raises:
        ValueError: The folder is missing or cannot be written, or the path is a folder.
    """
    if path is None:
        return
    if path.is_dir():
        raise ValueError(f"the report {path} is a folder: name a file in it")
    if not path.parent.is_dir():
        raise ValueError(f"the report {path} cannot be written: make the folder {path.parent} first")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ValueError(f"the report {path} cannot be written: no permission; choose another place")


def _line(category: str, number: int, result: CategoryResult) -> str:
    low, high = result.ci95
    parts = ", ".join(f"{part} {result.base[part]:.2f} -> {result.tuned[part]:.2f}" for part in result.base)
    return (
        f"{category}, round {number}: tuned beats base in {result.win_rate:.0%} of {result.num_pairs} "
        f"held-out pairs (95 % interval {low:.0%} to {high:.0%}); {parts}"
    )
