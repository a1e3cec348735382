"""The process that decodes files from outside: started by `storage.media`, limited, replaced if it dies.

Speaks JSON lines: `{"source": path, "target": path, "limits": {...}}` in, and out either `{"clip": {...}}` or
`{"refused": reason}`. Its first line is `{"ready": true}`.
"""

import json
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import av.logging

from storage.clips import ClipLimits, normalise
from storage.errors import MediaRefused

_MEMORY_BYTES = 4 << 30


def main() -> None:
    """Answer requests until the input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    av.logging.set_level(av.logging.PANIC)
    _say({"ready": True})
    for line in sys.stdin:
        _say(_answer(json.loads(line)))


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    limits = ClipLimits(**request["limits"])
    try:
        return {"clip": asdict(normalise(Path(request["source"]), Path(request["target"]), limits=limits))}
    except MediaRefused as error:
        return {"refused": error.reason}
    except MemoryError:
        return {"refused": f"needs more than {_MEMORY_BYTES >> 30} GiB of memory to decode; make it smaller"}


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
