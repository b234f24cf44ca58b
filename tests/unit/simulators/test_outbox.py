"""The outbox and the lanes: whatever fails, every event arrives once by name, in order."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import ClassVar

import aiomqtt
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.cli.live import all_taken, line_of
from simulators.outbox import Outbox, Receipt
from simulators.senders import KeysError, Lane, NotDelivered, key_of, receipt_of, run_http, run_mqtt
from simulators.world import Event


def events(count: int, first: int = 0) -> list[Event]:
    return [{"id": str(number), "source": "s"} for number in range(first, first + count)]


@given(
    puts=st.lists(st.integers(0, 9), max_size=12),
    fates=st.lists(st.sampled_from(["ack", "lost", "answer lost"]), max_size=40),
    parcel=st.integers(1, 7),
)
def test_no_loss_no_new_ids_and_order_kept_whatever_fails(
    puts: list[int], fates: list[str], parcel: int
) -> None:
    outbox, arrived, made = Outbox(10_000), [], 0
    for count in puts:
        outbox.put(events(count, made))
        made += count
    for fate in [*fates, *["ack"] * (made + 1)]:
        taken = outbox.take(parcel)
        if not taken:
            break
        if fate != "lost":
            arrived += [event["id"] for event in taken]
        if fate == "ack":
            outbox.ack(Receipt(accepted=len(taken)))
        else:
            outbox.put_back()
    assert list(dict.fromkeys(arrived)) == [str(number) for number in range(made)]
    counters = outbox.counters
    assert (counters.made, counters.acked, counters.waiting, counters.dropped) == (made, made, 0, 0)
    assert counters.sent == counters.acked + counters.retried


def test_a_full_outbox_drops_the_oldest_and_counts_them() -> None:
    outbox = Outbox(3)
    outbox.put(events(5))
    assert [event["id"] for event in outbox.take(9)] == ["2", "3", "4"]
    assert outbox.counters.dropped == 2
    outbox.ack(Receipt(accepted=2, rejected=1))
    counters = outbox.counters
    assert counters.made == counters.acked + counters.rejected + counters.dropped + counters.waiting == 5


async def test_what_an_overloaded_service_leaves_out_is_not_acknowledged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def thinning(request: httpx.Request) -> httpx.Response:
        count = len(request.content.splitlines())
        return httpx.Response(202, json={"accepted": count - 3, "duplicate": 1, "rejected": [{}], "shed": 1})

    lane = Lane("s", 5)
    lane.put(events(10))
    await deliver(thinning, lane, monkeypatch)
    counters = lane.outbox.counters
    assert (counters.acked, counters.shed, counters.rejected, counters.duplicate) == (6, 2, 2, 2)
    assert counters.made == counters.acked + counters.shed + counters.rejected == 10
    assert not all_taken(counters)
    assert "shed 2" in line_of(counters)


def test_one_parcel_is_on_its_way_at_a_time() -> None:
    outbox = Outbox(9)
    outbox.put(events(4))
    outbox.take(2)
    with pytest.raises(RuntimeError):
        outbox.take(2)


async def test_a_cancelled_lane_puts_its_parcel_back() -> None:
    lane, reached = Lane("s", 10), asyncio.Event()

    async def never(_: Sequence[Event]) -> Receipt:
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError

    lane.put(events(3))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(lane.empty(never))
        await reached.wait()
        task.cancel()
    assert lane.outbox.counters.waiting == 3
    assert len(lane.outbox.take(10)) == 3


class Service:
    """An HTTP service that fails in every way in turn, and stores by (source, id)."""

    def __init__(self, fates: list[str]) -> None:
        self.fates = fates
        self.stored: list[str] = []
        self.bodies: list[bytes] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer secret"
        assert request.url.path == "/api/v1/ingest/events"
        self.bodies.append(request.content)
        fate = self.fates.pop(0) if self.fates else "ok"
        if fate == "refused":
            raise httpx.ConnectError("refused")
        if fate.isdigit():
            return httpx.Response(int(fate))
        ids = [json.loads(line)["id"] for line in request.content.splitlines()]
        new = [name for name in ids if name not in self.stored]
        self.stored += new
        if fate == "answer lost":
            raise httpx.ReadError("reset")
        body = {"accepted": len(new), "duplicate": len(ids) - len(new), "rejected": []}
        return httpx.Response(202, json=body)


async def deliver(
    service: Callable[[httpx.Request], httpx.Response], lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulators.senders._BACKOFF_S", (0.0, 0.0))
    transport = httpx.MockTransport(service)
    async with httpx.AsyncClient(transport=transport) as client, asyncio.TaskGroup() as group:
        task = group.create_task(run_http(lane, client, "http://ioc/", "secret"))
        async with asyncio.timeout(5):
            await lane.idle.wait()
        task.cancel()


async def test_a_service_that_fails_and_restarts_gets_every_event_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = Service(["refused", "503", "429", "401", "answer lost", "ok", "502"])
    lane = Lane("s", 4)
    lane.put(events(10))
    await deliver(service, lane, monkeypatch)
    assert service.stored == [str(number) for number in range(10)]
    counters = lane.outbox.counters
    assert (counters.acked, counters.waiting, counters.rejected, counters.dropped) == (10, 0, 0, 0)
    assert counters.duplicate == 4
    # A repeat carries the very same bytes.
    assert len(set(service.bodies[:6])) == 1


async def test_what_the_service_will_never_take_is_counted_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = Service(["400"])
    lane = Lane("s", 4)
    lane.put(events(6))
    await deliver(service, lane, monkeypatch)
    assert service.stored == ["4", "5"]
    assert lane.outbox.counters.rejected == 4
    assert lane.outbox.counters.acked == 2


def test_an_answer_that_asks_to_come_again_is_no_receipt() -> None:
    with pytest.raises(NotDelivered, match="503"):
        receipt_of(httpx.Response(503), 3)


@pytest.mark.parametrize("content", [b"<html>ok", b"", b"[]", b'{"accepted":"all"}', b'{"status":"ok"}'])
def test_an_answer_of_something_else_is_no_receipt(content: bytes) -> None:
    with pytest.raises(NotDelivered, match="without a receipt"):
        receipt_of(httpx.Response(202, content=content), 3)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(KeysError, match="gw-1; `ioc devices key gw-1`"):
        key_of({}, "gw-1")


@pytest.mark.parametrize("key", ["", "khoá", "a b", "line\n", "\x00"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(KeysError, match="the key of gw-1 holds") as caught:
        key_of({"gw-1": key}, "gw-1")
    assert not key or key not in str(caught.value)


class Broker:
    """Stands for aiomqtt.Client: refuses a connection, loses one acknowledgement, then works."""

    connections = 0
    received: ClassVar[list[list[str]]] = []

    def __init__(self, host: str, port: int, **options: object) -> None:
        assert (host, port, options["username"], options["password"]) == ("broker", 1883, "gw-1", "secret")

    async def __aenter__(self) -> "Broker":
        Broker.connections += 1
        if Broker.connections == 1:
            raise aiomqtt.MqttError("refused")
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def publish(self, topic: str, payload: bytes, qos: int) -> None:
        assert (topic, qos) == ("ioc/v1/gw-1/events", 1)
        Broker.received.append([event["id"] for event in json.loads(payload)])
        if len(Broker.received) == 2:
            raise aiomqtt.MqttError("connection lost before PUBACK")


async def test_a_message_without_puback_is_published_again_after_reconnecting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("simulators.senders._BACKOFF_S", (0.0, 0.0))
    monkeypatch.setattr("simulators.senders.aiomqtt.Client", Broker)
    lane = Lane("gw-1", 2)
    lane.put(events(5))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run_mqtt(lane, "broker", 1883, "secret"))
        async with asyncio.timeout(5):
            await lane.idle.wait()
        task.cancel()
    assert Broker.received == [["0", "1"], ["2", "3"], ["2", "3"], ["4"]]
    assert Broker.connections == 3
    assert (lane.outbox.counters.acked, lane.outbox.counters.retried) == (5, 2)
