"""Who is told of incidents, and what a telling is."""

from enum import StrEnum

import msgspec

from ioc.model.incidents import Incident, Severity
from ioc.model.texts import Text
from ioc.model.warnings import WARNING_OP, WarningNotice


class Kind(StrEnum):
    """By which way a receiver is told."""

    IN_APP = "in_app"
    EMAIL = "email"
    WEBHOOK = "webhook"


class Receiver(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody to be told. An empty filter lets everything through; `wards` None means every ward."""

    id: str
    kind: Kind
    target: str
    """A URL, a mail address, or for in-app notices the role that sees them."""
    lang: str = "vi"
    min_severity: Severity = Severity.LOW
    ops: tuple[str, ...] = ("raised", "escalate", WARNING_OP)
    categories: tuple[str, ...] = ()
    wards: tuple[str, ...] | None = None
    enabled: bool = True


class Notice(msgspec.Struct, frozen=True):
    """What happened: `op` (raised, cleared, acknowledge, escalate …) made this revision of the incident."""

    op: str
    at_us: int
    incident: Incident

    @property
    def id(self) -> str:
        """The same for every repeat of the same telling."""
        return f"{self.incident.id}.{self.incident.rev}"

    @property
    def title(self) -> Text:
        """What it is about."""
        return self.incident.title


Telling = Notice | WarningNotice
