"""What to say where somebody names what is not there."""

from collections.abc import Collection
from typing import Final

from ioc.rules.errors import did_you_mean

MAX_LISTED: Final = 20
"""More names than these are not listed where none is near."""


def no_such(what: str, name: str, known: Collection[str]) -> str:
    """Return that there is no `what` of that name, with the nearest of `known`, or all where they are few."""
    hint = did_you_mean(name, known)
    if hint is None and known and len(known) <= MAX_LISTED:
        hint = f"known: {', '.join(sorted(known))}"
    return f"there is no {what} {name!r}" + (f"; {hint}" if hint else "")
