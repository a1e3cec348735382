"""Import of prompts to sample from: CSV or JSON lines with `prompt`, `category` and, if wanted, `split`."""

from pathlib import Path

from storage.importers.report import ImportReport, Progress, no_progress
from storage.importers.rows import Row, RowRefused, categories_of, prompt_of, read_rows, text_of
from storage.prompts import get_prompts
from storage.records import Prompt, Split, record_id
from storage.store import Store

SOURCE = "prompts"


def import_prompts(store: Store, file: Path, *, progress: Progress = no_progress) -> ImportReport:
    """Import the prompts of a file; those there already stay as they are.

    A prompt is the same as another when its text and its categories are. One that is there already, or comes
    twice in the file, with another split is refused: a prompt that moves between training and evaluation
    would spoil the evaluation.

    Raises:
        ImportRefused: the file cannot be read or has no prompts column.
    """
    report = ImportReport()
    lines: dict[str, int] = {}
    prompts: dict[str, Prompt] = {}
    for row in read_rows(file, required=("prompt",), report=report):
        try:
            prompt = _prompt(row)
            _check_split(prompt, prompts.get(prompt.prompt_id), f"in line {lines.get(prompt.prompt_id)}")
        except RowRefused as refusal:
            report.refuse(file, row.line, str(refusal))
            continue
        report.skipped += prompt.prompt_id in prompts
        prompts.setdefault(prompt.prompt_id, prompt)
        lines.setdefault(prompt.prompt_id, row.line)
    for prompt_id, stored in get_prompts(store, list(prompts)).items():
        try:
            _check_split(prompts[prompt_id], stored, "in the workspace")
        except RowRefused as refusal:
            report.refuse(file, lines[prompt_id], str(refusal))
    report.write(store, "prompts", list(prompts.values()), progress=progress)
    return report


def plain_prompt(
    text: str, categories: tuple[str, ...], *, source: str, split: Split = Split.TRAIN
) -> Prompt:
    """Return the record of a plain text: the same text with the same categories is the same prompt."""
    return Prompt(
        prompt_id=record_id("prompt", source, text, *categories),
        text=text,
        categories=categories,
        source=source,
        split=split,
    )


def _prompt(row: Row) -> Prompt:
    split = text_of(row.values, "split").lower() or Split.TRAIN
    if split not in list(Split):
        raise RowRefused(f"split is {split!r}; allowed: {', '.join(Split)}")
    return plain_prompt(prompt_of(row.values), categories_of(row.values), source=SOURCE, split=Split(split))


def _check_split(prompt: Prompt, other: Prompt | None, where: str) -> None:
    if other is not None and other.split is not prompt.split:
        raise RowRefused(f"this prompt is {prompt.split.value!r} here and {other.split.value!r} {where}")
