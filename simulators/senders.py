"""Lanes to the service: MQTT QoS 1 and HTTP NDJSON. Each empties one outbox until it is cancelled."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import aiomqtt
import httpx
import msgspec

from simulators import SimulatorError
from simulators.outbox import Outbox, Receipt
from simulators.world import Event

MQTT_PARCEL = 60
HTTP_PARCEL = 500
OUTBOX_LIMIT = 20_000
"""Events per lane; the busiest lane of the demo fills it in half an hour without the service."""
ANSWER_S = 5.0
_BACKOFF_S = (0.2, 5.0)
_GIVE_UP = frozenset({400, 413, 415, 422})
"""Answers that a repeat of the same bytes would get again."""

Send = Callable[[Sequence[Event]], Awaitable[Receipt]]


class KeysError(SimulatorError):
    """The keys file is unreadable or lacks a device."""


class NotDelivered(Exception):
    """The parcel may not have arrived; the same parcel should be sent again."""


class _Answer(msgspec.Struct, frozen=True):
    """What the service says about a body it took."""

    accepted: int
    duplicate: int = 0
    rejected: Sequence[object] = ()
    shed: int = 0


def load_keys(path: Path, what: str = "keys") -> dict[str, str]:
    """Return device id → key, or user → password where `what` is logins.

    Raises:
        KeysError: no such file, or not a JSON object of texts.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except OSError as problem:
        raise KeysError(
            f"cannot read {what} from {path}: {problem.strerror}; `ioc up --demo` writes {what}.json"
            " into the folder demo of its data"
        ) from problem
    except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
        raise KeysError(
            f'cannot read {what} from {path}: {problem}; expected JSON such as {{"name": "secret"}}'
        ) from problem


def key_of(keys: Mapping[str, str], device: str) -> str:
    """Return a device's key.

    Raises:
        KeysError: the file has none for it, or what cannot be one.
    """
    if device not in keys:
        raise KeysError(f"the keys file has no key for {device}; `ioc devices key {device}` issues one")
    key = keys[device]
    if not (key.isascii() and key.isprintable() and key.split() == [key]):
        raise KeysError(
            f"the key of {device} holds letters that no key has: copy it again, or get another"
            f" with `ioc devices key {device}`"
        )
    return key


class Lane:
    """One sender: its outbox, and whether the service answered the last attempt."""

    def __init__(self, name: str, parcel: int, limit: int = OUTBOX_LIMIT) -> None:
        self.name = name
        self.parcel = parcel
        self.outbox = Outbox(limit)
        self.healthy = False
        self.trouble: str | None = None
        self.idle = asyncio.Event()
        """Set while nothing waits for an acknowledgement."""
        self.idle.set()
        self._news = asyncio.Event()
        self._failures = 0

    def put(self, events: Sequence[Event]) -> None:
        """Queue `events` for sending."""
        if events:
            self.outbox.put(events)
            self._news.set()
            self.idle.clear()

    async def empty(self, send: Send) -> None:
        """Send parcel after parcel, for ever.

        Raises:
            NotDelivered: the parcel was put back; call `empty` again after `pause`.
        """
        while True:
            events = self.outbox.take(self.parcel)
            if not events:
                self._news.clear()
                self.idle.set()
                await self._news.wait()
                continue
            try:
                receipt = await send(events)
            except BaseException:
                self.outbox.put_back()
                raise
            self.outbox.ack(receipt)
            self.healthy, self.trouble, self._failures = True, None, 0

    async def pause(self, reason: str) -> None:
        """Wait before the next attempt: doubling with jitter, at most five seconds."""
        self.healthy, self.trouble = False, reason
        first, most = _BACKOFF_S
        self._failures += 1
        await asyncio.sleep(min(most, first * 2 ** min(self._failures, 10)) * random.uniform(0.5, 1.0))


async def run_http(lane: Lane, client: httpx.AsyncClient, url: str, key: str) -> None:
    """Empty `lane` by posts to `{url}/api/v1/ingest/events`, until cancelled."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
    address = f"{url.rstrip('/')}/api/v1/ingest/events"

    async def send(events: Sequence[Event]) -> Receipt:
        try:
            answer = await client.post(address, content=ndjson(events), headers=headers)
        except httpx.HTTPError as problem:
            raise NotDelivered(f"{type(problem).__name__}: {problem}") from problem
        return receipt_of(answer, len(events))

    lane.healthy = True
    while True:
        try:
            await lane.empty(send)
        except NotDelivered as problem:
            await lane.pause(str(problem))


async def run_mqtt(lane: Lane, host: str, port: int, key: str) -> None:
    """Empty `lane` by QoS 1 messages of the gateway `lane.name`, until cancelled."""
    topic = f"ioc/v1/{lane.name}/events"
    while True:
        client = aiomqtt.Client(
            host, port, username=lane.name, password=key, identifier=f"sim-{lane.name}", timeout=ANSWER_S
        )
        try:
            async with client:
                lane.healthy, lane.trouble = True, None

                async def send(events: Sequence[Event], client: aiomqtt.Client = client) -> Receipt:
                    await client.publish(topic, json_bytes(list(events)), qos=1)
                    return Receipt(accepted=len(events))

                await lane.empty(send)
        except aiomqtt.MqttError as problem:
            await lane.pause(f"MQTT: {problem}")
        finally:
            _hear_out(client)


def _hear_out(client: aiomqtt.Client) -> None:
    """Look at why the connection broke: aiomqtt does not, and asyncio then complains on stderr.

    A publish that waits for its acknowledgement is told of the timeout only; the reason stays in this future.
    """
    lost: asyncio.Future[None] | None = getattr(client, "_disconnected", None)
    if lost and lost.done() and not lost.cancelled():
        lost.exception()


def receipt_of(answer: httpx.Response, count: int) -> Receipt:
    """Return the receipt in an answer to `count` events.

    Raises:
        NotDelivered: the service asks to come again, does not know the key yet, or it is not the service.
    """
    if answer.status_code in _GIVE_UP:
        return Receipt(accepted=0, rejected=count)
    if answer.status_code != 202:
        raise NotDelivered(f"HTTP {answer.status_code}")
    try:
        found = msgspec.json.decode(answer.content, type=_Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
        raise NotDelivered("HTTP 202 without a receipt: is it the service that answers?") from problem
    return Receipt(found.accepted, found.duplicate, len(found.rejected), found.shed)


def json_bytes(value: object) -> bytes:
    """Return compact UTF-8 JSON; the same value gives the same bytes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def ndjson(events: Sequence[Event]) -> bytes:
    """Return one event a line."""
    return b"\n".join(json_bytes(event) for event in events) + b"\n"
