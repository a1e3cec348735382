"""Hashes of a pipeline's weight files, to tell models apart and to key caches."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

WEIGHT_SUFFIXES = frozenset({".safetensors", ".bin", ".json", ".model"})
"""Weights, and the small files that say how to use them (settings, vocabularies)."""

_SHA256_NAME = re.compile(r"[0-9a-f]{64}")
_CHUNK_BYTES = 1 << 20


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file; the Hub cache names large files by it, which saves reading them."""
    resolved = path.resolve()
    if _SHA256_NAME.fullmatch(resolved.name):
        return resolved.name
    digest = hashlib.sha256()
    with resolved.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def folder_hash(folder: Path, parts: Sequence[str]) -> str:
    """Return 64 hex digits over the files of the named subfolders, in order of their names."""
    digest = hashlib.sha256()
    for part in sorted(parts):
        for path in sorted((folder / part).rglob("*")):
            if path.is_file() and path.suffix in WEIGHT_SUFFIXES:
                digest.update(f"{path.relative_to(folder).as_posix()}\x1f{file_sha256(path)}\n".encode())
    return digest.hexdigest()
