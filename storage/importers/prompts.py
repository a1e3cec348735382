"""Prompts from a CSV or JSON-lines file with the columns `prompt`, `category` and optionally `split`."""

from pathlib import Path

from storage.importers.report import ImportReport
from storage.importers.rows import RowRefused, categories_of, prompt_of, read_rows, text_of
from storage.records import Prompt, Split, record_id
from storage.store import Store

SOURCE = "prompts"


def import_prompts(store: Store, file: Path) -> ImportReport:
    """Import prompts to sample from; the same text in the same categories and split goes in once.

    `category` may name several, the main one first, with `;` between them. `split` is `train` (the default) or
    `eval`: prompts of `eval` are held out for reports.

    Raises:
        ImportRefused: The file cannot be read, is of another type, or lacks the column `prompt`.
    """
    report = ImportReport()
    prompts: dict[str, Prompt] = {}
    for row in read_rows(file, required=("prompt", "category"), report=report):
        try:
            prompt = _prompt(row.values)
        except RowRefused as error:
            report.refuse(file, row.line, str(error))
        else:
            prompts.setdefault(prompt.prompt_id, prompt)
    report.write(store, "prompts", list(prompts.values()))
    return report


def _prompt(values: dict[str, object]) -> Prompt:
    text = prompt_of(values)
    categories = categories_of(values)
    if not categories:
        raise RowRefused("category is empty; give at least one, such as 'slide'")
    split = text_of(values, "split") or Split.TRAIN
    if split not in list(Split):
        raise RowRefused(f"split is {split!r}; it must be train or eval")
    return Prompt(
        prompt_id=record_id("prompt", SOURCE, text, *categories, split),
        text=text,
        categories=categories,
        source=SOURCE,
        split=Split(split),
    )
