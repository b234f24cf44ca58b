"""Shifts between the pure hand-over and the database: read, decide, write, one transaction each."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from prometheus_client import Gauge
from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation

from ioc.api.ports import NotFoundError, RuleInfo
from ioc.app.clock import now_us
from ioc.incidents.shift import (
    MAX_ITEMS,
    Outcome,
    ShiftCommand,
    ShiftConflict,
    on_list,
    on_shift_command,
)
from ioc.incidents.shift_report import ShiftReport, build_report
from ioc.model.incidents import Severity
from ioc.model.shifts import Item, ItemKind, Listed, Shift, ShiftState
from ioc.model.texts import Text
from ioc.store import audit
from ioc.store import shifts as rows
from ioc.store.incidents import claim_command
from ioc.store.row_scope import Pool
from ioc.stream.masking import mask_text

BEGIN: Final = "begin"
_FILLED_IN: Final = re.compile(r"\{[^}]*\}")
"""What only an incident fills in."""
_left_out = Gauge(
    "ioc_shift_items_left_out", "Open items beyond the list of the hand-over under way, the least severe"
)


class ShiftService:
    """`ioc.api.ports.Shifts`."""

    def __init__(
        self, pool: Pool, rules: Callable[[], Awaitable[Sequence[RuleInfo]]], commands: Pool | None = None
    ) -> None:
        """Read from `pool` as whoever asks; commands and the list's upkeep go through `commands`."""
        self._pool = pool
        self._commands = commands or pool
        self._rules = rules

    async def current(self) -> tuple[Shift, Sequence[Item]]:
        """Return the shift that runs, and the list where it is being handed over.

        Raises:
            NotFoundError: none has begun yet.
        """
        async with self._pool.connection() as connection:
            shift = await rows.read_current(connection)
            if shift is None:
                raise NotFoundError("shift")
            return shift, list((await rows.read_items(connection, shift.id)).values())

    async def list(self, before: int | None, limit: int) -> Sequence[Shift]:
        """Return shifts with ids below `before`, the newest first."""
        async with self._pool.connection() as connection:
            return await rows.read_shifts(connection, before, limit)

    async def report(self, shift_id: int) -> tuple[str, str]:
        """Return the report of a shift as its text was written, and the text's SHA-256 of then.

        Raises:
            NotFoundError: there is no such shift, or it has not passed.
        """
        async with self._pool.connection() as connection:
            found = await rows.read_report(connection, shift_id)
        if found is None:
            raise NotFoundError(str(shift_id))
        return found.text, found.sha256

    async def begin(self, actor: str, idem: str) -> Shift:
        """Begin the first shift of all; those after it begin where one is taken over.

        Raises:
            ShiftConflict: one runs already.
        """
        try:
            async with self._commands.connection() as connection, connection.transaction():
                if await claim_command(connection, idem, "shift", actor, _digest(BEGIN)) == _digest(BEGIN):
                    current = await rows.read_current(connection)
                    if current is not None:
                        return current
                shift = await rows.add_shift(connection, actor, now_us())
                await _record(connection, actor, BEGIN, shift)
                return shift
        except UniqueViolation as error:
            raise ShiftConflict((await self.current())[0]) from error

    async def command(self, shift_id: int, command: ShiftCommand, actor: str) -> Shift:
        """Carry out a command; return the shift that is current afterwards.

        Raises:
            NotFoundError: no shift has begun.
            ShiftConflict: it is not this one any more, or the items have changed since the person looked.
            ShiftRefused: a rule of the hand-over forbids it.
        """
        await self.sync()
        command = msgspec.structs.replace(command, note=command.note and mask_text(command.note))
        digest = _digest((shift_id, msgspec.structs.replace(command, idem="")))
        async with self._commands.connection() as connection, connection.transaction():
            shift = await rows.read_current(connection, lock=True)
            if shift is None:
                raise NotFoundError("shift")
            used = await claim_command(connection, command.idem, f"shift:{shift_id}", actor, digest)
            if used == digest:
                return shift
            if used is not None or shift.id != shift_id:
                raise ShiftConflict(shift)
            items = await rows.read_items(connection, shift.id)
            outcome = on_shift_command(shift, items, command, actor=actor, now_us=now_us())
            await rows.write_shift(connection, outcome.shift)
            await rows.write_items(connection, shift.id, outcome.items)
            if outcome.dropped:
                await rows.delete_items(connection, shift.id)
            details: dict[str, object] = {"items": len(outcome.items), "note": command.note}
            after = outcome.shift
            if outcome.next_lead is not None:
                details["report_sha256"] = await _write_report(connection, outcome, items)
                after = await rows.add_shift(connection, outcome.next_lead, outcome.shift.passed_us or 0)
            await _record(connection, actor, command.op.value, shift, details)
        if after.state is ShiftState.HANDING_OVER:
            await self.sync()
        return after

    async def sync(self) -> None:
        """Bring the list of a hand-over up to date; without one nothing happens."""
        async with self._commands.connection() as connection:
            shift = await rows.read_current(connection)
        if shift is None or shift.state is not ShiftState.HANDING_OVER:
            return
        off = [rule for rule in await self._rules() if not rule.enabled]
        async with self._commands.connection() as connection, connection.transaction():
            shift = await rows.read_current(connection, lock=True)
            if shift is None or shift.state is not ShiftState.HANDING_OVER:
                return
            listed, left_out = await rows.read_listed(connection, MAX_ITEMS)
            items = await rows.read_items(connection, shift.id)
            at_us = now_us()
            listed += [_of_rule(rule, items, at_us) for rule in off]
            _left_out.set(left_out)
            outcome = on_list(shift, items, map(_masked, listed), left_out, at_us)
            if outcome.items or outcome.shift is not shift:
                await rows.write_shift(connection, outcome.shift)
                await rows.write_items(connection, shift.id, outcome.items)


