"""Where `ioc-sim` begins and ends: Ctrl-C at any moment leaves one plain line and exit code 130.

The command line's imports take a second or more, in which nobody listens to signals yet; at the end nothing
is left that an interrupt could save.
"""

import os
import signal
from types import FrameType
from typing import Final

INTERRUPTED_EXIT_CODE: Final = 130
"""What shells expect of a program that SIGINT has ended."""
INTERRUPTED: Final = "ioc-sim: interrupted"


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGINT, _leave)
    from simulators.cli.main import main as run_command

    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run_command()
    except SystemExit as ended:
        # Typer ends with this code and without a word where Ctrl-C came while a command worked.
        if ended.code == INTERRUPTED_EXIT_CODE:
            os.write(2, f"{INTERRUPTED}\n".encode())
        raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _leave(number: int, frame: FrameType | None) -> None:
    """End at once: an exception within an import may be taken for a missing module."""
    os.write(2, f"{INTERRUPTED}\n".encode())
    os._exit(INTERRUPTED_EXIT_CODE)


if __name__ == "__main__":
    main()
