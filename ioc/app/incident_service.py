"""Incidents between the pure state machine and the database: read, decide, write, one transaction each."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import structlog
from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation

from ioc.api.ports import NotFoundError
from ioc.app.clock import now_us
from ioc.app.incident_log import log_change
from ioc.app.retry import RETRYABLE
from ioc.incidents.lifecycle import Command, Conflict, Refused, close_returned, on_command, on_effect
from ioc.model.incidents import Audit, Change, Cleared, Condition, Effect, Incident, Raised
from ioc.model.times import SECOND_US, from_us
from ioc.store import incidents as rows
from ioc.store.pool import Pool

_log = structlog.get_logger()

KEEPER_INTERVAL_S = 5.0
KEEPER_BATCH = 500


async def apply_effects(connection: AsyncConnection[Any], effects: Sequence[Effect]) -> list[Change]:
    """Carry out the effects of rules inside the caller's transaction and return what changed.

    A key may come from another partition than before, for instance when a camera's ward was corrected. That
    partition's episode is then over: it is cleared where the new one is raised.
    """
    raised = [(effect.rule, effect.key) for effect in effects if isinstance(effect, Raised)]
    rivals = await rows.read_active_ids(connection, raised) if raised else []
    known = await rows.read_for_update(connection, [effect.incident_id for effect in effects] + rivals)
    active = {(i.rule, i.key): i.id for i in known.values() if i.condition is Condition.ACTIVE}
    changes: list[Change] = []
    for effect in _with_rivals_cleared(effects, known, active):
        change = on_effect(known.get(effect.incident_id), effect)
        if change:
            known[change.incident.id] = change.incident
            changes.append(change)
    await rows.write_changes(connection, changes)
    return changes


def _with_rivals_cleared(
    effects: Sequence[Effect], known: Mapping[str, Incident], active: dict[tuple[str, str], str]
) -> Iterator[Effect]:
    """Yield `effects`, before each new episode the end of the one it replaces."""
    for effect in effects:
        if isinstance(effect, Raised) and effect.incident_id not in known:
            rival = active.get((effect.rule, effect.key))
            if rival and known[rival].condition is Condition.ACTIVE:
                yield Cleared(incident_id=rival, at_us=effect.at_us, reason="superseded", count=0)
            active[effect.rule, effect.key] = effect.incident_id
        yield effect


class IncidentService:
    """What the API does with incidents."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(self, query: rows.IncidentFilter) -> tuple[list[Incident], str | None]:
        """Return a page of incidents and the next page's cursor."""
        async with self._pool.connection() as connection:
            return await rows.read_page(connection, query)

    async def get(self, incident_id: str) -> Incident:
        """Return one incident.

        Raises:
            NotFoundError: there is none.
        """
        async with self._pool.connection() as connection:
            incident = await rows.read_incident(connection, incident_id)
        if incident is None:
            raise NotFoundError(incident_id)
        return incident

    async def history(self, incident_id: str) -> list[Audit]:
        """Return an incident's audit rows, oldest first."""
        async with self._pool.connection() as connection:
            return await rows.read_history(connection, incident_id)

    async def command(self, incident_id: str, command: Command, actor: str) -> Incident:
        """Carry out a person's command; a repeat of its idempotency key answers with the present state.

        Raises:
            NotFoundError: no such incident.
            Conflict: it has changed since the person looked.
            Refused: the state machine forbids it.
        """
        try:
            async with self._pool.connection() as connection, connection.transaction():
                known = await rows.read_for_update(connection, [incident_id])
                if incident_id not in known:
                    raise NotFoundError(incident_id)
                incident = known[incident_id]
                used_for = await rows.claim_command(connection, command.idem, incident_id, actor)
                if used_for == incident_id:
                    return incident
                if used_for is not None:
                    raise Refused("idem_reused", "this key was used for another incident", "idem")
                change = on_command(incident, command, actor=actor, now_us=now_us())
                await rows.write_changes(connection, [change])
            log_change(change)
            return change.incident
        except UniqueViolation as error:
            raise Conflict(await self.get(incident_id)) from error


class IncidentKeeper:
    """Closes incidents that went away by themselves and that nobody took up."""

    def __init__(self, pool: Pool, close_after_s: int) -> None:
        self._pool = pool
        self._close_after_s = close_after_s

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            try:
                await self.sweep(now_us())
            except RETRYABLE as error:
                _log.warning("incident sweep failed, it will be tried again", error=str(error))
            await asyncio.sleep(KEEPER_INTERVAL_S)

    async def sweep(self, at_us: int) -> int:
        """Close what is due at `at_us`, at most `KEEPER_BATCH`, and return how many."""
        async with self._pool.connection() as connection, connection.transaction():
            before = from_us(at_us - self._close_after_s * SECOND_US)
            ids = await rows.read_returned(connection, before, KEEPER_BATCH)
            known = await rows.read_for_update(connection, ids)
            found = (
                close_returned(incident, now_us=at_us, after_s=self._close_after_s)
                for incident in known.values()
            )
            changes = [change for change in found if change]
            await rows.write_changes(connection, changes)
        for change in changes:
            log_change(change)
        return len(changes)
