"""One process at a time: an exclusive lock on a workspace, and a clear word to everybody else."""

import fcntl
import json
import os
import sys
from typing import Self

from storage.errors import WorkspaceServed
from storage.workspace import Workspace


class WorkspaceLock:
    """Holds the workspace for this process until `release`; the system lets go when the process dies."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._descriptor = os.open(workspace.lock_file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 4096, 0)
            os.close(self._descriptor)
            raise self._refusal(holder) from None
        # A server file that is still here was left by a process that died.
        workspace.server_file.unlink(missing_ok=True)
        command = " ".join([os.path.basename(sys.argv[0]), *sys.argv[1:]])[:300]
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps({"pid": os.getpid(), "command": command}).encode(), 0)

    def _refusal(self, holder: bytes) -> WorkspaceServed:
        root, address = self._workspace.root, self._workspace.served_at()
        try:
            content = json.loads(holder)
            process = f"process {content['pid']} ({content['command']})"
        except (ValueError, KeyError, TypeError):
            process = "another process"
        if address:
            return WorkspaceServed(
                f"workspace {root} is served at {address} by {process}: "
                f"`vidpref stats --server {address}` works meanwhile, and accounts can be made through "
                f"POST {address}/api/v1/users; for every other command stop that process first",
                address=address,
            )
        return WorkspaceServed(
            f"workspace {root} is in use by {process}: wait for it to end, or stop it", address=None
        )

    def set_address(self, address: str | None) -> None:
        """Write the server file, or remove it when `address` is None."""
        if address is None:
            self._workspace.server_file.unlink(missing_ok=True)
            return
        fresh = self._workspace.server_file.with_suffix(".tmp")
        fresh.write_text(json.dumps({"pid": os.getpid(), "address": address}))
        os.replace(fresh, self._workspace.server_file)

    def release(self) -> None:
        """Let go of the workspace. Doing so twice is harmless."""
        if self._descriptor < 0:
            return
        self.set_address(None)
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
        self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
