"""Who wants to be told of what, and how a telling looks: pure.

A notice is one revision of one incident, or one stage of an early warning. It carries no free text of
people: a title, codes and times, and the id by which the receiver asks for more with its own rights.
"""

import re
from typing import Final

import msgspec

from ioc.model.incidents import Handling, Severity
from ioc.model.notices import Kind, Notice, Receiver, Telling
from ioc.model.texts import Text
from ioc.model.times import format_us
from ioc.model.warnings import WarningNotice

MAX_TARGET_CHARS: Final = 2_000
MAX_FILTERS: Final = 100
NOT_DONE: Final = {"skip": "step_skipped", "resolve": "steps_overridden", "reopen": "result_disproved"}
"""How a notice is called that tells of a required step left undone, or of a result that was none; who asks
for `escalate` gets it too."""
SUPERVISORS: Final = Receiver(
    id="supervisors", kind=Kind.IN_APP, target="supervisor", ops=tuple(NOT_DONE.values())
)
"""They are told whatever receivers there are."""
_ORDER: Final = {Severity.LOW: 0, Severity.MEDIUM: 1, Severity.HIGH: 2, Severity.CRITICAL: 3}
_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_MAIL: Final = re.compile(r"[^@\s<>(),;:\\\"\[\]]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+")


class ReceiverError(ValueError):
    """A receiver that cannot be; `field` is at fault by `rule`."""

    def __init__(self, field: str, rule: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field
        self.rule = rule


def checked(receiver: Receiver, roles: frozenset[str]) -> Receiver:
    """Return `receiver` if it can be.

    Raises:
        ReceiverError: a field is not acceptable.
    """
    if not _ID.fullmatch(receiver.id):
        raise ReceiverError("id", "id", "expected 1 to 64 lower-case letters, digits and hyphens")
    if receiver.lang not in ("vi", "en"):
        raise ReceiverError("lang", "lang", "expected vi or en")
    for name in ("ops", "categories", "wards"):
        if len(getattr(receiver, name) or ()) > MAX_FILTERS:
            raise ReceiverError(name, "max_filters", f"at most {MAX_FILTERS} are possible")
    _CHECK[receiver.kind](receiver.target, roles)
    return receiver


def _check_role(target: str, roles: frozenset[str]) -> None:
    if target not in roles:
        raise ReceiverError("target", "role", f"expected a role: {', '.join(sorted(roles))}")


def _check_mail(target: str, _roles: frozenset[str]) -> None:
    if len(target) > MAX_TARGET_CHARS or not _MAIL.fullmatch(target):
        raise ReceiverError("target", "mail_address", "expected one mail address, such as duty@example.org")


def _check_url(target: str, _roles: frozenset[str]) -> None:
    scheme, _, rest = target.partition("://")
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if (
        scheme not in ("http", "https")
        or not host
        or len(target) > MAX_TARGET_CHARS
        or not target.isprintable()
    ):
        raise ReceiverError("target", "url", "expected an address that begins with https:// or http://")
    if "@" in host:
        raise ReceiverError("target", "url", "an address must not hold a user name or password")


_CHECK: Final = {Kind.IN_APP: _check_role, Kind.EMAIL: _check_mail, Kind.WEBHOOK: _check_url}


def wants(receiver: Receiver, notice: Telling) -> bool:
    """Return whether `receiver` is to be told of `notice`; of what became part of another nobody is."""
    if isinstance(notice, Notice) and notice.incident.handling is Handling.MERGED:
        return False
    about = notice.incident if isinstance(notice, Notice) else notice
    return (
        receiver.enabled
        and _ORDER[about.severity] >= _ORDER[receiver.min_severity]
        and (not receiver.ops or notice.op in receiver.ops or _escalates(receiver, notice))
        and (not receiver.categories or about.category in receiver.categories)
        and (receiver.wards is None or about.ward in receiver.wards)
    )


def _escalates(receiver: Receiver, notice: Telling) -> bool:
    return notice.op in NOT_DONE.values() and "escalate" in receiver.ops


def cloud_event(notice: Telling, receiver: Receiver) -> bytes:
    """Return `notice` as a CloudEvent in JSON, structured mode."""
    if isinstance(notice, WarningNotice):
        return _warning_event(notice, receiver)
    incident = notice.incident
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": notice.id,
            "source": "/api/v1/incidents",
            "type": f"ioc.incident.{notice.op}",
            "subject": incident.id,
            "time": format_us(notice.at_us),
            "datacontenttype": "application/json",
            "data": {
                "incident": incident.id,
                "rev": incident.rev,
                "title": in_lang(incident.title, receiver.lang),
                "category": incident.category,
                "severity": incident.severity,
                "condition": incident.condition,
                "handling": incident.handling,
                "ward": incident.ward,
                "lon": incident.lon,
                "lat": incident.lat,
                "opened": format_us(incident.opened_us),
                "acknowledge_due": _time(incident.ack_due_us),
                "resolve_due": _time(incident.resolve_due_us),
            },
        }
    )


def _warning_event(notice: WarningNotice, receiver: Receiver) -> bytes:
    data = msgspec.to_builtins(notice)
    data["title"] = in_lang(notice.title, receiver.lang)
    data["forecast"] = _time(data.pop("forecast_us"))
    del data["at_us"]
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": notice.id,
            "source": "/api/v1/warnings",
            "type": "ioc.warning.changed",
            "subject": notice.warning,
            "time": format_us(notice.at_us),
            "datacontenttype": "application/json",
            "data": data,
        }
    )


def in_lang(text: Text, lang: str) -> str:
    """Return the text in the receiver's language."""
    return text.en if lang == "en" else text.vi


def _time(time_us: int | None) -> str | None:
    return None if time_us is None else format_us(time_us)
