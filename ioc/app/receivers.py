"""Receivers and notices as the API asks for them."""

from collections.abc import Sequence

from ioc.api.ports import NotFoundError
from ioc.model.notices import Kind, Receiver
from ioc.outbound.webhook import new_secret
from ioc.store import receivers as rows
from ioc.store.pool import Pool
from ioc.store.users import Person


class StoredReceivers:
    """`ioc.api.ports.Receivers` over PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

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
                return None
            secret = new_secret() if receiver.kind is Kind.WEBHOOK else None
            if not await rows.add_receiver(connection, receiver, secret, author):
                raise NotFoundError(receiver.id)
            return secret

    async def renew_secret(self, receiver_id: str) -> str:
        """Replace a webhook's secret.

        Raises:
            NotFoundError: there is no such webhook.
        """
        secret = new_secret()
        async with self._pool.connection() as connection:
            if not await rows.set_secret(connection, receiver_id, secret):
                raise NotFoundError(receiver_id)
        return secret

    async def remove(self, receiver_id: str) -> bool:
        """Remove a receiver; False where there is none."""
        async with self._pool.connection() as connection:
            return await rows.remove_receiver(connection, receiver_id)

    async def deliveries(self, receiver_id: str, limit: int) -> Sequence[rows.DeliveryRow]:
        """Return a receiver's newest deliveries."""
        async with self._pool.connection() as connection:
            return await rows.list_deliveries(connection, receiver_id, limit)

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
