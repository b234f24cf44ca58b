"""Decoders compiled with mypyc, the same sources 1.3 to 2.4 times as fast; `make setup` does it where it can.

They lie in the environment beside the digest of what they were made from, and are taken for as long as the
sources have this digest: who edits one works with what was written, until the next `make setup`. In a wheel
compiled modules lie beside their sources, and Python prefers them by itself.
"""

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

FOLDER: Final = Path(sys.prefix) / "ioc-compiled"
_DIGEST: Final = "sources.blake2b"
_PACKAGE: Final = Path(__file__).parent
_DECODERS: Final = _PACKAGE / "ingest" / "decoders"
_NEVER: Final = frozenset({"__init__", "base", "wire"})
"""`base` lets other threads run, `wire` makes its types at run time."""


def sources() -> list[Path]:
    """Return the files that are compiled: what msgspec reads types from (`…_forms`) has to keep them."""
    return [
        path
        for path in sorted(_DECODERS.glob("*.py"))
        if path.stem not in _NEVER and not path.stem.endswith("_forms")
    ]


def digest() -> str:
    """Return what compiled code was made from: the decoders, the model's types and constants, this Python."""
    found = hashlib.blake2b(sys.implementation.cache_tag.encode(), digest_size=16)
    for path in (*sorted(_DECODERS.glob("*.py")), *sorted((_PACKAGE / "model").glob("*.py"))):
        found.update(b"\0%b\0" % path.name.encode())
        found.update(path.read_bytes())
    return found.hexdigest()


def compiled_first(path: Sequence[str]) -> list[str]:
    """Return the `__path__` of the decoders' package: the compiled ones first, if they are of these sources.

    `IOC_INTERPRETED=1` leaves them out, to debug or to compare.
    """
    made_of = FOLDER / _DIGEST
    if os.environ.get("IOC_INTERPRETED") or not made_of.is_file() or made_of.read_text() != digest():
        return list(path)
    sys.path.append(str(FOLDER))  # what the modules share
    return [str(FOLDER / _DECODERS.relative_to(_PACKAGE.parent)), *path]


def mark() -> None:
    """Say that what lies in the folder was made of the sources as they are: the last step of compiling."""
    (FOLDER / _DIGEST).write_text(digest())


if __name__ == "__main__":
    mark()
