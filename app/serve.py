"""Serving a workspace: from a folder, or from a store that is open already, in this thread or behind it."""

import contextlib
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import uvicorn

from app.config import ServerConfig
from app.server import create_app
from storage.errors import VidprefError
from storage.store import Store

GRACE_S = 5
KEEP_ALIVE_S = 65

OnReady = Callable[[str], object]


class ServeError(VidprefError):
    """The server could not start."""


def serve(
    root: Path,
    config: ServerConfig,
    *,
    on_ready: OnReady = lambda address: None,
    with_pages: bool = True,
) -> None:
    """Serve a workspace until SIGINT or SIGTERM; what was accepted by then is answered and stored.

    Args:
        root: The workspace folder.
        config: Where and how; port 0 takes a free port.
        on_ready: Called with the address once requests are answered.
        with_pages: False for the API alone.

    Raises:
        ServeError: The address is taken or not allowed.
        WorkspaceServed: Another process has the workspace open.
    """
    with Store.open(root) as store, _listen(config) as listener:
        _server(store, config, listener, on_ready, with_pages).run(sockets=[listener])


@contextlib.contextmanager
def serving(
    store: Store,
    config: ServerConfig,
    *,
    with_pages: bool = True,
    only_pairs: Collection[str] | None = None,
) -> Iterator[str]:
    """Serve an open store from a thread while the block runs; gives the address.

    Pairs written meanwhile are handed out after the next start.

    Args:
        store: The open workspace.
        config: Where and how; port 0 takes a free port.
        with_pages: False for the API alone.
        only_pairs: Ids of the pairs to hand out; None: all that are open.

    Raises:
        ServeError: The address is taken or not allowed.
    """
    ready = threading.Event()
    with _listen(config) as listener:
        server = _server(store, config, listener, lambda address: ready.set(), with_pages, only_pairs)

        def run() -> None:
            try:
                server.run(sockets=[listener])
            finally:
                ready.set()

        thread = threading.Thread(target=run, name="server", daemon=True)
        thread.start()
        ready.wait()
        try:
            if not server.started:
                raise ServeError("The server did not start; its log says why.")
            yield address_of(listener)
        finally:
            server.should_exit = True
            thread.join()
            store.set_address(None)


class _Server(uvicorn.Server):
    """Uvicorn, saying when it is ready, and ending without killing the process that has a store to close."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        earlier = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)


def _server(
    store: Store,
    config: ServerConfig,
    listener: socket.socket,
    on_ready: OnReady,
    with_pages: bool = True,
    only_pairs: Collection[str] | None = None,
) -> _Server:
    address = address_of(listener)

    def ready() -> None:
        store.set_address(address)
        on_ready(address)

    settings = uvicorn.Config(
        create_app(store, config, with_pages=with_pages, only_pairs=only_pairs),
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        proxy_headers=False,  # Anybody could name another address then, and guess passwords without end.
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        ws="none",
    )
    return _Server(settings, ready)


def _listen(config: ServerConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        return socket.create_server((config.host, config.port), family=family, backlog=1024)
    except OSError as error:
        raise ServeError(
            f"Cannot listen at {config.host} port {config.port}: {error.strerror or error}. "
            "Choose another with --port (0 takes any free one) or --host."
        ) from error


def address_of(listener: socket.socket) -> str:
    """Return the address to open in a browser; for a socket open to all networks, that of this machine."""
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
