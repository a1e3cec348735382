from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.served_workspace import Client, ServedFixture, serve_fixture


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., ServedFixture]]:
    """Make a workspace and serve it until the test ends; arguments as of `make_workspace`."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(serve_fixture(tmp_path / "workspace", **options))


@pytest.fixture
def served(serve: Callable[..., ServedFixture]) -> ServedFixture:
    return serve()


@pytest.fixture
def ann(served: ServedFixture) -> Client:
    return served.client("ann")


@pytest.fixture
def bob(served: ServedFixture) -> Client:
    return served.client("bob")
