"""A rule as the engine uses it: frozen, checked, with every default filled in."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from ioc.model.events import Stream
from ioc.model.incidents import Clocks, Severity
from ioc.model.texts import Text
from ioc.rules.predicate import Predicate
from ioc.rules.predicate.ast import Field, Value

Function = Literal[
    "count", "rate", "distinct", "sum", "avg", "min", "max", "p50", "p95", "stddev", "ewma_z"
]  # fmt: skip
Transition = Literal["inside", "enters", "leaves", "dwells", "crosses"]
LatePolicy = Literal["drop", "amend"]
Order = Literal["time", "arrival"]
BoundOp = Literal[">=", ">", "<=", "<"]

RANK: dict[Severity, int] = {Severity.LOW: 0, Severity.MEDIUM: 1, Severity.HIGH: 2, Severity.CRITICAL: 3}


def reaches(value: float, op: BoundOp, threshold: float) -> bool:
    """Return whether `value op threshold`; false for NaN."""
    if op == ">=":
        return value >= threshold
    if op == ">":
        return value > threshold
    return value <= threshold if op == "<=" else value < threshold


FORGET_WINDOWS: Final = 4
"""`ewma_z` forgets a key after so many windows without a reading; an older reading weighs less than 2 %."""


@dataclass(frozen=True, slots=True)
class Having:
    """A condition on the events of the last `window_us`."""

    text: str
    function: Function
    argument: Value | None
    op: BoundOp
    threshold: float
    window_us: int
    tumbling: bool = False
    """Windows side by side, aligned to the epoch and judged when they close, instead of one that slides."""
    samples: int = 0
    """Fewer events than so many have no value."""
    warm_up_us: int = 0
    """`ewma_z` judges a key only so long after its first reading, and after `samples` readings."""


@dataclass(frozen=True, slots=True)
class SeverityStep:
    """From `at` on (in the direction of having's operator) the severity is `level`."""

    level: Severity
    at: float


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a sequence."""

    types: tuple[str, ...]
    where: Predicate


@dataclass(frozen=True, slots=True)
class Chain:
    """Steps to be taken in order, the last less than `within_us` after the first."""

    steps: tuple[Step, ...]
    within_us: int


@dataclass(frozen=True, slots=True)
class AreaChoice:
    """Areas of a kind and/or with given codes."""

    kind: str | None
    codes: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class FenceWatch:
    """What a subject does at the border of areas."""

    when: Transition
    area: AreaChoice
    dwell_us: int
    initial: Literal["unknown", "outside"]
    margin_m: float
    lost_us: int

    @property
    def lasting(self) -> bool:
        """Whether the rule is about being inside rather than about a moment."""
        return self.when in ("inside", "dwells")


@dataclass(frozen=True, slots=True)
class Nearby:
    """The other events a correlation looks for."""

    types: tuple[str, ...]
    where: Predicate | None
    metres: float
    within_us: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where in its file something stands, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. Durations are microseconds; 0 means at once."""

    name: str
    title: Text
    stream: Stream
    types: tuple[str, ...]
    severity: Severity
    category: str
    version: str
    """Hash of the rule as written: part of every incident it raises."""
    summary: Text | None = None
    words: Mapping[str, Text] = field(default_factory=dict)
    """What title and summary show in place of a field's value, by that value."""
    where: Predicate | None = None
    area: AreaChoice | None = None
    wards: frozenset[str] | None = None
    by: tuple[Field, ...] = ()
    having: Having | None = None
    for_us: int = 0
    clear_when: Predicate | None = None
    hold_us: int = 0
    cooldown_us: int = 0
    """After an episode of a key ends, none begins for so long."""
    late: LatePolicy = "drop"
    """What becomes of a late event: `amend` lets it add to an open episode, never begin one."""
    order: Order = "arrival"
    """Whether events wait for the watermark and are then applied in order of time, or are applied at once."""
    absence_us: int | None = None
    sequence: Chain | None = None
    fence: FenceWatch | None = None
    near: Nearby | None = None
    steps: tuple[SeverityStep, ...] = ()
    """Rising severities by having's value; `severity` is the lowest."""
    clocks: Clocks = field(default_factory=Clocks)
    shown: tuple[Field, ...] = ()
    """Fields that title and summary mention."""
    enabled: bool = True
    file: str = ""
    places: dict[str, Place] = field(default_factory=dict, compare=False, repr=False)
    """Where each key stands, and the rule itself (""), for findings made after reading."""

    @property
    def listens(self) -> tuple[str, ...]:
        """Every event type that may matter."""
        return self.types if self.near is None else tuple(dict.fromkeys((*self.types, *self.near.types)))

    @property
    def wide(self) -> bool:
        """Whether events of one key may come from several wards, and so from several partitions of the log.

        They cannot where the key holds `ward`, or `source`, whose device stands in one ward.
        """
        return not any(field.name in ("ward", "source") for field in self.by)

    @property
    def kind(self) -> str:
        """What kind of machine runs the rule."""
        if self.absence_us is not None:
            return "silence"
        if self.sequence is not None:
            return "sequence"
        if self.fence is not None:
            return "fence"
        if self.near is not None:
            return "near"
        if self.having is not None and self.having.function == "ewma_z":
            return "ewma"
        return "window" if self.having else "spell"

    @property
    def shape(self) -> str:
        """Hash of what the meaning of stored state depends on: equal shapes keep their state.

        Thresholds, durations, predicates, texts and severities may change freely; the event types, the key,
        what is measured and the window may not.
        """
        having = self.having
        measured = having and (having.function, having.argument, having.window_us)
        if having is not None and having.tumbling:
            measured = (*(measured or ()), "tumbling")
        parts: tuple[object, ...] = (
            self.name,
            self.stream.value,
            self.types,
            tuple(f.name for f in self.by),
            self.kind,
            measured,
        )
        if self.sequence is not None:
            parts = (*parts, tuple(step.types for step in self.sequence.steps))
        if self.fence is not None:
            parts = (*parts, self.fence.when, self.fence.area)
        if self.near is not None:
            parts = (*parts, self.near.types)
        return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()
