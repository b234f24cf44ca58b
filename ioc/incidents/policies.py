"""What a centre decides for itself: who is responsible, how long things may take, what belongs together.

Each policy is data that people edit and that has versions; the defaults here are what is shipped. A policy is
plain JSON or YAML in the shape of its struct; `parse_policy` says what is wrong with one.
"""

from datetime import date
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from ioc.incidents.brake_policy import BrakePolicy, check_brakes
from ioc.incidents.calendar import WorkingCalendar
from ioc.incidents.citizen_policy import CitizenPolicy, check_citizens
from ioc.incidents.policy_shapes import Code as Code
from ioc.incidents.policy_shapes import Name as Name
from ioc.incidents.policy_shapes import Offset, Shape, Span, check_elapsed
from ioc.incidents.policy_shapes import PolicyError as PolicyError
from ioc.incidents.policy_shapes import length_of as length_of
from ioc.incidents.policy_shapes import nearness_of as nearness_of
from ioc.incidents.procedures import MAX_PROCEDURES, Procedure, check_procedures
from ioc.incidents.proof_policy import ProofPolicy, check_proof
from ioc.incidents.shipped_procedures import SHIPPED
from ioc.model.incidents import Severity

MAX_ROWS: Final = 500
MAX_RADIUS_M: Final = 5_000
MAX_MEMBERS: Final = 500

# who is responsible -----------------------------------------------------------------------------------------


class Responsible(Shape, frozen=True, kw_only=True):
    """One row of the authority table: `team` answers for this category, in these wards.

    What is left out stands for every category or every ward. `{ward}` in a team is the ward's name.
    """

    team: Name
    category: Code | None = None
    wards: Annotated[tuple[Code, ...], Meta(min_length=1, max_length=400)] | None = None


class AuthorityTable(Shape, frozen=True, kw_only=True, omit_defaults=False):
    """Category and ward → team. The most particular row decides; `fallback` where none does."""

    rows: Annotated[tuple[Responsible, ...], Meta(max_length=MAX_ROWS)] = ()
    fallback: Name = "Tổ trực trung tâm"


# how long things may take -----------------------------------------------------------------------------------


class Allowed(Shape, frozen=True, kw_only=True):
    """Time allowed for incidents of a category and severity; what is left out stands for every one.

    `resolve_several` holds instead of `resolve` where several agencies are involved.
    """

    category: Code | None = None
    severity: Severity | None = None
    acknowledge: Span | None = None
    respond: Span | None = None
    resolve: Span | None = None
    resolve_several: Span | None = None


class Step(Shape, frozen=True, kw_only=True):
    """One step of escalation: at `at`, seen from the due date of `clock`, tell `to`."""

    clock: Literal["acknowledge", "respond", "resolve"]
    at: Offset
    to: Name
    level: Annotated[int, Meta(ge=1, le=9)]


class ClockPolicy(Shape, frozen=True, kw_only=True, omit_defaults=False):
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


class CalendarPolicy(Shape, frozen=True, kw_only=True, omit_defaults=False):
    """Days off besides weekends and public holidays, and days worked in their stead."""

    days_off: Annotated[tuple[date, ...], Meta(max_length=MAX_ROWS)] = ()
    make_up_days: Annotated[tuple[date, ...], Meta(max_length=MAX_ROWS)] = ()


# what belongs together --------------------------------------------------------------------------------------


class Correlation(Shape, frozen=True, kw_only=True):
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


class GroupingPolicy(Shape, frozen=True, kw_only=True, omit_defaults=False):
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


# what has to be done ----------------------------------------------------------------------------------------


class ProcedurePolicy(Shape, frozen=True, kw_only=True, omit_defaults=False):
    """Checklists. The most particular that fits an incident is its own; one that has none needs none."""

    procedures: Annotated[tuple[Procedure, ...], Meta(max_length=MAX_PROCEDURES)] = SHIPPED


class Policies(msgspec.Struct, frozen=True, kw_only=True):
    """Everything in force, with what is derived from it."""

    authority: AuthorityTable = AuthorityTable()
    clocks: ClockPolicy = ClockPolicy()
    calendar: CalendarPolicy = CalendarPolicy()
    grouping: GroupingPolicy = GroupingPolicy()
    citizens: CitizenPolicy = CitizenPolicy()
    procedures: ProcedurePolicy = ProcedurePolicy()
    texts: dict[str, Procedure] = {}
    """Every procedure that was ever in force, by the name of its text."""
    proof: ProofPolicy = ProofPolicy()
    brakes: BrakePolicy = BrakePolicy()
    ward_names: dict[str, str] = {}
    """Vietnamese names of the wards in force by code."""
    days: WorkingCalendar = WorkingCalendar()


Policy = (
    AuthorityTable
    | ClockPolicy
    | CalendarPolicy
    | GroupingPolicy
    | CitizenPolicy
    | ProcedurePolicy
    | ProofPolicy
    | BrakePolicy
)
POLICIES: Final[dict[str, type[Policy]]] = {
    "authority": AuthorityTable,
    "clocks": ClockPolicy,
    "calendar": CalendarPolicy,
    "grouping": GroupingPolicy,
    "citizens": CitizenPolicy,
    "procedures": ProcedurePolicy,
    "proof": ProofPolicy,
    "brakes": BrakePolicy,
}
"""Name → shape of every policy."""


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
    if isinstance(policy, ProcedurePolicy):
        check_procedures(policy.procedures)
    if isinstance(policy, GroupingPolicy):
        for n, correlation in enumerate(policy.correlations):
            if not correlation.rules and not correlation.categories:
                raise PolicyError(f"correlations[{n}]", "names_something", "expected `rules` or `categories`")
            check_elapsed(f"correlations[{n}].within", correlation.within)
        check_elapsed("within", policy.within)
    if isinstance(policy, ClockPolicy):
        for n, row in enumerate(policy.rows):
            check_elapsed(f"rows[{n}].acknowledge", row.acknowledge)
            if row.resolve and row.resolve_several:
                _check_alike(f"rows[{n}]", row.resolve, row.resolve_several)
            for field in ("resolve", "resolve_several"):
                if (text := getattr(row, field)) and not length_of(text).us:
                    raise PolicyError(f"rows[{n}].{field}", "positive", "expected more than no time")
        check_elapsed("accept", policy.accept)
    if isinstance(policy, CitizenPolicy):
        check_citizens(policy)
    if isinstance(policy, ProofPolicy):
        check_proof(policy)
    if isinstance(policy, BrakePolicy):
        check_brakes(policy)


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
