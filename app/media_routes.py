"""Media over HTTP: `/media/{token}` for annotators, `/media/video/{video_id}` for researchers.

Both serve the normalised clip alone, by ids that this server made, from the media folder. Headers tell
nothing about the clip but its length.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response, StreamingResponse

from app.byte_range import ByteRange, RangeRefusedError, parse_range
from app.gate import USER_KEY
from app.media_tokens import MediaTokens
from storage.media import media_file
from storage.store import Store
from storage.videos import media_of

logger = logging.getLogger(__name__)

CHUNK_BYTES = 256 * 1024
_NOT_FOUND = HTTPException(404, "There is no such clip, or it is not yours to see.")


def media_router(store: Store, tokens: MediaTokens) -> APIRouter:
    """Return the two media routes."""
    router = APIRouter(include_in_schema=False)

    @router.api_route("/media/video/{video_id}", methods=["GET", "HEAD"])
    async def clip_of_video(request: Request, video_id: str) -> Response:
        found = await asyncio.to_thread(media_of, store, [video_id])
        if video_id not in found:
            raise _NOT_FOUND
        media_id = found[video_id].media_id
        return await serve_clip(request, _stored(store, media_id), etag=media_id[:16])

    @router.api_route("/media/{token}", methods=["GET", "HEAD"])
    async def clip_of_token(request: Request, token: str) -> Response:
        grant = tokens.find(token, rater_id=request.scope[USER_KEY].rater_id)
        if grant is None:
            raise _NOT_FOUND
        return await serve_clip(request, _stored(store, grant.media_id), etag=grant.etag)

    return router


def _stored(store: Store, media_id: str) -> Path:
    try:
        return media_file(store.workspace, media_id)
    except FileNotFoundError as error:
        logger.error("A clip cannot be shown: %s", error)
        raise _NOT_FOUND from None


async def serve_clip(request: Request, path: Path, *, etag: str) -> Response:
    """Return the file, or the one range of it that was asked for (206), or 304 or 416."""
    try:
        size_bytes = path.stat().st_size
    except FileNotFoundError:
        raise _NOT_FOUND from None
    headers = {
        "ETag": f'"{etag}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=3600",
        "Content-Disposition": "inline",
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    try:
        span = parse_range(_range_header(request, headers["ETag"]), size_bytes=size_bytes)
    except RangeRefusedError:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size_bytes}"})
    status = 200 if span is None else 206
    if span is None:
        span = ByteRange(0, size_bytes - 1)
    else:
        headers["Content-Range"] = f"bytes {span.first}-{span.last}/{size_bytes}"
    headers["Content-Length"] = str(span.length)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type="video/mp4")
    if span.length <= CHUNK_BYTES:
        content = await asyncio.to_thread(_read, path, span.first, span.length)
        return Response(content, status_code=status, headers=headers, media_type="video/mp4")
    return StreamingResponse(_chunks(path, span), status_code=status, headers=headers, media_type="video/mp4")


def _range_header(request: Request, etag: str) -> str:
    # If-Range with another tag asks for the whole file.
    if request.headers.get("if-range", etag) != etag:
        return ""
    return request.headers.get("range", "")


def _read(path: Path, first: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(first)
        return file.read(length)


async def _chunks(path: Path, span: ByteRange) -> AsyncIterator[bytes]:
    with path.open("rb", buffering=0) as file:
        file.seek(span.first)
        left = span.length
        while left > 0:
            chunk = await asyncio.to_thread(file.read, min(CHUNK_BYTES, left))
            if not chunk:
                return
            left -= len(chunk)
            yield chunk
