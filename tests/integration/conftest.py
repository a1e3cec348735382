import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.served_workspace import Client, Fixture, ServedFixture, make_workspace, serve_fixture


@pytest.fixture(scope="session")
def two_pairs(tmp_path_factory: pytest.TempPathFactory) -> Fixture:
    """A workspace with two pairs; not to be opened, but copied by `workspace_copy`."""
    return make_workspace(tmp_path_factory.mktemp("template") / "workspace")


@pytest.fixture
def workspace_copy(two_pairs: Fixture, tmp_path: Path) -> Fixture:
    root = tmp_path / "workspace"
    shutil.copytree(two_pairs.root, root)
    return replace(two_pairs, root=root)


@pytest.fixture
def serve() -> Iterator[Callable[..., ServedFixture]]:
    """Serve workspaces until the test ends; arguments as of `serve_fixture`."""
    with ExitStack() as stack:
        yield lambda fixture, **options: stack.enter_context(serve_fixture(fixture, **options))


@pytest.fixture
def served(serve: Callable[..., ServedFixture], workspace_copy: Fixture) -> ServedFixture:
    return serve(workspace_copy)


@pytest.fixture
def ann(served: ServedFixture) -> Client:
    return served.client("ann")


@pytest.fixture
def bob(served: ServedFixture) -> Client:
    return served.client("bob")
