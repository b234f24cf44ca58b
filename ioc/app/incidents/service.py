"""Incidents between the pure state machine and the database: read, decide, write, one transaction each."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from prometheus_client import Counter
from psycopg.errors import UniqueViolation

from ioc.api.ports import NotFoundError
from ioc.app.clock import now_us
from ioc.app.incidents.log_line import log_change
from ioc.incidents.clocks import PACE_US, WardForecast, forecast, paces
from ioc.incidents.commands import Command, Conflict, KeyReused, Op
from ioc.incidents.lifecycle import Context, on_command
from ioc.incidents.policies import Policies
from ioc.incidents.procedures import Procedure, find
from ioc.model.incidents import Audit, Incident
from ioc.model.times import HOUR_US, from_us
from ioc.store import incidents as rows
from ioc.store.photos import claim_for_incident
from ioc.store.row_scope import Pool

MAX_FORECAST: Final = 100_000
"""Open incidents a forecast looks at, those due first."""
_STEPS: Final = {Op.STEP: "done", Op.SKIP: "skipped"}
_steps = Counter("ioc_procedure_steps_total", "Steps of procedures done and skipped", ["outcome"])


class IncidentService:
    """What the API does with incidents."""

    def __init__(
        self, pool: Pool, policies: Callable[[], Policies] = Policies, commands: Pool | None = None
    ) -> None:
        """Read from `pool`. Commands go through `commands`, which must see every ward.

        A hand-over writes into another ward's rows; that the person may see the incident is checked before.
        """
        self._pool = pool
        self._commands = commands or pool
        self._policies = policies

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

    async def members(self, incident_id: str) -> list[Incident]:
        """Return what is merged into an incident, the oldest first."""
        async with self._pool.connection() as connection:
            return await rows.read_members(connection, incident_id, rows.MAX_PAGE)

    async def command(
        self, incident_id: str, command: Command, actor: str, *, supervises: bool = False
    ) -> Incident:
        """Carry out a person's command; a repeat of its idempotency key answers with the present state.

        `supervises` says that the person may end an incident while steps of its procedure are open.

        Raises:
            NotFoundError: no such incident.
            Conflict: it has changed since the person looked, or the key was used for something else.
            Refused: the state machine forbids it.
        """
        digest = digest_of(incident_id, command)
        try:
            async with self._commands.connection() as connection, connection.transaction():
                ids = [incident_id, *filter(None, [command.into])]
                known = await rows.lock_groups(connection, ids, with_members=True)
                if incident_id not in known:
                    raise NotFoundError(incident_id)
                incident = known[incident_id]
                used_for = await rows.claim_command(connection, command.idem, incident_id, actor, digest)
                if used_for == digest:
                    return incident
                if used_for is not None:
                    raise KeyReused(incident)
                context = _context(incident, command, known, self._policies())._replace(supervises=supervises)
                if command.photo is not None:
                    claimed = await claim_for_incident(connection, command.photo, incident_id)
                    context = context._replace(photo_known=claimed)
                changes = on_command(incident, command, actor=actor, now_us=now_us(), context=context)
                await rows.write_changes(connection, changes)
            for change in changes:
                log_change(change)
            if command.op in _STEPS:
                _steps.labels(_STEPS[command.op]).inc()
            return changes[0].incident
        except UniqueViolation as error:
            raise Conflict(await self.get(incident_id)) from error

    async def procedure(self, incident: Incident) -> Procedure | None:
        """Return the text of an incident's procedure, None where it has none."""
        if incident.checklist is None:
            return None
        policies = self._policies()
        return find(incident.checklist.ref, policies.procedures.procedures, policies.texts)

    async def forecast(self, wards: Sequence[str] | None, hours: int) -> list[WardForecast]:
        """Return what will be late within `hours`, by ward; `wards` None looks at all."""
        at_us = now_us()
        async with self._pool.connection() as connection:
            incidents = await rows.read_pending(connection, wards, MAX_FORECAST)
            worked = await rows.read_worked(connection, from_us(at_us - PACE_US))
        pace = paces(incidents, worked, at_us)
        return forecast(incidents, pace, at_us, hours * HOUR_US)


def digest_of(incident_id: str, command: Command) -> bytes:
    """Return what tells two commands under one idempotency key apart."""
    content = msgspec.structs.replace(command, idem="")
    return hashlib.sha256(msgspec.json.encode((incident_id, content))).digest()


def _context(incident: Incident, command: Command, known: dict[str, Incident], policies: Policies) -> Context:
    head = command.into if command.op is Op.MERGE else incident.merged_into
    return Context(
        policies,
        known.get(head) if head else None,
        [member for member in known.values() if member.merged_into == incident.id],
    )
