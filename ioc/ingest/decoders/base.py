"""What every decoder takes and gives: bytes in, events and rejections out, nothing performed."""

from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from typing import Final, Protocol

import msgspec

from ioc.model.events import EventData

UNREADABLE_RULES: Final = frozenset({"json", "xml", "multipart", "utf8", "depth", "object", "empty"})
"""Rules that mean "this is not even an event"; a body with nothing else is answered 400."""

_RESERVED: Final = frozenset(" /+#*")


def _no_options(source: str) -> Mapping[str, str]:
    return {}


class DecodeContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a decoder may know besides the bytes."""

    device_id: str
    """The authenticated sender; formats without a source speak for it."""
    now_us: int
    """Time of receipt; formats without a time use it."""
    content_type: str | None = None
    """Media type without parameters, lower case; None lets the decoder look at the first byte."""
    boundary: str | None = None
    """The `boundary` of a multipart media type."""
    topic: str | None = None
    """The MQTT topic below the device's own prefix, e.g. `events` or `frigate/reviews`."""
    zone: tzinfo | None = None
    """Zone of times that state none; without it such times are refused (rule `zone`)."""
    options: Mapping[str, str] = {}
    """`Device.options`."""
    options_of: Callable[[str], Mapping[str, str]] = _no_options
    """The options of a source that the sender covers, by its id; none for any other."""
    max_event_bytes: int = 65_536
    max_events: int = 10_000

    def part(self, name: str) -> str:
        """Return the source of a part of the sender, a camera of a recorder or a lane of a controller.

        It is `name` behind the option `prefix`, or behind the sender's id and a hyphen; signs that topics and
        addresses give a meaning become hyphens. The sender must cover it.
        """
        prefix = self.options.get("prefix", f"{self.device_id}-")
        if name.isprintable() and _RESERVED.isdisjoint(name):
            return prefix + name
        return prefix + "".join("-" if sign in _RESERVED or not sign.isprintable() else sign for sign in name)


class Decoded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One readable event, not yet authorised or located."""

    line: int
    """1-based line (NDJSON) or element (array)."""
    id: str
    source: str
    time_us: int
    data: EventData
    raw: bytes
    lon: float | None = None
    lat: float | None = None
    subject: str | None = None
    trace: str | None = None
    """`traceparent` of CloudEvents' extension for distributed tracing, as it was sent."""

    def __post_init__(self) -> None:
        """Let other threads have their turn, by being interpreted: compiled code never does.

        Without it the service's loop would wait while a worker thread decodes a large body.
        """


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """Why one event was refused, in the words the sender gets, and its bytes for quarantine."""

    line: int
    rule: str
    detail: str
    raw: bytes
    id: str | None = None
    source: str | None = None
    field: str | None = None

    def __post_init__(self) -> None:
        """As of `Decoded`."""


class Decode(msgspec.Struct, kw_only=True):
    """Everything a body held."""

    events: list[Decoded] = []
    rejections: list[Rejection] = []
    dropped_fields: int = 0
    """Unknown fields that could not be kept in `extra` (nested, too many, too large a number)."""
    pictures: int = 0
    """Pictures that came along. None is kept: they show people, and nobody asked for them."""


class TooManyEvents(ValueError):
    """The body holds more events than `max_events`. The only error a decoder raises."""

    def __init__(self, count: int, limit: int) -> None:
        super().__init__(f"{count} events in one body, at most {limit} are taken")
        self.count = count
        self.limit = limit


class Decoder(Protocol):
    """A family of senders' format. One module each; `ioc.ingest.decoders.DECODERS` lists them."""

    @property
    def content_types(self) -> Sequence[str]:
        """Media types it reads."""
        ...

    def decode(self, body: bytes, context: DecodeContext) -> Decode:
        """Return what `body` holds; refuse event by event, never raise for content.

        Raises:
            TooManyEvents: more than `context.max_events`.
        """
        ...
