"""What a centre decides for itself: who is responsible, how long things may take, what belongs together.

Each policy is data that people edit and that has versions; the defaults here are what is shipped. A policy is
plain JSON or YAML in the shape of its struct; `parse_policy` says what is wrong with one.
"""

import re
from datetime import date
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

from ioc.incidents.calendar import WorkingCalendar
from ioc.incidents.figures import FIGURES, Unit
from ioc.model.incidents import Severity
from ioc.model.texts import Text
from ioc.model.times import DAY_US, HOUR_US, SECOND_US

MAX_ROWS: Final = 500
MAX_RADIUS_M: Final = 5_000
MAX_MEMBERS: Final = 500
MAX_BRAKES: Final = 50

Name = Annotated[str, Meta(min_length=1, max_length=120)]
Code = Annotated[str, Meta(min_length=1, max_length=100)]
Span = Annotated[str, Meta(pattern=r"^[0-9]{1,6}(s|m|h|d|wd)$")]
"""A length of time: 90s, 5m, 2h, 1d, or 10wd for working days."""
Offset = Annotated[str, Meta(pattern=r"^-?[0-9]{1,6}(s|m|h|d)$")]
"""A moment seen from a due date: -10m is before it, 0s is the due date itself."""

_UNITS_US: Final = {
    "s": SECOND_US,
    "m": 60 * SECOND_US,
    "h": 3600 * SECOND_US,
    "d": DAY_US,
    "wd": DAY_US,
}
_SPAN: Final = re.compile(r"(-?[0-9]+)(s|m|h|d|wd)")


class Length(NamedTuple):
    """A length of time; `working` counts on the working calendar only."""

    us: int
    working: bool


def length_of(text: str) -> Length:
    """Return what a span or an offset says."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no length of time, such as 90s, 5m, 2h, 1d or 10wd")
    return Length(int(match[1]) * _UNITS_US[match[2]], match[2] == "wd")


class _Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Rows are shown without what they leave open, policies whole."""


# who is responsible -----------------------------------------------------------------------------------------


class Responsible(_Policy, frozen=True, kw_only=True):
    """One row of the authority table: `team` answers for this category, in these wards.

    What is left out stands for every category or every ward. `{ward}` in a team is the ward's name.
    """

    team: Name
    category: Code | None = None
    wards: Annotated[tuple[Code, ...], Meta(min_length=1, max_length=400)] | None = None


class AuthorityTable(_Policy, frozen=True, kw_only=True, omit_defaults=False):
    """Category and ward → team. The most particular row decides; `fallback` where none does."""

    rows: Annotated[tuple[Responsible, ...], Meta(max_length=MAX_ROWS)] = ()
    fallback: Name = "Tổ trực trung tâm"


# how long things may take -----------------------------------------------------------------------------------


class Allowed(_Policy, frozen=True, kw_only=True):
    """Time allowed for incidents of a category and severity; what is left out stands for every one.

    `resolve_several` holds instead of `resolve` where several agencies are involved.
    """

    category: Code | None = None
    severity: Severity | None = None
    acknowledge: Span | None = None
    respond: Span | None = None
    resolve: Span | None = None
    resolve_several: Span | None = None


class Step(_Policy, frozen=True, kw_only=True):
    """One step of escalation: at `at`, seen from the due date of `clock`, tell `to`."""

    clock: Literal["acknowledge", "respond", "resolve"]
    at: Offset
    to: Name
    level: Annotated[int, Meta(ge=1, le=9)]


