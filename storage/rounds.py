"""Reading datasets, runs and the round ledger."""

from storage.errors import UnknownName
from storage.reading import Where, fetch
from storage.records import DatasetRecord, RoundRecord, RunEnd, RunRecord
from storage.store import Store


def list_rounds(store: Store, *, category: str | None = None) -> list[RoundRecord]:
    """Return the ledger's lines in the order they were written."""
    return fetch(store, RoundRecord, Where().add("category = ?", category))


def list_runs(store: Store) -> list[RunRecord]:
    """Return the training runs in the order they started."""
    return fetch(store, RunRecord)


def run_ends(store: Store) -> dict[str, RunEnd]:
    """Return the newest end of each run that has one, by run id."""
    return {end.run_id: end for end in fetch(store, RunEnd)}


def list_datasets(store: Store, *, category: str | None = None) -> list[DatasetRecord]:
    """Return the exported datasets in the order they were made."""
    return fetch(store, DatasetRecord, Where().add("category = ?", category))


def find_dataset(store: Store, name: str) -> DatasetRecord:
    """Return the newest dataset with this name, or the one with this id or start of an id.

    Raises:
        UnknownName: There is none.
    """
    known = list_datasets(store)
    for dataset in reversed(known):
        if dataset.name == name or (len(name) >= 8 and dataset.dataset_id.startswith(name)):
            return dataset
    raise UnknownName("dataset", name, [dataset.name for dataset in known])
