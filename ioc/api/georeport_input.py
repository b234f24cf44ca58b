"""What clients of GeoReport v2 ask and send, read strictly and refused in the specification's form. Pure.

An argument that is empty counts as absent, as the specification wants it. Lists come comma separated,
repeated, or both.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeVar
from urllib.parse import parse_qsl, urlsplit

import msgspec

from ioc.incidents.citizen_policy import Attribute
from ioc.model.texts import Text

SPAN: Final = timedelta(days=90)
MAX_REQUESTS: Final = 1_000
"""In one answer, by the specification."""
MAX_PAGE: Final = 100
MAX_DEPTH: Final = 10_000
"""Requests that pages reach; who wants more asks for fewer days."""
MAX_FIELDS: Final = 100
MAX_DESCRIPTION: Final = 4_000
MAX_ADDRESS: Final = 300
MAX_URL: Final = 500
MAX_VALUE: Final = 200
"""Characters of one answer to an attribute."""
FORM: Final = "application/x-www-form-urlencoded"

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)")
_NUMBER: Final = re.compile(r"[+-]?\d{1,15}(\.\d{1,15})?")
_ATTRIBUTE: Final = re.compile(r"attribute\[([^\[\]]{1,40})\](\[\])?")
_MAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
_BEFORE_OFFSET: Final = re.compile(r" (\d\d:\d\d)$")
_Found = TypeVar("_Found")
Status = Literal["open", "closed"]
Locale = Literal["vi", "en"]


class GeoReportError(Exception):
    """A request that is not carried out: answer it with `status` and with every one of `errors`."""

    def __init__(self, status: int, *errors: Text, retry_after_s: int | None = None) -> None:
        super().__init__("; ".join(error.en for error in errors))
        self.status = status
        self.errors = errors
        self.retry_after_s = retry_after_s


class RequestQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which reports to list, the latest first; `ids` decide alone where there are any."""

    start: datetime
    end: datetime
    ids: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    """Empty: every one."""
    statuses: frozenset[Status] = frozenset(("open", "closed"))
    page: int = 1
    page_size: int = MAX_REQUESTS


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A report as a client sent it. Positions in degrees; `contact` tells how to reach its author."""

    service_code: str
    description: str = ""
    lat: float | None = None
    lon: float | None = None
    address: str | None = None
    contact: str | None = None
    media_url: str | None = None
    attributes: Mapping[str, tuple[str, ...]] = {}


class Arguments:
    """The arguments of one call, and what is found wrong with them."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self.pairs = [(name, value.strip()) for name, value in pairs if value.strip()]
        self._errors: list[Text] = []

    def one(self, name: str, most: int = MAX_VALUE) -> str | None:
        """Return the last value of `name`, None where there is none."""
        value = next((value for key, value in reversed(self.pairs) if key == name), None)
        if value is not None and len(value) > most:
            self.wrong(name, f"có nhiều nhất {most} ký tự", f"has at most {most} characters")
        return value

    def several(self, name: str) -> tuple[str, ...]:
        """Return the values of `name`, each once."""
        parts = [part.strip() for key, value in self.pairs if key == name for part in value.split(",")]
        return tuple(dict.fromkeys(part for part in parts if part))

    def has(self, name: str) -> bool:
        """Tell whether `name` has a value."""
        return any(key == name for key, _ in self.pairs)

    def read(self, name: str, parse: Callable[[str], _Found], vi: str, en: str) -> _Found | None:
        """Return what `parse` makes of the value of `name`; its ValueError is noted."""
        value = next((value for key, value in reversed(self.pairs) if key == name), None)
        if value is None:
            return None
        try:
            return parse(value)
        except ValueError:
            self.wrong(name, vi, en)
            return None

    def wrong(self, name: str, vi: str, en: str) -> None:
        """Note that `name` is at fault."""
        self._errors.append(Text(f"{name}: {vi}", f"{name}: {en}"))

    def check(self, status: int = 400) -> None:
        """Raise `GeoReportError` where something was noted."""
        if self._errors:
            raise GeoReportError(status, *self._errors[:20])

    @property
    def locale(self) -> Locale:
        """The language of answers: an extension, Vietnamese unless `en` is asked for."""
        return "en" if self.one("locale") == "en" else "vi"