class ClockPolicy(_Policy, frozen=True, kw_only=True, omit_defaults=False):
    """Clocks and escalation. Among `rows` the most particular that states a time decides.

    The shipped rows of the category `citizen` are the rules of Hồ Chí Minh City's 1022: triage within five
    minutes, a result within ten working days, fifteen where several agencies are involved, and an hour to
    settle who is competent (`accept`).
    """

    rows: Annotated[tuple[Allowed, ...], Meta(max_length=MAX_ROWS)] = (
        Allowed(severity=Severity.CRITICAL, acknowledge="60s", respond="10m", resolve="30m"),
        Allowed(severity=Severity.HIGH, acknowledge="5m", respond="30m", resolve="2h"),
        Allowed(severity=Severity.MEDIUM, acknowledge="15m", respond="2h", resolve="8h"),
        Allowed(severity=Severity.LOW, acknowledge="1h", respond="8h", resolve="48h"),
        Allowed(category="citizen", acknowledge="5m", respond="1wd", resolve="10wd", resolve_several="15wd"),
    )
    accept: Span = "1h"
    """How long a ward may leave open whether it accepts what was handed over to it."""
    steps: Annotated[tuple[Step, ...], Meta(max_length=20)] = (
        Step(clock="acknowledge", at="0s", to="supervisor", level=1),
        Step(clock="acknowledge", at="10m", to="leader", level=2),
        Step(clock="respond", at="0s", to="supervisor", level=1),
        Step(clock="resolve", at="-15m", to="supervisor", level=1),
        Step(clock="resolve", at="0s", to="leader", level=2),
    )


class CalendarPolicy(_Policy, frozen=True, kw_only=True, omit_defaults=False):
    """Days off besides weekends and public holidays, and days worked in their stead."""

    days_off: Annotated[tuple[date, ...], Meta(max_length=MAX_ROWS)] = ()
    make_up_days: Annotated[tuple[date, ...], Meta(max_length=MAX_ROWS)] = ()


# what belongs together --------------------------------------------------------------------------------------


class Correlation(_Policy, frozen=True, kw_only=True):
    """Alarms of one happening: those of `rules` (or `categories`) in one ward, near in time and place.

    `metres` left out means anywhere in the ward: a storm with one cause. `heads` are the rules that may lead
    such a group; left out, any of them may. Nothing is grouped before `at_least` of them are there.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    rules: Annotated[tuple[Code, ...], Meta(max_length=100)] = ()
    categories: Annotated[tuple[Code, ...], Meta(max_length=100)] = ()
    heads: Annotated[tuple[Code, ...], Meta(max_length=100)] = ()
    metres: Annotated[int, Meta(ge=1, le=MAX_RADIUS_M)] | None = None
    within: Span = "10m"
    at_least: Annotated[int, Meta(ge=2, le=50)] = 2


class GroupingPolicy(_Policy, frozen=True, kw_only=True, omit_defaults=False):
    """Which alarms become one incident: the `correlations` in their order, then what is of one category,
    within `metres` and `within`."""

    enabled: bool = True
    metres: Annotated[int, Meta(ge=1, le=MAX_RADIUS_M)] = 150
    within: Span = "10m"
    max_members: Annotated[int, Meta(ge=1, le=MAX_MEMBERS)] = 200
    correlations: Annotated[tuple[Correlation, ...], Meta(max_length=50)] = (
        # What one stopped car or wrong-way driver does to the traffic behind it.
        Correlation(
            name="blocked-road",
            rules=("congestion", "stopped-vehicle", "wrong-way"),
            heads=("stopped-vehicle", "wrong-way"),
            metres=300,
        ),
        # Four devices of a ward silent at once: power or network, not four broken devices.
        Correlation(name="outage", categories=("equipment",), within="10m", at_least=4),
    )


# when to warn ----------------------------------------------------------------------------------------------

MAX_FORECAST_US: Final = 24 * HOUR_US


class Brake(_Policy, frozen=True, kw_only=True):
    """Warn when `figure` goes beyond `above` or `below`, and again when it is back at `clear`.

    `scope` is the whole city or each ward by itself; `wards` limits the latter. `forecast` warns as long
    beforehand. With fewer than `min_n` cases, or less than `min_coverage`, nothing is concluded and the brake
    says that it is blind.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    title: Text
    figure: Code
    scope: Literal["city", "ward"] = "city"
    wards: Annotated[tuple[Code, ...], Meta(min_length=1, max_length=400)] | None = None
    category: Code | None = None
    period: Literal["today", "7d", "30d", "quarter"] = "today"
    above: float | None = None
    below: float | None = None
    clear: float
    severity: Severity = Severity.MEDIUM
    forecast: Span | None = None
    min_n: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    min_coverage: Annotated[float, Meta(ge=0, le=1)] = 0.0
    to: Literal["operator", "supervisor", "leader", "engineer", "admin"] = "leader"

    @property
    def threshold(self) -> float:
        """What the figure must not go beyond."""
        found = self.above if self.above is not None else self.below
        assert found is not None, "a brake has been checked"
        return found


