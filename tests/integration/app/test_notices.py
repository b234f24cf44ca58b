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
from msgspec import structs
from prometheus_client import REGISTRY
from psycopg import AsyncConnection

from ioc.api.ports import NotFoundError
from ioc.app.incidents.change_follower import ChangeFollower
from ioc.app.incidents.notifier import Deliverer, queue_notices
from ioc.app.incidents.receivers import StoredReceivers
from ioc.app.settings.sections import NotifySettings
from ioc.model.incidents import Severity, Why
from ioc.model.notices import Kind, Receiver
from ioc.model.texts import Text
from ioc.model.times import SECOND_US, format_us, from_us
from ioc.outbound.destination import Destinations
from ioc.outbound.mail import MailSettings, MailTls
from ioc.outbound.retrying import FAILURES_TO_OPEN, FIRST_OPEN_US, MAX_WAIT_US
from ioc.outbound.webhook import WebhookSender, sign
from ioc.store import audit
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
    more: str = ""
    """Further headers."""
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
                f"HTTP/1.1 {self.status} x\r\n{self.more}content-length: 0\r\n"
                "connection: close\r\n\r\n".encode()
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
        self.receivers = StoredReceivers(self.pool, NotifySettings(), lambda: self.now_us)

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


def fits(secret: str, headers: dict[str, str], body: bytes) -> list[bool]:
    """Return which of a delivery's signatures are of `secret`, as a receiver finds out."""
    ours = sign(secret, headers["webhook-id"], int(headers["webhook-timestamp"]), body)
    return [signature == ours for signature in headers["webhook-signature"].split(" ")]


async def test_a_new_secret_signs_first_and_the_former_one_beside_it_until_its_time_is_over(
    pool: Pool, hooks: list[Hook]
) -> None:
    city = City(pool)
    await begin(city)
    secrets = [await city.receivers.put(webhook(hooks[0]), "an") or ""]
    secret, until_us = await city.receivers.renew_secret("duty", "an", None)
    assert until_us == NOW_US + 86_400 * SECOND_US
    secrets.append(secret)

    async def deliver() -> list[list[bool]]:
        await apply(pool, raised(key=f"cam-{len(hooks[0].taken)}"))
        await city.follow()
        await city.deliver()
        return [fits(secret, *hooks[0].taken[-1]) for secret in secrets]

    assert await deliver() == [[False, True], [True, False]]
    (stored,) = await city.receivers.list()
    assert stored.former_until == from_us(until_us)
    city.now_us = until_us - SECOND_US
    assert await deliver() == [[False, True], [True, False]]
    city.now_us = until_us
    assert await deliver() == [[False], [True]]
    await city.deliverer._forget()
    async with pool.connection() as connection:
        kept = await (await connection.execute("SELECT former_secret, former_until FROM receiver")).fetchone()
    assert kept == (None, None)
    await city.webhook.aclose()


async def test_a_secret_that_leaked_ends_at_once_and_at_most_two_are_valid(
    pool: Pool, hooks: list[Hook]
) -> None:
    city = City(pool)
    await begin(city)
    first = await city.receivers.put(webhook(hooks[0]), "an") or ""
    second, _ = await city.receivers.renew_secret("duty", "an", 3_600)
    third, _ = await city.receivers.renew_secret("duty", "an", 3_600)
    await apply(pool, raised(key="cam-1"))
    await city.follow()
    await city.deliver()
    assert [fits(each, *hooks[0].taken[0]) for each in (first, second, third)] == [
        [False, False], [False, True], [True, False],
    ]  # fmt: skip
    fourth, until_us = await city.receivers.renew_secret("duty", "an", 0)
    assert until_us is None
    await apply(pool, raised(key="cam-2"))
    await city.follow()
    await city.deliver()
    assert [fits(each, *hooks[0].taken[1]) for each in (third, fourth)] == [[False], [True]]
    async with pool.connection() as connection:
        told = await connection.execute(
            "SELECT actor, subject, doc->>'former_until' FROM audit_entry"
            " WHERE op = 'webhook_secret_renewed' ORDER BY seq"
        )
        until = format_us(NOW_US + 3_600 * SECOND_US)
        assert await told.fetchall() == [("an", "duty", until), ("an", "duty", until), ("an", "duty", None)]
    await city.webhook.aclose()


