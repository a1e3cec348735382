import socket

import pytest

from app.config import ServerConfig
from app.serve import ServeError, address_of, serve
from storage.errors import NotAWorkspace, WorkspaceServed
from storage.store import Store
from storage.workspace import Workspace


def test_names_this_machine_when_listening_on_every_network():
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]

        assert address_of(listener) == f"http://127.0.0.1:{port}"


def test_says_so_when_the_port_is_taken(tmp_path):
    Workspace.create(tmp_path / "w")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(ServeError, match=f"port {port}.*--port"):
            serve(tmp_path / "w", ServerConfig(port=port), with_pages=False)


def test_serves_no_folder_that_is_no_workspace(tmp_path):
    with pytest.raises(NotAWorkspace):
        serve(tmp_path, ServerConfig(port=0), with_pages=False)


def test_names_the_address_when_the_workspace_is_served_already(tmp_path):
    Workspace.create(tmp_path / "w")
    with Store.open(tmp_path / "w") as store:
        store.set_address("http://127.0.0.1:7860")

        with pytest.raises(WorkspaceServed, match="http://127.0.0.1:7860"):
            serve(tmp_path / "w", ServerConfig(port=0), with_pages=False)