def read_arguments(text: str | bytes) -> Arguments:
    """Return the arguments of a query string or of a form's body. Raises `GeoReportError`."""
    try:
        encoded = text if isinstance(text, str) else text.decode("ascii")
        pairs = parse_qsl(encoded, encoding="utf-8", errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise GeoReportError(
            400,
            Text(
                f"Yêu cầu phải là biểu mẫu UTF-8 có nhiều nhất {MAX_FIELDS} trường.",
                f"The request must be a form in UTF-8 of at most {MAX_FIELDS} fields.",
            ),
        ) from error
    require_no_nul(pairs)
    return Arguments(pairs)


def require_no_nul(pairs: Iterable[tuple[str, str]]) -> None:
    """Raise `GeoReportError` where a name or value holds the character that PostgreSQL cannot store."""
    if any("\x00" in part for pair in pairs for part in pair):
        raise GeoReportError(400, Text("Không được chứa ký tự NUL.", "The character NUL is not accepted."))


def read_query(arguments: Arguments, now: datetime) -> RequestQuery:
    """Return which reports are asked for. Raises `GeoReportError`."""
    ids = arguments.several("service_request_id")
    if len(ids) > MAX_REQUESTS:
        arguments.wrong(
            "service_request_id", f"có nhiều nhất {MAX_REQUESTS} mã", f"has at most {MAX_REQUESTS} ids"
        )
    start, end = _range(arguments, now)
    states = arguments.several("status")
    if not set(states) <= {"open", "closed"}:
        arguments.wrong("status", "phải là open hoặc closed", "expected open or closed")
    page = _count(arguments, "page", MAX_PAGE)
    page_size = _count(arguments, "page_size", MAX_REQUESTS)
    if (page or 1) * (page_size or MAX_REQUESTS) > MAX_DEPTH:
        # Each page reads those before it again.
        arguments.wrong(
            "page", f"chỉ xem được {MAX_DEPTH} phản ánh đầu", f"reaches the first {MAX_DEPTH} requests only"
        )
    arguments.check()
    return RequestQuery(
        start=start,
        end=end,
        ids=ids,
        services=arguments.several("service_code"),
        statuses=frozenset(state for state in ("open", "closed") if not states or state in states),
        page=page or 1,
        page_size=page_size or MAX_REQUESTS,
    )


def _range(arguments: Arguments, now: datetime) -> tuple[datetime, datetime]:
    """Return the days asked for: 90 from the start or until the end where only one is given."""
    vi = "phải là thời điểm có múi giờ, như 2026-01-31T08:00:00+07:00"
    en = "expected a time with its zone, such as 2026-01-31T08:00:00+07:00"
    start = arguments.read("start_date", _date, vi, en)
    end = arguments.read("end_date", _date, vi, en)
    if start is None:
        return (end or now) - SPAN, end or now
    if end is None:
        return start, start + SPAN
    if not start <= end <= start + SPAN:
        arguments.wrong(
            "end_date",
            f"phải sau start_date và cách nhau nhiều nhất {SPAN.days} ngày",
            f"expected after start_date, at most {SPAN.days} days apart",
        )
    return start, end


def _date(text: str) -> datetime:
    # In a query a plus sign that nobody escaped arrives as a blank.
    text = _BEFORE_OFFSET.sub(r"+\1", text)
    if not _DATE.fullmatch(text) or not 1970 <= int(text[:4]) < 9_000:
        raise ValueError(text)
    return datetime.fromisoformat(text).astimezone(UTC)


def _count(arguments: Arguments, name: str, most: int) -> int | None:
    def parse(text: str) -> int:
        found = int(text) if re.fullmatch(r"[0-9]{1,6}", text) else 0
        if not 1 <= found <= most:
            raise ValueError(text)
        return found

    return arguments.read(name, parse, f"phải là số từ 1 đến {most}", f"expected a number from 1 to {most}")


def read_sent(arguments: Arguments) -> Sent:
    """Return the report that a client sent. Raises `GeoReportError`, naming everything at fault."""
    service_code = arguments.one("service_code", 40)
    if service_code is None:
        arguments.wrong("service_code", "phải có", "was not provided")
    lat = arguments.read("lat", _degrees(90), "phải là vĩ độ WGS84", "expected a latitude in WGS84")
    lon = arguments.read("long", _degrees(180), "phải là kinh độ WGS84", "expected a longitude in WGS84")
    address = arguments.one("address_string", MAX_ADDRESS)
    if arguments.has("lat") != arguments.has("long"):
        arguments.wrong("lat", "lat và long phải đi cùng nhau", "lat and long are sent together")
    elif not arguments.has("lat") and address is None:
        # There is no register of addresses, so an address_id names no place.
        arguments.wrong(
            "lat", "phải có lat và long, hoặc address_string", "expected lat and long, or address_string"
        )
    sent = Sent(
        service_code=service_code or "",
        description=arguments.one("description", MAX_DESCRIPTION) or "",
        lat=lat,
        lon=lon,
        address=address,
        contact=_contact(arguments),
        media_url=arguments.read(
            "media_url",
            _url,
            f"phải là địa chỉ http(s) có nhiều nhất {MAX_URL} ký tự",
            f"expected an address of http(s) with at most {MAX_URL} characters",
        ),
        attributes=_attributes(arguments),
    )
    arguments.check()
    return sent


def _contact(arguments: Arguments) -> str | None:
    """Return phone, mail address and name, in this order and as far as they are told."""
    phone, email = arguments.one("phone", 40), arguments.one("email", 120)
    if email and not _MAIL.fullmatch(email):
        arguments.wrong("email", "phải là địa chỉ thư điện tử", "expected a mail address")
    name = " ".join(filter(None, (arguments.one("last_name", 60), arguments.one("first_name", 60))))
    return ", ".join(filter(None, (phone, email, name))) or None


def _attributes(arguments: Arguments) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, value in arguments.pairs:
        match = _ATTRIBUTE.fullmatch(name)
        if match is None:
            continue
        if len(value) > MAX_VALUE:
            arguments.wrong(name, f"có nhiều nhất {MAX_VALUE} ký tự", f"has at most {MAX_VALUE} characters")
        found[match[1]] = (*found.get(match[1], ()), value)
    return found


def _degrees(most: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if not _NUMBER.fullmatch(text) or abs(found := float(text)) > most:
            raise ValueError(text)
        return found

    return parse


def _url(text: str) -> str:
    parts = urlsplit(text)
    usable = len(text) <= MAX_URL and text.isprintable() and " " not in text
    if parts.scheme not in ("http", "https") or not parts.hostname or not usable:
        raise ValueError(text)
    return text


def answers_to(asked: Sequence[Attribute], given: Mapping[str, tuple[str, ...]], locale: Locale) -> list[str]:
    """Return a line for each attribute that was answered, `name: value`. Raises `GeoReportError`."""
    arguments = Arguments(())
    lines = []
    for code in given.keys() - {attribute.code for attribute in asked}:
        arguments.wrong(f"attribute[{code}]", "dịch vụ này không có", "this service does not ask for it")
    for attribute in asked:
        values = given.get(attribute.code, ())
        if not values and attribute.required:
            arguments.wrong(f"attribute[{attribute.code}]", "phải có", "is required")
        if not values:
            continue
        shown = _shown(arguments, attribute, values, locale)
        lines.append(f"{localised(attribute.name, locale)}: {shown}")
    arguments.check()
    return lines


def _shown(arguments: Arguments, attribute: Attribute, values: tuple[str, ...], locale: Locale) -> str:
    name = f"attribute[{attribute.code}]"
    if len(values) > 1 and attribute.datatype != "multivaluelist":
        arguments.wrong(name, "chỉ có một giá trị", "has one value only")
    if attribute.values:
        choices = {choice.key: choice.name for choice in attribute.values}
        if not set(values) <= choices.keys():
            known = ", ".join(choices)
            arguments.wrong(name, f"phải là một trong {known}", f"expected one of {known}")
        return ", ".join(localised(choices[value], locale) for value in values if value in choices)
    if attribute.datatype == "number" and not _NUMBER.fullmatch(values[0]):
        arguments.wrong(name, "phải là số", "expected a number")
    if attribute.datatype == "datetime" and not _DATE.fullmatch(values[0]):
        arguments.wrong(name, "phải là thời điểm có múi giờ", "expected a time with its zone")
    return values[0]


def localised(text: Text, locale: Locale) -> str:
    """Return `text` in one language."""
    return text.en if locale == "en" else text.vi