def _of_rule(rule: RuleInfo, items: Mapping[str, Item], at_us: int) -> Listed:
    ref = f"rule:{rule.rule}"
    known = items.get(ref)
    return Listed(
        ref=ref,
        kind=ItemKind.RULE,
        title=Text(*(_FILLED_IN.sub("…", words) for words in (rule.title.vi, rule.title.en))),
        # When it was disabled is not told: since it is on the list.
        since_us=known.listed.since_us if known else at_us,
        severity=Severity(rule.severity),
    )


def _masked(listed: Listed) -> Listed:
    """A report is kept for long, so nothing personal enters the list."""
    title = listed.title
    return msgspec.structs.replace(
        listed, title=msgspec.structs.replace(title, vi=mask_text(title.vi), en=mask_text(title.en))
    )


async def _write_report(connection: AsyncConnection[Any], outcome: Outcome, items: Mapping[str, Item]) -> str:
    """Keep the report of a shift that passes, in place of its list, and return its SHA-256."""
    shift = outcome.shift
    assert shift.passed_us is not None
    raised, resolved = await rows.count_between(connection, shift.began_us, shift.passed_us)
    report = build_report(shift, items.values(), raised, resolved)
    text = msgspec.json.encode(report).decode()
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    await rows.write_report(connection, rows.ReportRow(shift.id, text, sha256))
    await rows.delete_items(connection, shift.id)
    return sha256


async def _record(
    connection: AsyncConnection[Any],
    actor: str,
    op: str,
    shift: Shift,
    details: Mapping[str, object] | None = None,
) -> None:
    await audit.record(
        connection,
        audit.Area.CITY,
        actor=actor,
        op=f"shift_{op}",
        subject=f"shift:{shift.id}",
        details=details,
    )


def _digest(content: object) -> bytes:
    return hashlib.sha256(msgspec.json.encode(content)).digest()


def read_report(text: str) -> ShiftReport:
    """Return the report that `text` is."""
    return msgspec.json.decode(text, type=ShiftReport)
