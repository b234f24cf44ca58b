"""Notices from an incident's change to the receiver, over real PostgreSQL, HTTP and mail servers."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

import pytest
from aiosmtpd.handlers import Message
from aiosmtpd.smtp import SMTP
from psycopg import AsyncConnection

from ioc.app.change_follower import ChangeFollower
from ioc.app.notifier import Deliverer, queue_notices
from ioc.app.receivers import StoredReceivers
from ioc.model.incidents import Severity
from ioc.model.notices import Kind, Receiver
from ioc.model.times import SECOND_US
from ioc.outbound.destination import Destinations
from ioc.outbound.mail import MailSettings, MailTls
from ioc.outbound.retrying import FAILURES_TO_OPEN, FIRST_OPEN_US
from ioc.outbound.webhook import WebhookSender, sign
from ioc.store import receivers as rows
from ioc.store.change_followers import FollowedChange, begin_following
from ioc.store.embedded import Dsns
from ioc.store.pool import Pool, open_pool
from ioc.store.users import Person, Role, Users
from tests.integration.app.test_incident_service import NOW_US, apply, raised

LOOPBACK = Destinations(networks=(ip_network("127.0.0.0/8"),))


@pytest.fixture
async def pool(database: Dsns) -> AsyncIterator[Pool]:
    async with open_pool(database.app, name="test") as pool:
        yield pool


@dataclass
class Hook:
    """A webhook's far end: answers `status`, or never while `silent`."""

    status: int = 204
    silent: bool = False
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers["content-length"]))
        if self.silent:
            await reader.read()
        else:
            self.taken.append((headers, body))
            writer.write(
                f"HTTP/1.1 {self.status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()
            )
            await writer.drain()
        writer.close()


@pytest.fixture
async def hooks() -> AsyncIterator[list[Hook]]:
    """Two far ends."""
    found = [Hook(), Hook()]
    servers = [await asyncio.start_server(hook.serve, "127.0.0.1", 0) for hook in found]
    for hook, server in zip(found, servers, strict=True):
        hook.port = server.sockets[0].getsockname()[1]
    yield found
    for server in servers:
        server.close()


@dataclass
class City:
    """Follower and deliverer with a clock of the test's own."""

    pool: Pool
    mail: MailSettings | None = None
    timeout_s: float = 5.0
    now_us: int = NOW_US

    def __post_init__(self) -> None:
        self.follower = ChangeFollower("notices", self.pool, self._queue)
        self.webhook = WebhookSender(LOOPBACK, timeout_s=self.timeout_s)
        self.deliverer = Deliverer(self.pool, self.webhook, self.mail, lambda: self.now_us)
        self.receivers = StoredReceivers(self.pool)

    async def _queue(self, connection: AsyncConnection[Any], changes: list[FollowedChange]) -> None:
        await queue_notices(connection, changes, self.now_us)

    async def follow(self) -> None:
        while await self.follower.step():
            pass

    async def deliver(self) -> None:
        """Serve every receiver that may be served now, once."""
        async with self.pool.connection() as connection:
            workable = await rows.read_workable(connection, self.now_us)
        async with asyncio.TaskGroup() as group:
            for each in workable:
                group.create_task(self.deliverer.serve(each))

    async def states(self, receiver: str) -> list[str]:
        return [row.state for row in await self.receivers.deliveries(receiver, 100)]


async def begin(city: City) -> None:
    """Give the follower its place: a new one begins with the next change."""
    async with city.pool.connection() as connection:
        await begin_following(connection, "notices", from_start=False)


def webhook(hook: Hook, name: str = "duty", **changes: Any) -> Receiver:
    return Receiver(**({"id": name, "kind": Kind.WEBHOOK, "target": hook.url} | changes))


async def test_a_webhook_gets_each_change_once_in_order_and_can_check_who_sent_it(
    pool: Pool, hooks: list[Hook]
) -> None:
    city = City(pool)
    await begin(city)
    secret = await city.receivers.put(webhook(hooks[0]), "an")
    assert secret is not None
    await apply(pool, raised(key="cam-1"))
    await apply(pool, raised(key="cam-2"))
    await city.follow()
    await city.follow()
    await city.deliver()
    await city.deliver()
    events = [json.loads(body) for _, body in hooks[0].taken]
    assert [event["type"] for event in events] == ["ioc.incident.raised"] * 2
    assert len({event["id"] for event in events}) == 2
    headers, body = hooks[0].taken[0]
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{mac}"
    assert headers["host"] == f"127.0.0.1:{hooks[0].port}"
    assert await city.states("duty") == ["sent", "sent"]
    await city.webhook.aclose()


