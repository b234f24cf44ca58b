"""The process that decodes one picture: bytes in by stdin, a line and two files out by stdout.

It limits itself before it reads a byte: memory, seconds of CPU, no file written, no process started. Its
environment is empty, so that there is nothing to find in it. Whatever a decoder's fault does happens here.
"""

import resource
import sys
from typing import Final

import msgspec

from ioc.photos.check import MAX_BYTES, PhotoRefused, require_picture
from ioc.photos.reencode import reencode

MEMORY_BYTES: Final = 640 * 1024 * 1024
"""Of addresses, of which the interpreter and the codecs take a third."""
CPU_S: Final = 10


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The line before the two files."""

    refused: str = ""
    width: int = 0
    height: int = 0
    picture: int = 0
    """Bytes of the picture, which come first."""
    thumb: int = 0


def limit() -> None:
    """Take from this process what decoding a picture does not need."""
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 16),
    ):
        resource.setrlimit(what, (most, most))


def main() -> None:
    """Do it."""
    limit()
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    files: tuple[bytes, ...] = ()
    try:
        require_picture(data)
        made = reencode(data)
    except PhotoRefused as refusal:
        answer = Answer(refused=refusal.rule)
    except MemoryError:
        answer = Answer(refused="too_costly")
    except Exception:
        answer = Answer(refused="broken")
    else:
        files = made.picture, made.thumb
        answer = Answer("", made.width, made.height, len(made.picture), len(made.thumb))
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n" + b"".join(files))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