def _brake(name: str, vi: str, en: str, figure: str, **rest: Any) -> Brake:
    return Brake(name=name, title=Text(vi, en), figure=figure, **rest)


class BrakePolicy(_Policy, frozen=True, kw_only=True, omit_defaults=False):
    """When leaders are warned. Those of the category `citizen` watch the legal clocks of 1022."""

    brakes: Annotated[tuple[Brake, ...], Meta(max_length=MAX_BRAKES)] = (
        _brake("overdue-ward", "Phường có nhiều sự cố quá hạn", "Many overdue incidents in a ward", "overdue",
               scope="ward", above=10, clear=5, severity=Severity.HIGH, forecast="2h"),
        _brake("overdue-city", "Tỷ lệ quá hạn toàn địa bàn cao", "High share of overdue incidents",
               "overdue_share", above=0.2, clear=0.15, severity=Severity.HIGH, forecast="2h", min_n=20),
        _brake("triage-1022", "1022: tiếp nhận chậm quá 5 phút", "1022: triage later than 5 minutes",
               "seen_within_time", category="citizen", below=0.9, clear=0.95, min_n=10,
               severity=Severity.HIGH),
        _brake("result-1022", "1022: trả kết quả trễ hạn luật định", "1022: results later than legal",
               "within_time", category="citizen", period="30d", below=0.95, clear=0.97, min_n=20,
               severity=Severity.HIGH),
        _brake("backlog-1022", "1022: phản ánh quá hạn ở phường", "1022: overdue reports in a ward",
               "overdue", scope="ward", category="citizen", above=3, clear=1,
               severity=Severity.HIGH, forecast="24h"),
        _brake("processing-city", "Tỷ lệ xử lý trong ngày thấp", "Low processing rate today",
               "processing_rate", below=0.8, clear=0.85, forecast="2h", min_n=20),
        _brake("alarm-flood", "Quá nhiều báo động mỗi giờ trực", "Too many alarms per operator-hour",
               "alarms_per_operator_hour", above=12, clear=6, min_n=6, to="supervisor"),
        _brake("cameras-silent", "Nhiều camera của phường không gửi dữ liệu", "Many silent cameras in a ward",
               "camera_coverage", scope="ward", below=0.7, clear=0.85, min_n=3, to="engineer"),
        _brake("false-alarms", "Nhiều báo động sai", "Many false alarms", "rejected_share", period="7d",
               above=0.3, clear=0.2, severity=Severity.LOW, min_n=50, to="supervisor"),
        _brake("reopened", "Nhiều sự cố phải mở lại", "Many incidents reopened", "reopened_share",
               period="30d", above=0.1, clear=0.07, min_n=50),
    )  # fmt: skip


class Policies(msgspec.Struct, frozen=True, kw_only=True):
    """Everything in force, with what is derived from it."""

    authority: AuthorityTable = AuthorityTable()
    clocks: ClockPolicy = ClockPolicy()
    calendar: CalendarPolicy = CalendarPolicy()
    grouping: GroupingPolicy = GroupingPolicy()
    brakes: BrakePolicy = BrakePolicy()
    ward_names: dict[str, str] = {}
    """Vietnamese names of the wards in force by code."""
    days: WorkingCalendar = WorkingCalendar()


Policy = AuthorityTable | ClockPolicy | CalendarPolicy | GroupingPolicy | BrakePolicy
POLICIES: Final[dict[str, type[Policy]]] = {
    "authority": AuthorityTable,
    "clocks": ClockPolicy,
    "calendar": CalendarPolicy,
    "grouping": GroupingPolicy,
    "brakes": BrakePolicy,
}
"""Name → shape of every policy."""


class PolicyError(ValueError):
    """A policy that cannot be; `field` is at fault by `rule`."""

    def __init__(self, field: str, rule: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}" if field else detail)
        self.field = field
        self.rule = rule
        self.detail = detail


