"""Text shown to people: Vietnamese first, English beside it."""

import msgspec


class Text(msgspec.Struct, frozen=True):
    """One text in both languages of the service."""

    vi: str
    en: str
