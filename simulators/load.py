"""Open-loop load: posts on a fixed schedule whatever the service does, and says what it could not send.

The schedule never waits for an answer, and latency counts from the moment a post was due, not from when it
was sent: a service or a sender that stalls cannot hide it (no coordinated omission).
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import httpx
import msgspec

from simulators.city.plane import stream
from simulators.senders import NotDelivered, json_bytes, receipt_of
from simulators.times import format_us

SLOT_S: Final = 0.05
"""Events come due together in slots; a slot's events are split into posts of `POST_EVENTS` at most."""
POST_EVENTS: Final = 1_000
CONNECTIONS: Final = 64
"""Posts in flight; a post that comes due beyond them is not sent, and counted."""
ANSWER_S: Final = 30.0
"""After this long without an answer a post is given up, and counted with this latency at least."""
LATE_S: Final = SLOT_S
"""A post that leaves this long after it was due was held up by the sender itself."""
_BUSY: Final = {429: "refused_429", 503: "refused_503"}


class LoadReport(msgspec.Struct):
    """Events, except the latencies: those are per post, from the moment it was due to its answer.

    `offered = unsent + acked + shed + rejected + refused_429 + refused_503 + unanswered + failed`. `shed` the
    service left out, and said so, because it could not keep up; `unsent` found every connection busy, `late`
    (of those sent) left behind schedule, `unanswered` got no answer or lost its connection, `failed` anything
    else, by name in `errors`.
    """

    rate: float
    duration_s: float
    offered: int = 0
    unsent: int = 0
    late: int = 0
    acked: int = 0
    shed: int = 0
    duplicate: int = 0
    rejected: int = 0
    refused_429: int = 0
    refused_503: int = 0
    unanswered: int = 0
    failed: int = 0
    elapsed_s: float = 0.0
    cpu_s: float = 0.0
    """Processor time of the sender."""
    offered_per_s: float = 0.0
    """What it held: offered less unsent, over the duration."""
    events_per_s: float = 0.0
    """What was acknowledged, until the last answer."""
    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    p999_ms: float | None = None
    max_ms: float | None = None
    errors: dict[str, int] = msgspec.field(default_factory=dict)


class _Run:
    """One load run in progress. `name` is part of every event id, so that runs never repeat each other."""

    def __init__(
        self, client: httpx.AsyncClient, url: str, key: str, sources: Sequence[str], report: LoadReport
    ) -> None:
        self._client = client
        self._address = f"{url.rstrip('/')}/api/v1/ingest/events"
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
        self._heads = [_head(source) for source in sources]
        self._name = f"load-{stream(time.time_ns()).randrange(1 << 40):x}"
        self._report = report
        self.flying = 0
        self.latencies_s: list[float] = []

    async def post(self, first: int, count: int, due: float) -> None:
        """Post events `first` to `first + count`, due at monotonic time `due`, and note the answer."""
        report = self._report
        try:
            body = self._body(first, count)
            if time.monotonic() - due > LATE_S:
                report.late += count
            answer = await self._client.post(self._address, content=body, headers=self._headers)
            busy = _BUSY.get(answer.status_code)
            if busy is not None:
                setattr(report, busy, getattr(report, busy) + count)
                return
            receipt = receipt_of(answer, count)
            report.acked += count - receipt.rejected - receipt.shed
            report.shed += receipt.shed
            report.duplicate += receipt.duplicate
            report.rejected += receipt.rejected
            self.latencies_s.append(time.monotonic() - due)
        except (httpx.ReadTimeout, httpx.WriteTimeout, httpx.ReadError, httpx.RemoteProtocolError) as problem:
            report.unanswered += count
            self._note(type(problem).__name__, count)
            self.latencies_s.append(time.monotonic() - due)
        except (httpx.HTTPError, NotDelivered) as problem:
            report.failed += count
            self._note(str(problem) if isinstance(problem, NotDelivered) else type(problem).__name__, count)
        finally:
            self.flying -= 1

    def _note(self, name: str, count: int) -> None:
        self._report.errors[name] = self._report.errors.get(name, 0) + count

    def _body(self, first: int, count: int) -> bytes:
        moment = format_us(time.time_ns() // 1000)
        heads, name = self._heads, self._name
        return "".join(
            f'{heads[number % len(heads)]}"id":"{name}-{number}","time":"{moment}",'
            f'"data":{{"speed_kmh":{38 + number % 17}.5,"occupancy":0.1{number % 10},'
            f'"volume_veh":{number % 9},"interval_s":10}}}}\n'
            for number in range(first, first + count)
        ).encode()


async def load(
    url: str,
    key: str,
    sources: Sequence[str],
    rate: float,
    duration_s: float,
    stop: asyncio.Event,
    told: Callable[[LoadReport, float], None] | None = None,
    connections: int = CONNECTIONS,
) -> LoadReport:
    """Offer `rate` events a second for `duration_s` and return what became of them.

    Events are `traffic.flow` of `sources` in turn, with values that no shipped rule minds. `told` hears after
    each slot how many seconds of the schedule are over.
    """
    report = LoadReport(rate=rate, duration_s=duration_s)
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    began, cpu_began = time.monotonic(), time.process_time()
    async with (
        httpx.AsyncClient(timeout=ANSWER_S, limits=limits, trust_env=False) as client,
        asyncio.TaskGroup() as group,
    ):
        run = _Run(client, url, key, sources, report)
        slot, slots = 0, max(1, round(duration_s / SLOT_S))
        while slot < slots and not stop.is_set():
            due = began + slot * SLOT_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            first, last = round(slot * SLOT_S * rate), round((slot + 1) * SLOT_S * rate)
            for start in range(first, last, POST_EVENTS):
                count = min(POST_EVENTS, last - start)
                report.offered += count
                if run.flying >= connections:
                    report.unsent += count
                    continue
                run.flying += 1
                group.create_task(run.post(start, count, due))
            slot += 1
            if told is not None:
                told(report, slot * SLOT_S)
    report.elapsed_s = round(time.monotonic() - began, 3)
    report.cpu_s = round(time.process_time() - cpu_began, 3)
    report.offered_per_s = round((report.offered - report.unsent) / (slot * SLOT_S), 1) if slot else 0.0
    report.events_per_s = round(report.acked / report.elapsed_s, 1)
    _latencies(report, run.latencies_s)
    return report


def _latencies(report: LoadReport, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    if ordered:
        report.p50_ms, report.p90_ms, report.p99_ms, report.p999_ms, report.max_ms = (
            round(1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2)
            for share in (0.5, 0.9, 0.99, 0.999, 1.0)
        )


def _head(source: str) -> str:
    text = json_bytes({"specversion": "1.0", "source": source, "type": "traffic.flow"}).decode()
    return text[:-1] + ","
