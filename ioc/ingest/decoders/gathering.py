"""What decoders of foreign formats share: gathering events under ids of their content, tidy names, parts."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import Any, Final, TypeVar

import msgspec
from msgspec import ValidationError
from msgspec.structs import replace

from ioc.ingest.decoders.base import Decode, DecodeContext, Decoded, Rejection, TooManyEvents
from ioc.ingest.decoders.data import (
    MAX_EXTRA_FIELDS,
    MAX_EXTRA_KEY_CHARS,
    MAX_NAME_CHARS,
    Refused,
    refusal,
    typed_data,
)
from ioc.ingest.decoders.jsonlines import split_objects, why_unreadable
from ioc.ingest.decoders.wire import MAX_ID_CHARS
from ioc.model.events import AlarmKind, Extra

MAX_EXTRA_CHARS: Final = 256
"""Longest text of a source's own that is kept; longer ones are pictures and prose."""

_MAX_OWN: Final = MAX_EXTRA_FIELDS - 24
"""Fields kept of a source's own; the others are for what decoders add."""
_INT64: Final = 2**63
_KINDS: Final = frozenset(AlarmKind)
T = TypeVar("T")


def tidy(text: str, limit: int = MAX_NAME_CHARS) -> str:
    """Return `text` on one line, without signs that cannot be printed, at most `limit` characters."""
    if len(text) <= limit and " " not in text and text.isprintable():
        return text  # a printable text has no other blanks
    if not text.isprintable():
        text = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(text.split())[:limit]


def part_of(context: DecodeContext, name: str, field: str) -> str:
    """Return the source of a part of the sender: `context.part`, checked.

    Raises:
        Refused: `length`, the name is empty or too long to be anybody's.
    """
    source = context.part(name)
    if not name or len(source) > MAX_ID_CHARS:
        raise Refused("length", f"a name of 1 to {MAX_ID_CHARS} characters is expected", field)
    return source


def put_extra(extra: Extra, name: str, value: Any) -> bool:
    """Keep what a source adds, if it is a scalar that rules can read; return whether it was kept."""
    if value is None or value == "" or not (name := tidy(name, MAX_EXTRA_KEY_CHARS)):
        return True  # nothing was said
    return put_named(extra, name, value)


def put_named(extra: Extra, name: str, value: Any) -> bool:
    """Do what `put_extra` does under a name of ours, which is tidy."""
    if value is None:
        return True
    if isinstance(value, str):
        if not value:
            return True
        if len(value) > MAX_EXTRA_CHARS:
            return False
        value = tidy(value)
    elif isinstance(value, float):
        if not isfinite(value):
            return False
    elif not isinstance(value, int) or not -_INT64 <= value < _INT64:
        return False
    if len(extra) >= _MAX_OWN and name not in extra:
        return False
    extra[name] = value
    return True


def leniently(kind: type[T]) -> Callable[[bytes], T]:
    """Return the function that reads JSON as `kind`; numbers and truths written as text are read too.

    It raises what msgspec raises.
    """
    strict = msgspec.json.Decoder(kind).decode
    lenient = msgspec.json.Decoder(kind, strict=False).decode

    def read(raw: bytes) -> T:
        try:
            return strict(raw)
        except ValidationError:
            return lenient(raw)

    return read


def kind_option(options: Mapping[str, str], names: Iterable[str | None]) -> AlarmKind | None:
    """Return the kind of alarm that the operator gave to the first of `names`: options `kind.NAME`.

    A word that is no kind is `other`: a slip of the pen must not lose alarms.
    """
    if not options:
        return None
    for name in names:
        if name and (chosen := options.get(f"kind.{name}")) is not None:
            return AlarmKind(chosen) if chosen in _KINDS else AlarmKind.OTHER
    return None


def pieces_of(body: bytes, context: DecodeContext) -> tuple[list[tuple[int, bytes]], list[Rejection]]:
    """Cut a body as `split_objects` does; a message may be longer than an event.

    Cameras put pictures into their messages. They are not kept, so what is left fits into an event.
    """
    if len(body) > context.max_event_bytes:
        context = replace(context, max_event_bytes=len(body))
    return split_objects(body, context)


class Gathering:
    """Events and refusals of one body. An id is the digest of what identifies the event on the wire.

    Equal identities within one body are different happenings (two objects of one frame, two crossings in one
    answer) and are numbered; the same body sent again gives the same ids.
    """

    def __init__(self, context: DecodeContext) -> None:
        self.result = Decode()
        self._limit = context.max_events
        self._seen: dict[bytes, int] = {}

    def take(
        self,
        line: int,
        raw: bytes,
        type_name: str,
        fields: dict[str, Any],
        *,
        source: str,
        time_us: int,
        identity: bytes,
        once: bool = False,
    ) -> None:
        """Add an event of `type_name` with the data `fields`; with `once`, unless the body told of it before.

        Raises:
            Refused: a field is missing, of a wrong type or out of range.
            TooManyEvents: more than the context allows.
        """
        extra = fields.pop("extra", None)
        data, _ = typed_data(type_name, fields, extra)
        digest = hashlib.blake2b(identity, digest_size=12).digest()
        number = self._seen[digest] = self._seen.get(digest, 0) + 1
        if once and number > 1:
            return
        events = self.result.events
        events.append(
            Decoded(
                line=line,
                id=digest.hex() if number == 1 else f"{digest.hex()}-{number}",
                source=source,
                time_us=time_us,
                data=data,
                raw=raw,
            )
        )
        if len(events) > self._limit:
            raise TooManyEvents(len(events), self._limit)

    def refuse(self, line: int, raw: bytes, error: Exception, source: str | None = None) -> None:
        """Add a refusal, from `Refused` or one of JSON_ERRORS."""
        if isinstance(error, ValidationError):
            error = refusal(error)
        if isinstance(error, Refused):
            rule, detail, field = error.rule, error.detail, error.field
        else:
            (rule, detail), field = why_unreadable(error), None
        self.result.rejections.append(
            Rejection(line=line, rule=rule, detail=detail[:500], raw=raw, field=field, source=source)
        )
