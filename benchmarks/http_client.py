"""A small HTTP/1.1 client on asyncio: one kept connection per rater, little work per request.

A load test shares the machine with the server that it measures, so the client has to be cheap.
"""

import asyncio
import json
from typing import Any


class Connection(asyncio.Protocol):
    """One connection that sends a request at a time and waits for its answer."""

    def __init__(self, token: str) -> None:
        self._headers = (
            f"Host: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        )
        self._buffer = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, port: int, token: str) -> "Connection":
        """Connect to the local server."""
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: cls(token), "127.0.0.1", port
        )
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the request that waits for an answer."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Collect an answer; hand it over when it is whole."""
        self._buffer += data
        head_end = self._buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self._buffer[:head_end].lower()
        status = int(head[9:12])
        start = head.find(b"content-length:")
        length = int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
        end = head_end + 4 + length
        if len(self._buffer) < end:
            return
        body, self._buffer = self._buffer[head_end + 4 : end], self._buffer[end:]
        assert self._answer is not None
        self._answer.set_result((status, body))

    async def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """Send one request and return the status and the decoded body (None where it is empty)."""
        assert self._transport is not None
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\n{self._headers}Content-Length: {len(content)}\r\n\r\n"
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(head.encode() + content)
        status, answer = await self._answer
        return status, json.loads(answer) if answer else None

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()