def parse_policy(name: str, document: Any) -> Policy:
    """Return the policy `name` that `document` (as read from JSON or YAML) describes.

    Raises:
        PolicyError: there is no such policy, or the document is none.
    """
    if name not in POLICIES:
        raise PolicyError("name", "policy", f"expected one of {', '.join(POLICIES)}")
    try:
        policy = msgspec.convert(document, POLICIES[name])
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        raise PolicyError(path.strip("`.") or name, "policy_shape", text) from error
    _check(policy)
    return policy


def _check(policy: Policy) -> None:
    if isinstance(policy, GroupingPolicy):
        for n, correlation in enumerate(policy.correlations):
            if not correlation.rules and not correlation.categories:
                raise PolicyError(f"correlations[{n}]", "names_something", "expected `rules` or `categories`")
            _check_elapsed(f"correlations[{n}].within", correlation.within)
        _check_elapsed("within", policy.within)
    if isinstance(policy, ClockPolicy):
        for n, row in enumerate(policy.rows):
            _check_elapsed(f"rows[{n}].acknowledge", row.acknowledge)
            for field in ("resolve", "resolve_several"):
                if row.resolve and row.resolve_several:
                    _check_alike(f"rows[{n}]", row.resolve, row.resolve_several)
                if (text := getattr(row, field)) and not length_of(text).us:
                    raise PolicyError(f"rows[{n}].{field}", "positive", "expected more than no time")
        _check_elapsed("accept", policy.accept)
    if isinstance(policy, BrakePolicy):
        names: set[str] = set()
        for n, brake in enumerate(policy.brakes):
            if brake.name in names:
                raise PolicyError(f"brakes[{n}].name", "unique", f"{brake.name} is there twice")
            names.add(brake.name)
            _check_brake(f"brakes[{n}]", brake)


def _check_brake(field: str, brake: Brake) -> None:
    figure = FIGURES.get(brake.figure)
    if figure is None:
        raise PolicyError(f"{field}.figure", "figure", f"expected one of {', '.join(FIGURES)}")
    if (brake.above is None) == (brake.below is None):
        raise PolicyError(f"{field}.above", "one_threshold", "expected either `above` or `below`")
    for name in ("above", "below", "clear"):
        value = getattr(brake, name)
        if value is not None and not (0 <= value <= (1 if figure.unit is Unit.SHARE else 1e9)):
            raise PolicyError(f"{field}.{name}", "range", "expected 0 to 1 for a share, else 0 or more")
    if brake.clear > brake.threshold if brake.above is not None else brake.clear < brake.threshold:
        raise PolicyError(f"{field}.clear", "hysteresis", "expected the threshold or a better value")
    if brake.scope == "city" and brake.wards is not None:
        raise PolicyError(f"{field}.wards", "scope", "wards belong to the scope `ward`")
    if figure.city_only and (brake.scope == "ward" or brake.category is not None):
        raise PolicyError(f"{field}.scope", "city_only", f"{figure.id} is known for the whole city only")
    if brake.forecast is not None:
        _check_elapsed(f"{field}.forecast", brake.forecast)
        if not 0 < length_of(brake.forecast).us <= MAX_FORECAST_US:
            raise PolicyError(f"{field}.forecast", "range", "expected more than no time and at most 24h")


def _check_elapsed(field: str, text: str | None) -> None:
    if text and length_of(text).working:
        raise PolicyError(field, "elapsed", "runs day and night: expected s, m, h or d")


def _check_alike(field: str, resolve: str, several: str) -> None:
    one, other = length_of(resolve), length_of(several)
    if one.working != other.working or other.us < one.us:
        raise PolicyError(
            f"{field}.resolve_several",
            "resolve_several",
            f"expected at least {resolve}, counted in the same days",
        )


def derive(policies: Policies) -> Policies:
    """Return `policies` with a calendar that follows their calendar policy."""
    chosen = policies.calendar
    days = WorkingCalendar(chosen.days_off, chosen.make_up_days)
    return msgspec.structs.replace(policies, days=days)