def test_the_signature_is_that_of_the_specification_s_example() -> None:
    """Values from the specification's own test vector."""
    assert (
        sign(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1614265330,
            b'{"test": 2432232314}',
        )
        == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


async def test_a_dead_receiver_delays_nobody_and_is_left_alone_for_a_while(
    pool: Pool, hooks: list[Hook]
) -> None:
    city = City(pool, timeout_s=0.2)
    await begin(city)
    dead, alive = hooks
    dead.silent = True
    await city.receivers.put(webhook(dead, "dead"), "an")
    await city.receivers.put(webhook(alive, "alive"), "an")
    for number in range(5):
        await apply(pool, raised(key=f"cam-{number}"))
    await city.follow()
    await city.deliver()
    assert len(alive.taken) == 5
    for _ in range(FAILURES_TO_OPEN + 2):
        await city.deliver()
        city.now_us += 6 * SECOND_US
    stored = {each.receiver.id: each for each in await city.receivers.list()}
    assert stored["dead"].open_until is not None and stored["dead"].waiting == 5
    assert stored["dead"].last_error == "no answer within 0.2 s"
    attempts = sum(row.attempts for row in await city.receivers.deliveries("dead", 10))
    assert attempts == FAILURES_TO_OPEN
    dead.silent = False
    city.now_us += FIRST_OPEN_US
    await city.deliver()
    city.now_us += 60 * SECOND_US
    await city.deliver()
    assert await city.states("dead") == ["sent"] * 5
    await city.webhook.aclose()


async def test_a_crash_between_sending_and_recording_repeats_under_the_same_id(
    pool: Pool, hooks: list[Hook], monkeypatch: pytest.MonkeyPatch
) -> None:
    city = City(pool)
    await begin(city)
    await city.receivers.put(webhook(hooks[0]), "an")
    await apply(pool, raised())
    await city.follow()

    async def crash(*_: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch, pytest.raises(ExceptionGroup):
        patch.setattr(rows, "finish_deliveries", crash)
        await city.deliver()
    await city.deliver()
    assert len(hooks[0].taken) == 1, "leased"
    city.now_us += 121 * SECOND_US
    await city.deliver()
    assert len({headers["webhook-id"] for headers, _ in hooks[0].taken}) == 1
    assert (len(hooks[0].taken), await city.states("duty")) == (2, ["sent"])
    await city.webhook.aclose()


async def test_a_webhook_that_leads_inside_is_not_asked(pool: Pool, hooks: list[Hook]) -> None:
    city = City(pool)
    city.webhook._allowed = Destinations(public=True)
    await begin(city)
    await city.receivers.put(webhook(hooks[0]), "an")
    await apply(pool, raised())
    await city.follow()
    await city.deliver()
    assert hooks[0].taken == []
    (row,) = await city.receivers.deliveries("duty", 10)
    assert (row.state, row.error) == (
        "waiting",
        "127.0.0.1 is not among the hosts and networks that are allowed",
    )
    await city.webhook.aclose()


async def test_too_many_waiting_let_the_oldest_go(
    pool: Pool, hooks: list[Hook], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "MAX_WAITING", 3)
    city = City(pool)
    await begin(city)
    await city.receivers.put(webhook(hooks[0]), "an")
    await city.receivers.put(webhook(hooks[1], "other", min_severity=Severity.CRITICAL), "an")
    for number in range(5):
        await apply(pool, raised(key=f"cam-{number}"))
    await city.follow()
    assert await city.states("duty") == ["waiting"] * 3 + ["dropped"] * 2
    assert await city.states("other") == []
    await city.webhook.aclose()


class Mailbox(Message):
    def __init__(self) -> None:
        super().__init__()
        self.mails: list[Any] = []

    def handle_message(self, message: Any) -> None:
        self.mails.append(message)


async def test_a_storm_is_one_mail_and_the_next_waits_a_minute(pool: Pool) -> None:
    box = Mailbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(box), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        city = City(pool, MailSettings(host="127.0.0.1", port=port, tls=MailTls.NONE))
        await begin(city)
        await city.receivers.put(
            Receiver(id="lead", kind=Kind.EMAIL, target="lead@city.example", lang="en"), "an"
        )
        for number in range(20):
            await apply(pool, raised(key=f"cam-{number}"))
        await city.follow()
        assert [each.receiver.id for each in await city.deliverer.workable()] == ["lead"]
        await city.deliver()
        assert [mail["Subject"] for mail in box.mails] == ["[IOC] 20 incident notices"]
        assert await city.states("lead") == ["sent"] * 20
        await apply(pool, raised(key="cam-99"))
        await city.follow()
        assert await city.deliverer.workable() == []
        city.now_us += 60 * SECOND_US
        assert [each.receiver.id for each in await city.deliverer.workable()] == ["lead"]
    await city.webhook.aclose()


async def test_a_person_sees_notices_for_their_role_within_their_wards(pool: Pool) -> None:
    city = City(pool)
    await begin(city)
    await city.receivers.put(Receiver(id="op", kind=Kind.IN_APP, target="operator"), "an")
    await city.receivers.put(Receiver(id="w", kind=Kind.IN_APP, target="ward"), "an")
    await apply(pool, raised(key="cam-1", ward="25747"), raised(key="cam-2", ward="25750"))
    await city.follow()
    users = Users(pool)
    await users.create_user("op", name="Op", password="long enough 12 chars", role=Role.OPERATOR)
    everywhere = Person(username="op", name="Op", role=Role.OPERATOR, wards=None)
    here = Person(username="w", name="W", role=Role.WARD, wards=("25747",))
    found, read = await city.receivers.notices(everywhere, 10)
    assert ([row.ward for row in found], read) == (["25750", "25747"], 0)
    await city.receivers.mark_read(everywhere, found[0].id)
    await city.receivers.mark_read(everywhere, found[1].id)
    assert (await city.receivers.notices(everywhere, 10))[1] == found[0].id
    assert [row.ward for row in (await city.receivers.notices(here, 10))[0]] == ["25747"]
    await city.webhook.aclose()


async def test_two_processes_that_follow_queue_each_notice_once(pool: Pool, hooks: list[Hook]) -> None:
    one, two = City(pool), City(pool)
    await begin(one)
    await one.receivers.put(webhook(hooks[0]), "an")
    for number in range(30):
        await apply(pool, raised(key=f"cam-{number}"))
    async with asyncio.TaskGroup() as group:
        for city in (one, two) * 3:
            group.create_task(city.follow())
    assert len(await one.states("duty")) == 30
    await one.webhook.aclose()
    await two.webhook.aclose()
