"""Tells receivers of incidents: a follower of the feed queues notices, and each receiver is served by itself.

Queued in the transaction that moves the follower, so nothing is lost and nothing queued twice; delivered at
least once, under an id that stays the same. A receiver that is down has its own breaker and its own task: it
delays nobody else.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import structlog
from prometheus_client import Counter
from psycopg import AsyncConnection

from ioc.app.retry import RETRYABLE, with_retry
from ioc.app.settings.sections import NotifySettings
from ioc.model.notices import Kind, Notice, Receiver, Telling
from ioc.model.times import DAY_US, SECOND_US
from ioc.outbound.mail import MailSettings, compose, send_mail
from ioc.outbound.receivers import NOT_DONE, SUPERVISORS, cloud_event, wants
from ioc.outbound.retrying import Breaker, next_attempt_us
from ioc.outbound.sending import DeliveryError
from ioc.store import receivers as rows
from ioc.store.change_followers import FollowedChange
from ioc.store.pool import Pool
from ioc.stream.wire import mask_incident

POLL_S: Final = 1.0
LEASE_US: Final = 120 * SECOND_US
"""Longer than a whole batch may take: `WEBHOOK_BATCH` attempts at their timeout."""
WEBHOOK_BATCH: Final = 10
MAIL_BATCH: Final = 50
MAIL_PAUSE_S: Final = 60.0
"""Least time between two mails to one receiver; what happens meanwhile goes into the next one."""
KEPT_US: Final = 30 * DAY_US
FORGET_EVERY_US: Final = 60 * SECOND_US
FORGET_ROWS: Final = 5_000

_log = structlog.get_logger()
_queued = Counter(
    "ioc_notices_queued_total", "Notices queued for a receiver or shown in the console", ["kind"]
)
_dropped = Counter("ioc_notices_dropped_total", "Notices dropped because too many waited for one receiver")
_attempts = Counter("ioc_delivery_attempts_total", "Attempts to deliver notices", ["kind", "outcome"])
_resent = Counter(
    "ioc_deliveries_resent_total", "Deliveries that had failed and were tried again on demand", ["kind"]
)


async def queue_notices(
    connection: AsyncConnection[Any], changes: Sequence[FollowedChange], now_us: int
) -> None:
    """Queue what receivers want to know of `changes`, masked, in the caller's transaction."""
    notices = [Notice(_told_op(change), change.at_us, mask_incident(change.incident)) for change in changes]
    await tell(connection, notices, now_us)


async def tell(connection: AsyncConnection[Any], notices: Sequence[Telling], now_us: int) -> None:
    """Queue what receivers want to know of `notices`, in the caller's transaction."""
    receivers = [SUPERVISORS, *await rows.read_receivers(connection)]
    wanted = [(receiver, notice) for receiver in receivers for notice in notices if wants(receiver, notice)]
    shown = [pair for pair in wanted if pair[0].kind is Kind.IN_APP]
    sent = [pair for pair in wanted if pair[0].kind is not Kind.IN_APP]
    if shown:
        await rows.add_notices(connection, shown)
    if sent:
        _dropped.inc(await rows.add_deliveries(connection, sent, now_us))
    for receiver, _ in wanted:
        _queued.labels(receiver.kind.value).inc()


def _told_op(change: FollowedChange) -> str:
    return NOT_DONE.get(change.op, change.op) if change.alerts else change.op


def mail_settings(settings: NotifySettings) -> MailSettings | None:
    """Return the mail server, None where none is set."""
    if not settings.smtp_host:
        return None
    return MailSettings(
        host=settings.smtp_host,
        port=settings.smtp_port,
        tls=settings.smtp_tls,
        username=settings.smtp_username or None,
        password=settings.smtp_password.get_secret_value() or None,
        sender=settings.sender,
        timeout_s=settings.timeout_s,
    )


class SendWebhook(Protocol):
    """`ioc.outbound.webhook.WebhookSender`."""

    async def send(
        self, url: str, signing: Sequence[str], delivery_id: str, body: bytes, now_us: int
    ) -> None:
        """Post one delivery. Raises DeliveryError."""


