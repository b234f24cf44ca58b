"""How many files and connections this process may hold open.

Each console and each device that stays connected is one. Systems let a process have 1,024 and raise that by
itself up to a hard limit, which is far higher as a rule.
"""

import resource
from contextlib import suppress
from typing import Final

ENOUGH: Final = 4_096
"""Consoles and devices of a city, and room for our own files and connections."""


def raise_limit() -> None:
    """Take all that the system allows; where it allows no more, things stay as they are."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS says "unlimited" and means less
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def allowed() -> int | None:
    """Return how many the system allows, None for any number."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if hard == resource.RLIM_INFINITY else hard
