"""The feed in a process of its own, offered made-up incidents and states: what `fanout` connects to.

Hub, session, socket and web server are the product's; only the database and the log are replaced, by changes
and events that are made here at a fixed pace, so that the figures are the feed's alone.
"""

import argparse
import asyncio
import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import uvicorn
import uvloop
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute

from ioc.model.events import CameraCount, Event, TrafficFlow
from ioc.model.incidents import Condition, Evidence, Handling, Incident, Severity, Why
from ioc.model.texts import Text
from ioc.stream.hub import Hub, HubSettings, wall_us
from ioc.stream.ports import Viewer
from ioc.stream.scope import EVERYTHING
from ioc.stream.shell import SocketSettings
from ioc.stream.websocket import UVICORN_OPTIONS, FeedSocket

EPOCH = "benchmark"
OPEN_INCIDENTS = 200
TURNS_PER_S = 50
WEST, SOUTH, EAST, NORTH = 106.4, 10.8, 107.0, 11.4
KEPT_CHANGES = 2_000
STEP_DEG = 0.0005
"""How far an entity that moves goes with each of its states, about 50 m."""


@dataclass(frozen=True)
class _Stored:
    offset: int
    incident: Incident


class MadeChanges:
    """A `ChangeSource` of `OPEN_INCIDENTS` incidents that are revised in turn.

    Every other revision is a rule's, with new evidence; the rest are what people and clocks do.
    """

    def __init__(self) -> None:
        self.incidents = [_incident(number) for number in range(OPEN_INCIDENTS)]
        self.last = 0
        self._changes: deque[_Stored] = deque(maxlen=KEPT_CHANGES)

    def change(self) -> None:
        """Revise the next incident; `updated` tells when."""
        place = self.last % OPEN_INCIDENTS
        old = self.incidents[place]
        rev = old.rev + 1
        changed = msgspec.structs.replace(old, rev=rev, updated_us=wall_us(), count=old.count + 1)
        if rev % 2:
            why = msgspec.structs.replace(old.why, evidence=_evidence(rev % 20), event_ids=_event_ids(rev))
            changed = msgspec.structs.replace(changed, why=why)
        self.incidents[place] = changed
        self.last += 1
        self._changes.append(_Stored(self.last, changed))

    async def position(self) -> tuple[str, int]:
        """Return the epoch and the newest offset."""
        return EPOCH, self.last

    async def read(self, after: int, limit: int) -> Sequence[_Stored]:
        """Return the changes above `after`."""
        first = self._changes[0].offset if self._changes else self.last + 1
        start = max(0, after + 1 - first)
        return [self._changes[at] for at in range(start, min(len(self._changes), start + limit))]

    async def snapshot(self) -> tuple[int, Sequence[Incident]]:
        """Return every incident."""
        return self.last, list(self.incidents)


class _Load:
    """What is offered, in `TURNS_PER_S` equal turns a second, until it is stopped."""

    def __init__(self, hub: Hub, source: MadeChanges, entities: int, moving: bool) -> None:
        self._hub, self._source, self._moving = hub, source, moving
        self._random = random.Random(1)
        self._places = [
            (self._random.uniform(WEST, EAST), self._random.uniform(SOUTH, NORTH)) for _ in range(entities)
        ]
        self._next = 0
        self.changes_per_s = self.states_per_s = 0.0
        self.states = 0
        self.late_s = 0.0
        self.own_cpu_s = 0.0

    async def run(self) -> None:
        """Offer what is due; a turn that comes late offers what was missed, so the rate holds."""
        began_s, changes, states = time.monotonic(), 0.0, 0.0
        while True:
            now_s = time.monotonic()
            elapsed_s, began_s = now_s - began_s, now_s
            self.late_s = max(self.late_s, elapsed_s - 1 / TURNS_PER_S)
            changes += elapsed_s * self.changes_per_s
            states += elapsed_s * self.states_per_s
            spent_s = time.thread_time()
            while changes >= 1:
                changes -= 1
                self._source.change()
                self._hub.wake()
            while states >= 1:
                states -= 1
                self.states += 1
                self._hub.apply_event(self._event())
            self.own_cpu_s += time.thread_time() - spent_s
            await asyncio.sleep(1 / TURNS_PER_S)

    def offer_all(self) -> None:
        """Give every entity its first state."""
        for _ in self._places:
            self._hub.apply_event(self._event())

    def devices(self) -> list[dict[str, object]]:
        """Return the entities as `GET /api/v1/devices` lists them."""
        return [
            {
                "id": _id(number), "kind": "camera" if _id(number).startswith("cam") else "detector",
                "name": _id(number), "ward": "25747", "lon": lon, "lat": lat, "has_picture": False,
            }
            for number, (lon, lat) in enumerate(self._places)
        ]  # fmt: skip

    def _event(self) -> Event:
        number = self._next % len(self._places)
        self._next += 1
        lon, lat = self._places[number]
        if self._moving:
            lon += self._random.uniform(-STEP_DEG, STEP_DEG)
            lat += self._random.uniform(-STEP_DEG, STEP_DEG)
            self._places[number] = lon, lat
        at_us = wall_us()
        data = (
            TrafficFlow(speed_kmh=30.0 + self._next % 30, occupancy=0.12, volume_veh=9, interval_s=10)
            if number % 3 == 0
            else CameraCount(vehicles=self._next % 40, people=3)
        )
        return Event(
            id=f"e{self._next}", source=_id(number), time_us=at_us, received_us=at_us, data=data,
            ward="25747", lon=lon, lat=lat,
        )  # fmt: skip