async def test_who_may_be_told_is_in_the_audit_log_without_logins_and_names_of_addresses(pool: Pool) -> None:
    receivers = City(pool).receivers
    hook = Receiver(id="duty", kind=Kind.WEBHOOK, target="https://hooks.example/secret-path")
    await receivers.put(hook, "an")
    await receivers.put(structs.replace(hook, wards=("25747",), enabled=False), "binh")
    await receivers.put(Receiver(id="lead", kind=Kind.EMAIL, target="nguyen.an@city.example"), "an")
    assert await receivers.remove("lead", "binh")
    assert not await receivers.remove("lead", "binh")
    async with pool.connection() as connection:
        told = await connection.execute(
            "SELECT actor, op, subject, doc->>'to', doc->>'wards', doc->>'enabled' FROM audit_entry"
            " ORDER BY seq"
        )
        assert await told.fetchall() == [
            ("an", "receiver_added", "duty", "hooks.example", None, "true"),
            ("binh", "receiver_changed", "duty", "hooks.example", '["25747"]', "false"),
            ("an", "receiver_added", "lead", "city.example", None, "true"),
            ("binh", "receiver_removed", "lead", None, None, None),
        ]
        assert (await audit.verify(connection, [])).intact


async def with_failed(pool: Pool, hook: Hook, count: int) -> City:
    """A city in which `count` notices to one webhook were given up, a minute between them."""
    city = City(pool)
    await begin(city)
    await city.receivers.put(webhook(hook), "an")
    for number in range(count):
        city.now_us = NOW_US + number * 60 * SECOND_US
        await apply(pool, raised(key=f"cam-{number}"))
        await city.follow()
    hook.status = 500
    while "waiting" in await city.states("duty"):
        city.now_us += MAX_WAIT_US
        await city.deliver()
    assert await city.states("duty") == ["failed"] * count
    hook.status = 204
    hook.taken.clear()
    return city


def resent_total() -> float:
    return REGISTRY.get_sample_value("ioc_deliveries_resent_total", {"kind": "webhook"}) or 0.0


async def test_what_failed_is_sent_again_in_order_under_its_ids_and_only_once_however_often_asked(
    pool: Pool, hooks: list[Hook]
) -> None:
    city = await with_failed(pool, hooks[0], 3)
    failed = [row.notice_id for row in await city.receivers.deliveries("duty", 10, state="failed")]
    before = resent_total()
    for _ in range(2):
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(city.receivers.resend("duty", "an")) for _ in range(3)]
        assert sum(task.result().again for task in asked) in (3, 0)
    await apply(pool, raised(key="cam-new"))
    await city.follow()
    await city.deliver()
    await city.deliver()
    sent = [headers["webhook-id"] for headers, _ in hooks[0].taken]
    assert (sent[:3], len(sent)) == (failed[::-1], 4)
    assert await city.states("duty") == ["sent"] * 4
    assert (await city.receivers.resend("duty", "an")) == rows.Resent(0, 0)
    assert resent_total() == before + 3
    async with pool.connection() as connection:
        told = await connection.execute(
            "SELECT actor, subject, doc->'again' FROM audit_entry WHERE op = 'deliveries_resent'"
        )
        assert await told.fetchall() == [("an", "duty", 3)]
    await city.webhook.aclose()


async def test_one_is_sent_again_or_those_since_a_time_and_what_fails_anew_can_be_again(
    pool: Pool, hooks: list[Hook]
) -> None:
    city = await with_failed(pool, hooks[0], 4)
    newest, third, _, first = await city.receivers.deliveries("duty", 10, state="failed")
    assert await city.receivers.resend("duty", "an", notices=[first.notice_id, "inc-none.1"]) == rows.Resent(
        1, 0
    )
    since_us, before = NOW_US + 2 * 60 * SECOND_US, resent_total()
    listed = await city.receivers.deliveries("duty", 10, state="failed", since_us=since_us)
    assert [row.notice_id for row in listed] == [newest.notice_id, third.notice_id]
    assert await city.receivers.resend("duty", "an", since_us=since_us) == rows.Resent(2, 0)
    hooks[0].status = 500
    while "waiting" in await city.states("duty"):
        city.now_us += MAX_WAIT_US
        await city.deliver()
    assert resent_total() == before + 3, "each once, however often it is tried"
    found = await city.receivers.deliveries("duty", 10)
    assert [(row.state, row.resent) for row in found] == [("failed", 1)] * 2 + [("failed", 0), ("failed", 1)]
    assert await city.receivers.resend("duty", "an") == rows.Resent(4, 0)
    with pytest.raises(NotFoundError):
        await city.receivers.resend("nobody", "an")
    await city.webhook.aclose()


