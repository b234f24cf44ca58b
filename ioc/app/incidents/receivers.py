"""Receivers and notices as the API asks for them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from psycopg import AsyncConnection

from ioc.api.ports import NotFoundError
from ioc.app.settings.sections import NotifySettings
from ioc.model.notices import Kind, Receiver
from ioc.model.times import SECOND_US, format_us
from ioc.outbound.webhook import new_secret
from ioc.store import audit
from ioc.store import receivers as rows
from ioc.store.pool import Pool
from ioc.store.users import Person


class StoredReceivers:
    """`ioc.api.ports.Receivers` over PostgreSQL."""

    def __init__(self, pool: Pool, settings: NotifySettings, clock_us: Callable[[], int]) -> None:
        self._pool = pool
        self._settings = settings
        self._clock_us = clock_us

    async def list(self) -> Sequence[rows.StoredReceiver]:
        """Return every receiver."""
        async with self._pool.connection() as connection:
            return await rows.list_receivers(connection)

    async def put(self, receiver: Receiver, author: str) -> str | None:
        """Add or replace a receiver; return the secret of a new webhook.

        Raises:
            rows.TooManyReceiversError: there are as many as may be.
            NotFoundError: a receiver of this id exists with another kind.
        """
        async with self._pool.connection() as connection, connection.transaction():
            if await rows.change_receiver(connection, receiver, author):
                await _tell(connection, author, "receiver_changed", receiver.id, _shown(receiver))
                return None
            secret = new_secret() if receiver.kind is Kind.WEBHOOK else None
            if not await rows.add_receiver(connection, receiver, secret, author):
                raise NotFoundError(receiver.id)
            await _tell(connection, author, "receiver_added", receiver.id, _shown(receiver))
            return secret

    async def renew_secret(
        self, receiver_id: str, author: str, overlap_s: float | None
    ) -> tuple[str, int | None]:
        """Replace a webhook's secret; the former one signs too for `overlap_s`, None: as the settings say.

        Returns the new secret and until when the former one signs, None: no more.

        Raises:
            NotFoundError: there is no such webhook.
        """
        overlap_us = round((self._settings.secret_overlap_s if overlap_s is None else overlap_s) * SECOND_US)
        until_us = self._clock_us() + overlap_us if overlap_us else None
        secret = new_secret()
        async with self._pool.connection() as connection, connection.transaction():
            if not await rows.set_secret(connection, receiver_id, secret, until_us):
                raise NotFoundError(receiver_id)
            until = {"former_until": format_us(until_us) if until_us else None}
            await _tell(connection, author, "webhook_secret_renewed", receiver_id, until)
        return secret, until_us

    async def remove(self, receiver_id: str, author: str) -> bool:
        """Remove a receiver; False where there is none."""
        async with self._pool.connection() as connection, connection.transaction():
            if not await rows.remove_receiver(connection, receiver_id):
                return False
            await _tell(connection, author, "receiver_removed", receiver_id, {})
            return True

    async def deliveries(
        self, receiver_id: str, limit: int, *, state: str | None = None, since_us: int = 0
    ) -> Sequence[rows.DeliveryRow]:
        """Return a receiver's newest deliveries queued since then, of one state if given."""
        async with self._pool.connection() as connection:
            return await rows.list_deliveries(connection, receiver_id, limit, state=state, since_us=since_us)

    async def resend(
        self, receiver_id: str, author: str, *, notices: Sequence[str] | None = None, since_us: int = 0
    ) -> rows.Resent:
        """Try failed deliveries again: those of `notices`, or all that were queued since then.

        Under their former ids, oldest first, at most `notify.max_resent`; what waits already is left alone.

        Raises:
            NotFoundError: there is no such receiver.
        """
        async with self._pool.connection() as connection, connection.transaction():
            resent = await rows.resend_deliveries(
                connection, receiver_id, notices=notices, since_us=since_us,
                most=self._settings.max_resent, now_us=self._clock_us(),
            )  # fmt: skip
            if resent is None:
                raise NotFoundError(receiver_id)
            if resent.again:
                chosen = {"since": format_us(since_us)} if notices is None else {"notices": list(notices)}
                await audit.record(
                    connection, audit.Area.CITY, actor=author, op="deliveries_resent", subject=receiver_id,
                    details={"again": resent.again, **chosen},
                )  # fmt: skip
        return resent

    async def notices(self, person: Person, limit: int) -> tuple[Sequence[rows.NoticeRow], int]:
        """Return the newest notices for the person's role within their wards."""
        async with self._pool.connection() as connection:
            return await rows.list_notices(
                connection, person.role.value, person.wards, person.username, limit
            )

    async def mark_read(self, person: Person, up_to: int) -> None:
        """Remember up to which notice the person has read."""
        async with self._pool.connection() as connection:
            await rows.mark_read(connection, person.username, up_to)


def _shown(receiver: Receiver) -> dict[str, object]:
    """Return what the audit log keeps: of the target its host alone, the rest may be a login or a name."""
    host = receiver.target
    if receiver.kind is Kind.WEBHOOK:
        host = urlsplit(receiver.target).hostname or ""
    elif receiver.kind is Kind.EMAIL:
        host = receiver.target.rpartition("@")[2]
    return {"kind": receiver.kind.value, "to": host, "wards": receiver.wards, "enabled": receiver.enabled}


async def _tell(
    connection: AsyncConnection[Any], author: str, op: str, receiver_id: str, details: Mapping[str, object]
) -> None:
    await audit.record(
        connection, audit.Area.ACCESS, actor=author, op=op, subject=receiver_id, details=details
    )