def _id(number: int) -> str:
    return f"{'det' if number % 3 == 0 else 'cam'}-{number}"


def _incident(number: int) -> Incident:
    now_us = wall_us()
    return Incident(
        id=f"inc-{number:020}", rev=1, rule="underpass-jam", key=f"det-{number}", category="traffic",
        severity=Severity.HIGH, condition=Condition.ACTIVE, handling=Handling.NEW,
        title=Text(vi="Ùn tắc hầm chui", en="Underpass congestion"),
        why=Why(
            rule_version="3",
            summary=Text(vi="Tốc độ dưới 20 km/h", en="Slower than 20 km/h"),
            evidence=_evidence(12),
            event_ids=_event_ids(1),
        ),
        opened_us=now_us, detected_us=now_us, updated_us=now_us, ward="25747", lon=106.7, lat=10.98,
    )  # fmt: skip


def _evidence(speed_kmh: int) -> tuple[Evidence, ...]:
    return (
        Evidence(name="speed_kmh", value=speed_kmh, op="<", threshold=20.0, unit="km/h"),
        Evidence(name="occupancy", value=0.41, op=">", threshold=0.35),
        Evidence(name="count", value=7, op=">=", threshold=5),
    )


def _event_ids(rev: int) -> tuple[str, ...]:
    return tuple(f"det-{rev:08}-{number}" for number in range(5))


def _sample(name: str, labels: dict[str, str]) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def _admit(token: str) -> Viewer:
    return Viewer(token, token, EVERYTHING)


async def serve(port: int, entities: int, moving: bool = False, origin: str | None = None) -> None:
    """Serve the feed at `/api/v1/feed` until interrupted; `POST /load` sets what is offered a second.

    Pages of `origin` may open it too. `GET /devices` lists the entities.
    """
    source = MadeChanges()
    hub = Hub(source, HubSettings(max_clients=10_000))
    load = _Load(hub, source, entities, moving)
    socket = FeedSocket(hub, _admit, SocketSettings(origins=frozenset({origin} if origin else ())))
    load.offer_all()

    async def figures(_: Request) -> JSONResponse:
        return JSONResponse(
            {
                "offset": source.last,
                "states": load.states,
                "conflated": _sample("ioc_feed_conflated_total", {}),
                "slow": _sample("ioc_feed_closes_total", {"reason": "slow"}),
                "clients": hub.clients,
                "late_s": round(load.late_s, 3),
                "load_cpu_s": load.own_cpu_s,
            }
        )

    async def pace(request: Request) -> JSONResponse:
        wanted = await request.json()
        load.changes_per_s, load.states_per_s = wanted["changes_per_s"], wanted["states_per_s"]
        load.late_s = 0.0
        return await figures(request)

    async def devices(_: Request) -> JSONResponse:
        return JSONResponse({"items": load.devices()})

    routes = [
        Route("/devices", devices),
        Route("/figures", figures),
        Route("/load", pace, methods=["POST"]),
        WebSocketRoute("/api/v1/feed", socket.serve),
    ]
    config = uvicorn.Config(
        Starlette(routes=routes), host="127.0.0.1", port=port, log_level="warning", backlog=2048,
        **UVICORN_OPTIONS,
    )  # fmt: skip
    server = uvicorn.Server(config)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(hub.run()), group.create_task(load.run())]
        await server.serve()
        for task in tasks:
            task.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--entities", type=int, required=True)
    parser.add_argument("--moving", action="store_true", help="every state is elsewhere than the one before")
    parser.add_argument("--origin", help="pages of this origin may open the feed too")
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(given.port, given.entities, given.moving, given.origin))