async def test_sending_again_is_bounded_by_request_and_by_what_may_wait(
    pool: Pool, hooks: list[Hook], monkeypatch: pytest.MonkeyPatch
) -> None:
    city = await with_failed(pool, hooks[0], 5)
    few = StoredReceivers(pool, NotifySettings(max_resent=2), lambda: city.now_us)
    assert await few.resend("duty", "an") == rows.Resent(2, 3)
    monkeypatch.setattr(rows, "MAX_WAITING", 3)
    assert await few.resend("duty", "an") == rows.Resent(1, 2), "no more wait than may"
    assert await few.resend("duty", "an") == rows.Resent(0, 2)
    assert await city.states("duty") == ["failed"] * 2 + ["waiting"] * 3, "oldest first"
    await city.webhook.aclose()


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


async def test_a_notice_is_masked_on_every_way(pool: Pool, hooks: list[Hook]) -> None:
    city = City(pool)
    await begin(city)
    await city.receivers.put(webhook(hooks[0]), "an")
    await city.receivers.put(Receiver(id="op", kind=Kind.IN_APP, target="operator"), "an")
    plate = Text("Xe 61A-123.45, gọi 0912 345 678", "Vehicle 61A-123.45, call 0912 345 678")
    told = raised(key="61A-123.45", title=plate, why=Why(rule_version="1", summary=plate))
    await apply(pool, told)
    await city.follow()
    await city.deliver()
    person = Person(username="op", name="Op", role=Role.OPERATOR)
    ((shown,), _), (_, body) = await city.receivers.notices(person, 10), hooks[0].taken[0]
    async with pool.connection() as connection:
        kept = await (await connection.execute("SELECT doc FROM delivery")).fetchone()
    assert kept is not None
    for text in (str(shown.title), body.decode(), kept[0].decode(errors="replace")):
        assert "61A" in text and "123.45" not in text and "345 678" not in text
    await city.webhook.aclose()


async def with_two_waiting(pool: Pool, hook: Hook) -> City:
    """A city in which two notices wait for one webhook."""
    city = City(pool)
    await begin(city)
    await city.receivers.put(webhook(hook), "an")
    await apply(pool, raised(key="cam-1"), raised(key="cam-2"))
    await city.follow()
    return city


async def test_a_receiver_that_asks_to_wait_is_left_alone_so_long_but_not_for_ever(
    pool: Pool, hooks: list[Hook]
) -> None:
    city = await with_two_waiting(pool, hooks[0])
    for status, retry_after, wait_us in ((429, "600", 600 * SECOND_US), (503, "99999999", MAX_WAIT_US)):
        hooks[0].status, hooks[0].more = status, f"retry-after: {retry_after}\r\n"
        await city.deliver()
        asked = len(hooks[0].taken)
        city.now_us += wait_us - 1
        await city.deliver()
        assert len(hooks[0].taken) == asked, "neither this notice nor another"
        city.now_us += 1
    hooks[0].status, hooks[0].more = 204, ""
    for _ in range(2):
        await city.deliver()
        city.now_us += MAX_WAIT_US
    assert await city.states("duty") == ["sent"] * 2
    await city.webhook.aclose()


async def test_a_receiver_that_is_gone_is_switched_off_and_keeps_what_waited(
    pool: Pool, hooks: list[Hook]
) -> None:
    city = await with_two_waiting(pool, hooks[0])
    hooks[0].status = 410
    await city.deliver()
    city.now_us += MAX_WAIT_US
    await city.deliver()
    (stored,) = await city.receivers.list()
    assert (len(hooks[0].taken), stored.receiver.enabled, stored.last_error) == (1, False, "answered 410")
    hooks[0].status = 204
    await city.receivers.put(webhook(hooks[0]), "an")
    await city.deliver()
    assert await city.states("duty") == ["sent"] * 2
    await city.webhook.aclose()


async def test_a_redirect_is_not_followed(pool: Pool, hooks: list[Hook]) -> None:
    city = City(pool)
    await begin(city)
    hooks[0].status, hooks[0].more = 307, f"location: {hooks[1].url}\r\n"
    await city.receivers.put(webhook(hooks[0]), "an")
    await apply(pool, raised())
    await city.follow()
    await city.deliver()
    (row,) = await city.receivers.deliveries("duty", 10)
    assert (row.state, row.error, hooks[1].taken) == ("waiting", "answered 307", [])
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
