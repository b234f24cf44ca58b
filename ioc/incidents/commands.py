"""What a person may ask of an incident, how that is refused, and the table of the state machine."""

import re
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from ioc.model.incidents import OPEN_HANDLINGS, Handling, Incident, PauseReason

MAX_NOTE_CHARS: Final = 4_000
MAX_ASSIGNEE_CHARS: Final = 120
MAX_PHOTO_CHARS: Final = 200
MAX_AGENCIES: Final = 8
MAX_SHELVE_S: Final = 24 * 3600
"""Longest time an incident may be shelved at once."""


class Op(StrEnum):
    """What a person can do to an incident."""

    ACKNOWLEDGE = "acknowledge"
    ASSIGN = "assign"
    START = "start"
    RESOLVE = "resolve"
    CLOSE = "close"
    REJECT = "reject"
    REOPEN = "reopen"
    REROUTE = "reroute"
    ACCEPT = "accept"
    DECLINE = "decline"
    MERGE = "merge"
    UNMERGE = "unmerge"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"
    PAUSE = "pause"
    RESUME = "resume"
    INVOLVE = "involve"
    COMMENT = "comment"
    STEP = "step"
    SKIP = "skip"


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One command of one person. `idem` makes a repeat harmless; `expect_rev` what the person saw."""

    op: Op
    expect_rev: int
    idem: str
    assignee: str | None = None
    """assign: who takes it; involve: who joins in."""
    note: str | None = None
    ward: str | None = None
    """reroute: the ward that gets it."""
    into: str | None = None
    """merge: the incident that it becomes part of."""
    until_us: int | None = None
    """shelve: until when."""
    reason: PauseReason | None = None
    """pause: why."""
    photo: str | None = None
    """resolve, step: reference of a picture."""
    step: str | None = None
    """step, skip: which."""
    answer: str | None = None
    """step: the id of the answer, where it offers some."""
    override: str | None = None
    """resolve: why a supervisor ends it although required steps are open."""


class CommandError(Exception):
    """A command that was not carried out. Subclasses: `Conflict`, `KeyReused`, `Refused`."""


class Conflict(CommandError):
    """The incident has changed since the person looked; `current` is what it is now."""

    field = "expect_rev"
    rule = "revision"

    def __init__(self, current: Incident) -> None:
        super().__init__(self._say(current))
        self.current = current

    def _say(self, current: Incident) -> str:
        return f"the incident is at revision {current.rev} now; look at it and try again"


class KeyReused(Conflict):
    """An idempotency key that has been used for another command; nothing was done."""

    field = "idem"
    rule = "idem_reused"

    def _say(self, current: Incident) -> str:
        return "this key was used for another command; send this one with a key of its own"


class Refused(CommandError):
    """A rule of the state machine forbids it. `rule` names it, `field` the argument at fault."""

    def __init__(self, rule: str, detail: str, field: str = "op") -> None:
        super().__init__(detail)
        self.rule = rule
        self.detail = detail
        self.field = field


class Transition(NamedTuple):
    """From which handlings an operation is legal, and where it leads; None leaves the handling as it is."""

    sources: frozenset[Handling]
    target: Handling | None
    letter: str
    needs: frozenset[str] = frozenset()
    """Arguments it cannot do without."""
    keeps: frozenset[Handling] = frozenset()
    """Sources in which the handling stays as it is all the same."""


_OPEN: Final = OPEN_HANDLINGS
_FINISHED: Final = frozenset({Handling.RESOLVED, Handling.CLOSED, Handling.REJECTED})
_NOTE: Final = frozenset({"note"})
_BEFORE_WORK: Final = _OPEN - {Handling.IN_PROGRESS}
_CLAIMED: Final = frozenset({Handling.ASSIGNED, Handling.IN_PROGRESS})

TRANSITIONS: Final[dict[Op, Transition]] = {
    Op.ACKNOWLEDGE: Transition(frozenset({Handling.NEW}), Handling.ACKNOWLEDGED, "A"),
    Op.ASSIGN: Transition(_OPEN, Handling.ASSIGNED, "B", frozenset({"assignee"})),
    Op.START: Transition(_BEFORE_WORK, Handling.IN_PROGRESS, "C"),
    Op.RESOLVE: Transition(_OPEN, Handling.RESOLVED, "D", _NOTE),
    Op.CLOSE: Transition(frozenset({Handling.RESOLVED}), Handling.CLOSED, "E"),
    Op.REJECT: Transition(_BEFORE_WORK, Handling.REJECTED, "F", _NOTE),
    Op.REOPEN: Transition(_FINISHED, Handling.NEW, "G", _NOTE),
    Op.REROUTE: Transition(_OPEN, Handling.NEW, "H", frozenset({"ward", "note"})),
    Op.ACCEPT: Transition(frozenset({Handling.NEW}), Handling.ACKNOWLEDGED, "I"),
    Op.DECLINE: Transition(frozenset({Handling.NEW}), Handling.NEW, "J", _NOTE),
    Op.MERGE: Transition(_OPEN, Handling.MERGED, "K", frozenset({"into"})),
    # Back to what it was when it was merged.
    Op.UNMERGE: Transition(frozenset({Handling.MERGED}), None, "L"),
    Op.SHELVE: Transition(_OPEN, None, "M", frozenset({"until", "note"})),
    Op.UNSHELVE: Transition(_OPEN, None, "N"),
    Op.PAUSE: Transition(_OPEN, None, "O", frozenset({"reason", "note"})),
    Op.RESUME: Transition(_OPEN, None, "P"),
    Op.INVOLVE: Transition(_OPEN, None, "Q", frozenset({"assignee", "note"})),
    Op.COMMENT: Transition(frozenset(Handling), None, "R", _NOTE),
    # Whoever works through its procedure has claimed it. Work on the spot has not begun by that: that is C.
    Op.STEP: Transition(_OPEN, Handling.ASSIGNED, "S", frozenset({"step"}), _CLAIMED),
    Op.SKIP: Transition(_OPEN, Handling.ASSIGNED, "T", frozenset({"note", "step"}), _CLAIMED),
}
"""The whole state machine of handling; `docs/incidents.md` draws it."""

GUARDS: Final[dict[str, str]] = {
    "transition": "the operation is not possible from this handling",
    "note_required": "the operation needs a note that says why or what was done",
    "note_length": f"a note has at most {MAX_NOTE_CHARS} characters",
    "assignee_required": "assign and involve need the person, team or agency",
    "assignee_length": f"a name has at most {MAX_ASSIGNEE_CHARS} characters",
    "ward_required": "reroute needs the code of the ward that gets it",
    "ward_unknown": "there is no such ward on today's map",
    "ward_same": "the incident is in that ward already",
    "not_handed_over": "only what another ward has handed over can be accepted or declined",
    "into_required": "merge needs the incident that this one becomes part of",
    "into_self": "an incident cannot become part of itself",
    "into_closed": "the incident to merge into is finished or merged itself",
    "into_full": "the incident to merge into has as many members as grouping allows",
    "has_members": "an incident that others are part of cannot become part of one: unmerge them first",
    "until_required": "shelve needs the time at which the incident comes back",
    "until_bound": f"an incident is shelved until a time ahead, at most {MAX_SHELVE_S // 3600} hours",
    "not_shelved": "the incident is not shelved",
    "reason_required": "a clock stands still only for a stated reason",
    "already_paused": "its clock stands still already",
    "not_paused": "its clock is running",
    "agency_known": "this agency is involved already",
    "agencies_bound": f"at most {MAX_AGENCIES} agencies can be involved",
    "photo_reference": f"a photo is named by its reference: 1 to {MAX_PHOTO_CHARS} of A-Z a-z 0-9 . _ / -",
    "photo_unknown": "there is no picture of this name that is free for this incident: send it first",
    "no_procedure": "no procedure belongs to this incident",
    "step_required": "step and skip need the step",
    "step_unknown": "its procedure has no such step, or the branch that leads to it was not entered",
    "step_taken": "this step has been done or skipped already",
    "answer": "this step expects one of its answers",
    "photo_required": "this step asks for a picture",
    "procedure_unknown": "the text of its procedure is not known here yet; try again in a moment",
    "steps_open": "required steps are open: do them, skip them for a reason, or have a supervisor give one",
    "override_role": "only a supervisor may end an incident while required steps are open",
}
"""Every rule by which the state machine refuses, and what it says."""

_PHOTO: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")


def photo_of(command: Command) -> str | None:
    """Return the reference of a command's picture.

    Raises:
        Refused: it is none.
    """
    photo = command.photo
    if photo is not None and (len(photo) > MAX_PHOTO_CHARS or not _PHOTO.fullmatch(photo)):
        raise Refused("photo_reference", GUARDS["photo_reference"], "args.photo")
    return photo
