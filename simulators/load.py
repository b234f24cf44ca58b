"""Open-loop load: posts on a fixed schedule whatever the service does, and says what it could not send."""

import asyncio
import time
from collections.abc import Sequence

import httpx
import msgspec

from simulators.city.plane import stream
from simulators.senders import NotDelivered, json_bytes, receipt_of
from simulators.times import format_us

SLOT_S = 0.05
"""One post at least per slot; a slot's events are split into posts of `POST_EVENTS` at most."""
POST_EVENTS = 1_000
MAX_FLYING = 32
"""Posts in flight; a post that comes due beyond them is not sent, and counted."""
_ANSWER_S = 30.0


class LoadReport(msgspec.Struct):
    """Events, except the latencies: those are per post, from the moment it was due."""

    rate: float
    duration_s: float
    offered: int = 0
    unsent: int = 0
    acked: int = 0
    duplicate: int = 0
    rejected: int = 0
    failed: int = 0
    elapsed_s: float = 0.0
    events_per_s: float = 0.0
    p50_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None
    errors: dict[str, int] = msgspec.field(default_factory=dict)


class _Run:
    """One load run in progress. `name` is part of every event id, so that runs never repeat each other."""

    def __init__(
        self, client: httpx.AsyncClient, url: str, key: str, sources: Sequence[str], name: str
    ) -> None:
        self._client = client
        self._address = f"{url.rstrip('/')}/api/v1/ingest/events"
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
        self._heads = [_head(source) for source in sources]
        self._name = name
        self.flying = 0
        self.latencies_s: list[float] = []

    async def post(self, first: int, count: int, due: float, report: LoadReport) -> None:
        """Post events `first` to `first + count` and note the answer."""
        try:
            answer = await self._client.post(
                self._address, content=self._body(first, count), headers=self._headers
            )
            receipt = receipt_of(answer, count)
            report.acked += count - receipt.rejected
            report.duplicate += receipt.duplicate
            report.rejected += receipt.rejected
            self.latencies_s.append(time.monotonic() - due)
        except (httpx.TransportError, NotDelivered) as problem:
            report.failed += count
            name = str(problem) if isinstance(problem, NotDelivered) else type(problem).__name__
            report.errors[name] = report.errors.get(name, 0) + 1
        finally:
            self.flying -= 1

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
    url: str, key: str, sources: Sequence[str], rate: float, duration_s: float, stop: asyncio.Event
) -> LoadReport:
    """Offer `rate` events a second for `duration_s` and return what became of them.

    Events are `traffic.flow` of `sources` in turn, with values that no shipped rule minds. At the end
    `offered = unsent + acked + rejected + failed`.
    """
    report = LoadReport(rate=rate, duration_s=duration_s)
    name = f"load-{stream(time.time_ns()).randrange(1 << 40):x}"
    limits = httpx.Limits(max_connections=MAX_FLYING, max_keepalive_connections=MAX_FLYING)
    began = time.monotonic()
    async with (
        httpx.AsyncClient(timeout=_ANSWER_S, limits=limits, trust_env=False) as client,
        asyncio.TaskGroup() as group,
    ):
        run = _Run(client, url, key, sources, name)
        slot, slots = 0, max(1, round(duration_s / SLOT_S))
        while slot < slots and not stop.is_set():
            due = began + slot * SLOT_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            first, last = round(slot * SLOT_S * rate), round((slot + 1) * SLOT_S * rate)
            for start in range(first, last, POST_EVENTS):
                count = min(POST_EVENTS, last - start)
                report.offered += count
                if run.flying >= MAX_FLYING:
                    report.unsent += count
                    continue
                run.flying += 1
                group.create_task(run.post(start, count, due, report))
            slot += 1
    report.elapsed_s = round(time.monotonic() - began, 3)
    report.events_per_s = round(report.acked / report.elapsed_s, 1)
    _latencies(report, run.latencies_s)
    return report


def _latencies(report: LoadReport, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    if ordered:
        report.p50_ms, report.p99_ms, report.max_ms = (
            round(1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2)
            for share in (0.5, 0.99, 1.0)
        )


def _head(source: str) -> str:
    text = json_bytes({"specversion": "1.0", "source": source, "type": "traffic.flow"}).decode()
    return text[:-1] + ","