class Deliverer:
    """Delivers what is due, every receiver in a task of its own."""

    def __init__(
        self, pool: Pool, webhook: SendWebhook, mail: MailSettings | None, clock_us: Callable[[], int]
    ) -> None:
        self._pool = pool
        self._webhook = webhook
        self._mail = mail
        self._clock_us = clock_us
        self._busy: set[str] = set()
        self._mailed_us: dict[str, int] = {}
        self._forgot_us = 0

    async def run(self) -> None:
        """Deliver until cancelled."""
        await with_retry("notices", self._deliver_all)

    async def _deliver_all(self) -> None:
        self._busy.clear()
        async with asyncio.TaskGroup() as group:
            while True:
                for workable in await self.workable():
                    self._busy.add(workable.receiver.id)
                    group.create_task(self._serve(workable))
                await self._forget()
                await asyncio.sleep(POLL_S)

    async def workable(self) -> list[rows.Workable]:
        """Return the receivers that may be served now and are not being served."""
        now_us = self._clock_us()
        async with self._pool.connection() as connection:
            found = await rows.read_workable(connection, now_us)
        return [
            workable
            for workable in found
            if workable.receiver.id not in self._busy and self._may(workable.receiver, now_us)
        ]

    def _may(self, receiver: Receiver, now_us: int) -> bool:
        """Return whether enough time has passed since the last mail to this receiver."""
        if receiver.kind is not Kind.EMAIL:
            return True
        return now_us >= self._mailed_us.get(receiver.id, 0) + round(MAIL_PAUSE_S * SECOND_US)

    async def _serve(self, workable: rows.Workable) -> None:
        try:
            await self.serve(workable)
        except RETRYABLE as error:
            # What was claimed is due again when its lease ends.
            _log.warning("notices wait for the database", receiver=workable.receiver.id, error=str(error))
        finally:
            self._busy.discard(workable.receiver.id)

    async def serve(self, workable: rows.Workable) -> None:
        """Deliver what is due for one receiver, up to a batch; stop at the first failure."""
        receiver = workable.receiver
        limit = MAIL_BATCH if receiver.kind is Kind.EMAIL else WEBHOOK_BATCH
        async with self._pool.connection() as connection:
            claimed = await rows.claim_deliveries(connection, receiver.id, self._clock_us(), LEASE_US, limit)
        if not claimed:
            return
        breaker = Breaker(workable.failures)
        if receiver.kind is Kind.EMAIL:
            self._mailed_us[receiver.id] = self._clock_us()
            await self._attempt(workable, breaker, claimed)
            return
        for position, delivery in enumerate(claimed):
            if not await self._attempt(workable, breaker, [delivery]):
                rest = [waiting.id for waiting in claimed[position + 1 :]]
                async with self._pool.connection() as connection:
                    await rows.release_deliveries(connection, rest, self._clock_us())
                return
            breaker = Breaker()

    async def _attempt(
        self, workable: rows.Workable, breaker: Breaker, claimed: Sequence[rows.Claimed]
    ) -> bool:
        """Deliver `claimed` at once and record what came of it; return whether it was taken."""
        receiver = workable.receiver
        again = sum(delivery.resent > 0 and delivery.attempts == 1 for delivery in claimed)
        _resent.labels(receiver.kind.value).inc(again)
        try:
            await self._send(workable, claimed)
        except DeliveryError as error:
            await self._record_failure(receiver, breaker, claimed, error)
            return False
        async with self._pool.connection() as connection:
            now_us = self._clock_us()
            await rows.finish_deliveries(connection, [delivery.id for delivery in claimed], now_us)
            await rows.record_success(connection, receiver.id, now_us)
        _attempts.labels(receiver.kind.value, "sent").inc()
        return True

    async def _send(self, workable: rows.Workable, claimed: Sequence[rows.Claimed]) -> None:
        receiver, now_us = workable.receiver, self._clock_us()
        if receiver.kind is Kind.WEBHOOK:
            notice = claimed[0].notice
            body = cloud_event(notice, receiver)
            await self._webhook.send(receiver.target, workable.secrets, notice.id, body, now_us)
        elif self._mail is None:
            raise DeliveryError("no mail server is set: notify.smtp_host")
        else:
            notices = [delivery.notice for delivery in claimed]
            message = compose(notices, receiver.lang, self._mail.sender, receiver.target, now_us)
            await send_mail(message, self._mail)

    async def _record_failure(
        self, receiver: Receiver, breaker: Breaker, claimed: Sequence[rows.Claimed], error: DeliveryError
    ) -> None:
        now_us, wait_us, told = self._clock_us(), round(error.wait_s * SECOND_US), str(error)
        after = breaker.after(ok=False, now_us=now_us, wait_us=wait_us)
        async with self._pool.connection() as connection:
            for delivery in claimed:
                due_us = next_attempt_us(delivery.attempts, now_us, wait_us)
                await rows.postpone_delivery(connection, delivery.id, due_us, told, now_us)
            await rows.record_failure(connection, receiver.id, after.failures, after.open_until_us, told)
            if error.gone:
                await rows.switch_off(connection, receiver.id)
        _attempts.labels(receiver.kind.value, "failed").inc()
        if error.gone:
            _log.error("a receiver wants no more and was switched off", receiver=receiver.id, error=told)
            return
        _log.warning(
            "receiver did not take a notice", receiver=receiver.id, failures=after.failures, error=told
        )

    async def _forget(self) -> None:
        now_us = self._clock_us()
        if now_us - self._forgot_us >= FORGET_EVERY_US:
            self._forgot_us = now_us
            async with self._pool.connection() as connection:
                await rows.forget_finished(connection, now_us - KEPT_US, FORGET_ROWS)
                await rows.forget_former_secrets(connection, now_us)
