"""Reading generators."""

from storage.errors import UnknownName
from storage.reading import fetch
from storage.records import Generator
from storage.store import Store


def base_of(store: Store, generator: Generator) -> Generator:
    """Return the base model at the root of a generator's lineage: itself, where it has no parent."""
    by_id = {known.generator_id: known for known in list_generators(store)}
    while generator.parent_id is not None:
        generator = by_id[generator.parent_id]
    return generator


def list_generators(store: Store) -> list[Generator]:
    """Return all generators in the order they were added."""
    return fetch(store, Generator)


def find_generator(store: Store, name: str) -> Generator:
    """Return the generator with this name, id or alias.

    Exact names and ids go first; then case does not matter.

    Raises:
        UnknownName: There is none.
    """
    known = list_generators(store)
    wanted = name.casefold()
    for generator in known:
        if name in (generator.name, generator.generator_id):
            return generator
    for generator in known:
        if wanted == generator.name.casefold() or wanted in map(str.casefold, generator.aliases):
            return generator
    raise UnknownName("generator", name, [generator.name for generator in known])
