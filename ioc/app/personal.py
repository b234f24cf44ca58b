"""Unmasked personal data for the API: one transaction finds it and records the look, then it is answered."""

from typing import Any, Final

from psycopg import AsyncConnection

from ioc.api.ports import NotFoundError, Quarantined, TooManyLooksError
from ioc.model.incidents import Incident
from ioc.store import audit
from ioc.store.incidents import read_incident
from ioc.store.quarantine import read_quarantined
from ioc.store.row_scope import SERVICE, RowScope, ScopedPool
from ioc.store.users import Person

MAX_LOOKS_PER_HOUR: Final = 60
"""Of one person: more is no longer work on single cases."""
_LOOKS: Final = ("incident_unmasked", "message_unmasked", "reporter_unmasked")


class StoredPersonal:
    """`ioc.api.ports.Personal` over PostgreSQL."""

    def __init__(self, pool: ScopedPool) -> None:
        self._pool = pool

    async def incident(self, incident_id: str, person: Person, reason: str) -> Incident:
        """Return an incident within the person's wards; see `ioc.api.ports.Personal`."""
        async with self._pool.of(
            RowScope.of_person(person.username, person.wards)
        ).connection() as connection:
            incident = await read_incident(connection, incident_id)
        if incident is None:
            raise NotFoundError(incident_id)
        async with self._pool.of(SERVICE).connection() as connection:
            await record_look(connection, person, "incident_unmasked", incident_id, reason)
        return incident

    async def quarantined(self, message_id: int, person: Person, reason: str) -> Quarantined:
        """Return a refused message; see `ioc.api.ports.Personal`."""
        async with self._pool.of(SERVICE).connection() as connection:
            found = await read_quarantined(connection, message_id)
            if found is None:
                raise NotFoundError(str(message_id))
            await record_look(connection, person, "message_unmasked", str(message_id), reason)
        return Quarantined(
            id=found.id,
            received_us=found.received_us,
            source=found.source or found.device,
            reason=found.reason,
            field=found.field,
            detail=found.detail,
            raw=found.raw,
        )


async def record_look(
    connection: AsyncConnection[Any], person: Person, op: str, subject: str, reason: str
) -> None:
    """Record a look at personal data before it is answered. Raises `TooManyLooksError`."""
    looks = await audit.count_recent(connection, audit.Area.PERSONAL, person.username, _LOOKS)
    if looks >= MAX_LOOKS_PER_HOUR:
        raise TooManyLooksError(person.username)
    await audit.record(
        connection,
        audit.Area.PERSONAL,
        actor=person.username,
        op=op,
        subject=subject,
        details={"reason": reason, "role": person.role.value},
    )
