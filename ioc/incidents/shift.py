"""Shifts and their hand-over. Pure.

    running ── start ──► handing over ── pass ──► passed, and the next shift runs
       ▲                     │
       └────── cancel ───────┘

While a shift is handed over, whatever is open stands on a list: each item is accepted or questioned by the
incoming lead, and what arises meanwhile is added. Nothing here touches an incident: no clock pauses.

An item carries the revision of the shift at which it last changed. Whoever decides says which revision they
saw; what changed after that is not decided. So two people may act at once, and nobody accepts the unseen.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from ioc.model.incidents import RANK
from ioc.model.shifts import Item, Listed, Shift, ShiftState, Verdict

MAX_NOTE_CHARS: Final = 2_000
MAX_SELECTED: Final = 500
"""Items decided by one command, but for `accept_rest`."""
MAX_ITEMS: Final = 5_000
"""Items of one hand-over; the least severe beyond that are counted (`left_out`)."""


class ShiftOp(StrEnum):
    """What a lead can do."""

    START = "start"
    OPEN = "open"
    NOTE = "note"
    ACCEPT = "accept"
    ACCEPT_REST = "accept_rest"
    QUESTION = "question"
    CANCEL = "cancel"
    PASS = "pass"  # noqa: S105 - no secret


class ShiftCommand(msgspec.Struct, frozen=True, kw_only=True):
    """One command. `expect_rev` is the revision the person saw, `idem` makes a repeat harmless."""

    op: ShiftOp
    expect_rev: int
    idem: str
    items: tuple[str, ...] = ()
    note: str | None = None


class ShiftRefused(Exception):
    """A rule of the hand-over forbids it. `rule` names it, `field` the argument at fault."""

    def __init__(self, rule: str, field: str = "op", detail: str = "") -> None:
        super().__init__(detail or SHIFT_GUARDS[rule])
        self.rule = rule
        self.field = field


class ShiftConflict(Exception):
    """Items have changed since the person looked, or the shift is another; `current` is what it is now."""

    def __init__(self, current: Shift) -> None:
        super().__init__(f"shift {current.id} is at revision {current.rev} now; look at it and try again")
        self.current = current


SHIFT_GUARDS: Final[dict[str, str]] = {
    "not_running": "a hand-over is under way already",
    "not_handing_over": "no hand-over is under way: start one first",
    "same_person": "nobody takes a shift over from themselves",
    "absent_required": "whoever starts a hand-over in place of the lead says why the lead is not there",
    "not_incoming": "somebody else takes this shift over",
    "not_opened": "open the list first: nothing is accepted unseen",
    "not_involved": "only the lead, whoever takes over, and whoever started it may do this",
    "items_required": f"name the items: 1 to {MAX_SELECTED}",
    "item_unknown": "there is no such item on the list",
    "nothing_left": "nothing is left to accept",
    "reason_required": "whoever questions an item says why",
    "note_required": "a note needs its text",
    "note_length": f"a note has at most {MAX_NOTE_CHARS} characters",
    "items_open": "items are neither accepted nor questioned",
}
"""Every rule by which a hand-over refuses, and what it says."""


class Outcome(NamedTuple):
    """What a command leaves: the shift, the items it changed, and who leads the next one if it has passed."""

    shift: Shift
    items: list[Item] = []  # noqa: RUF012 - a default that nobody changes
    next_lead: str | None = None
    dropped: bool = False
    """The list is thrown away."""


class _Act(NamedTuple):
    shift: Shift
    items: Mapping[str, Item]
    command: ShiftCommand
    actor: str
    now_us: int


def on_shift_command(
    shift: Shift, items: Mapping[str, Item], command: ShiftCommand, *, actor: str, now_us: int
) -> Outcome:
    """Carry out `command` on the current shift and its list.

    Raises:
        ShiftConflict: an item it names has changed since `expect_rev`.
        ShiftRefused: a rule forbids it; `SHIFT_GUARDS` lists them.
    """
    if command.note and len(command.note) > MAX_NOTE_CHARS:
        raise ShiftRefused("note_length", "args.note")
    handing_over = shift.state is ShiftState.HANDING_OVER
    if command.op is ShiftOp.START and handing_over:
        raise ShiftRefused("not_running")
    if command.op is not ShiftOp.START and not handing_over:
        raise ShiftRefused("not_handing_over")
    outcome = _ACTS[command.op](_Act(shift, items, command, actor, now_us))
    rev = shift.rev + 1
    return outcome._replace(
        shift=msgspec.structs.replace(outcome.shift, rev=rev),
        items=[msgspec.structs.replace(item, rev=rev) for item in outcome.items],
    )


def _start(act: _Act) -> Outcome:
    by_lead = act.actor == act.shift.lead
    absent = (act.command.note or "").strip() or None
    if not by_lead and absent is None:
        raise ShiftRefused("absent_required", "args.note")
    shift = msgspec.structs.replace(
        act.shift,
        state=ShiftState.HANDING_OVER,
        started_us=act.now_us,
        started_by=act.actor,
        absent=None if by_lead else absent,
        incoming=None if by_lead else act.actor,
    )
    return Outcome(shift)


def _open(act: _Act) -> Outcome:
    if act.actor == act.shift.lead:
        raise ShiftRefused("same_person")
    if act.shift.incoming not in (None, act.actor):
        raise ShiftRefused("not_incoming")
    return Outcome(msgspec.structs.replace(act.shift, incoming=act.actor, is_opened=True))


def _note(act: _Act) -> Outcome:
    _require_involved(act)
    note = (act.command.note or "").strip()
    if not note:
        raise ShiftRefused("note_required", "args.note")
    # It needs no fresh look and voids no decision; who decides later has to have read it.
    return Outcome(act.shift, [msgspec.structs.replace(item, note=note) for item in _selected(act)])


def _accept(act: _Act) -> Outcome:
    _require_opened(act)
    return Outcome(act.shift, [_decided(act, item, Verdict.ACCEPTED) for item in _seen(act)])


def _accept_rest(act: _Act) -> Outcome:
    _require_opened(act)
    rest = [item for item in act.items.values() if item.is_undecided and item.rev <= act.command.expect_rev]
    if not rest:
        raise ShiftRefused("nothing_left")
    return Outcome(act.shift, [_decided(act, item, Verdict.ACCEPTED) for item in rest])


def _question(act: _Act) -> Outcome:
    _require_opened(act)
    reason = (act.command.note or "").strip()
    if not reason:
        raise ShiftRefused("reason_required", "args.note")
    return Outcome(act.shift, [_decided(act, item, Verdict.QUESTIONED, reason) for item in _seen(act)])


def _cancel(act: _Act) -> Outcome:
    _require_involved(act)
    shift = Shift(id=act.shift.id, lead=act.shift.lead, began_us=act.shift.began_us, rev=act.shift.rev)
    return Outcome(shift, dropped=True)


def _pass(act: _Act) -> Outcome:
    _require_opened(act)
    undecided = sum(item.is_undecided for item in act.items.values())
    if undecided:
        raise ShiftRefused("items_open", detail=f"{undecided} {SHIFT_GUARDS['items_open']}")
    shift = msgspec.structs.replace(act.shift, state=ShiftState.PASSED, passed_us=act.now_us)
    return Outcome(shift, next_lead=act.actor)


_ACTS: Final[Mapping[ShiftOp, Callable[[_Act], Outcome]]] = {
    ShiftOp.START: _start,
    ShiftOp.OPEN: _open,
    ShiftOp.NOTE: _note,
    ShiftOp.ACCEPT: _accept,
    ShiftOp.ACCEPT_REST: _accept_rest,
    ShiftOp.QUESTION: _question,
    ShiftOp.CANCEL: _cancel,
    ShiftOp.PASS: _pass,
}


def _require_involved(act: _Act) -> None:
    if act.actor not in (act.shift.lead, act.shift.incoming, act.shift.started_by):
        raise ShiftRefused("not_involved")


def _require_opened(act: _Act) -> None:
    if act.actor == act.shift.lead:
        raise ShiftRefused("same_person")
    if act.shift.incoming not in (None, act.actor):
        raise ShiftRefused("not_incoming")
    if not act.shift.is_opened or act.shift.incoming is None:
        raise ShiftRefused("not_opened")


def _selected(act: _Act) -> list[Item]:
    chosen = dict.fromkeys(act.command.items)
    if not 1 <= len(chosen) <= MAX_SELECTED:
        raise ShiftRefused("items_required", "args.items")
    if any(ref not in act.items for ref in chosen):
        raise ShiftRefused("item_unknown", "args.items")
    return [act.items[ref] for ref in chosen]


def _seen(act: _Act) -> list[Item]:
    """Return the selected items, provided that the person has seen them as they are."""
    selected = _selected(act)
    if any(item.rev > act.command.expect_rev for item in selected):
        raise ShiftConflict(act.shift)
    return selected


def _decided(act: _Act, item: Item, verdict: Verdict, reason: str | None = None) -> Item:
    return msgspec.structs.replace(item, verdict=verdict, by=act.actor, at_us=act.now_us, reason=reason)


# what arises meanwhile --------------------------------------------------------------------------------------


def on_list(
    shift: Shift, items: Mapping[str, Item], listed: Iterable[Listed], left_out: int, now_us: int
) -> Outcome:
    """Bring the list up to date: what is new is added, what has ended is marked.

    What comes back, and what grows more severe, has to be decided again.
    """
    rev, changed = shift.rev + 1, []
    seen = {each.ref: each for each in listed}
    for ref, now in seen.items():
        before = items.get(ref)
        if before is None:
            changed.append(Item(listed=now, rev=rev, added_us=now_us))
        elif before.gone or _is_worse(before.listed, now):
            changed.append(_undecided(before, now, rev))
        elif before.listed != now:
            # Its figures only: whoever has seen it has seen enough.
            changed.append(msgspec.structs.replace(before, listed=now))
    changed += [
        msgspec.structs.replace(item, gone=True, rev=rev)
        for ref, item in items.items()
        # Where the list is too long, what is missing may merely have moved beyond its end.
        if not left_out and ref not in seen and not item.gone
    ]
    if not changed and left_out == shift.left_out:
        return Outcome(shift)
    return Outcome(msgspec.structs.replace(shift, rev=rev, left_out=left_out), changed)


def _is_worse(before: Listed, now: Listed) -> bool:
    ranks = (RANK[each.severity] if each.severity else 0 for each in (before, now))
    return before.kind is not now.kind or next(ranks) < next(ranks)


def _undecided(before: Item, now: Listed, rev: int) -> Item:
    return Item(listed=now, rev=rev, added_us=before.added_us, note=before.note)
