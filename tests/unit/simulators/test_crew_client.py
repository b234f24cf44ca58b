"""The crew's shell: whatever the service does, the city goes on, and nothing is asked without end."""

import asyncio
import json
import time
from collections.abc import Callable

import httpx
import msgspec
import pytest

from simulators import crew_client
from simulators.crew import Crew
from simulators.crew_client import MAX_PAGES, CrewClient, password_of
from simulators.fleet import Fleet
from simulators.live import LiveCity, Target
from simulators.senders import KeysError
from simulators.times import SECOND_US, format_us
from simulators.world import World
from tests.unit.simulators.test_crew import TARGET, ids, new

Handler = Callable[[httpx.Request], httpx.Response]
URL = "http://service"


class Service:
    """The console API: one incident long overdue, a session that can be lost, and a log of requests."""

    def __init__(self) -> None:
        (incident,) = ids(True, 1)
        detected = format_us(time.time_ns() // 1000 - 3_600 * SECOND_US)
        self.case = msgspec.structs.replace(new(incident), detected=detected, updated=detected)
        self.log: list[str] = []
        self.bodies: list[dict[str, object]] = []
        self.token = 0
        self.next: str | None = None
        self.answers: list[httpx.Response | Exception] = []
        """Given instead of carrying out commands, first to last."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        what = f"{request.method} {request.url.path.rpartition('/')[2]}"
        self.log.append(what)
        if what == "POST session":
            assert request.headers["X-IOC"] == "1"
            self.token += 1
            cookie = {"Set-Cookie": f"ioc_session={self.token}; HttpOnly; SameSite=Strict"}
            return httpx.Response(200, headers=cookie, json={})
        if f"ioc_session={self.token}" not in request.headers.get("cookie", ""):
            return httpx.Response(401)
        if what == "GET incidents":
            page = {"items": [msgspec.to_builtins(self.case)], "next": self.next}
            return httpx.Response(200, json=page)
        return self.command(request) if what == "POST commands" else httpx.Response(204)

    def command(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["X-IOC"] == "1"
        body = json.loads(request.content)
        self.bodies.append(body)
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        self.case = msgspec.structs.replace(
            self.case,
            rev=self.case.rev + 1,
            handling=TARGET[body["op"]],
            note=body["args"].get("note"),
            updated=format_us(time.time_ns() // 1000),
        )
        return httpx.Response(200, json=msgspec.to_builtins(self.case))


class Session:
    """A crew and its transport, driven round by round."""

    def __init__(self, handler: Handler) -> None:
        self.client = CrewClient(Crew(1, {}), URL, "secret")
        self._handler = handler

    async def rounds(self, count: int) -> list[float]:
        transport = httpx.MockTransport(self._handler)
        async with httpx.AsyncClient(transport=transport, headers={"X-IOC": "1"}) as http:
            return [await self.client._round(http) for _ in range(count)]


async def test_it_logs_in_once_and_acts_with_revision_and_key() -> None:
    service = Service()
    session = Session(service)
    assert await session.rounds(2) == [crew_client.ROUND_S] * 2
    assert service.log == ["POST session", "GET incidents", "POST commands", "GET incidents"]
    (body,) = service.bodies
    assert (body["op"], body["expect_rev"]) == ("acknowledge", 1)
    assert len(str(body["idem"])) >= 8
    assert session.client.trouble is None


async def test_a_lost_session_is_opened_again() -> None:
    service = Service()

    def forgets(request: httpx.Request) -> httpx.Response:
        if len(service.log) == 3:
            service.token += 1
        return service(request)

    session = Session(forgets)
    waits = await session.rounds(3)
    assert service.log[3:] == ["GET incidents", "POST session", "GET incidents"]
    assert waits[0] == waits[2] == crew_client.ROUND_S


async def test_a_command_whose_answer_was_lost_is_sent_again_unchanged() -> None:
    service = Service()
    service.answers = [httpx.ReadTimeout("lost"), httpx.Response(503)]
    session = Session(service)
    await session.rounds(3)
    assert len(service.bodies) == 3
    assert service.bodies[0] == service.bodies[1] == service.bodies[2]
    assert session.client.crew.counts.commands == 1


async def test_a_conflict_is_tried_again_in_the_next_round() -> None:
    service = Service()
    current = msgspec.structs.replace(service.case, rev=2)
    service.answers = [httpx.Response(409, json={"current": msgspec.to_builtins(current)})]

    def changes(request: httpx.Request) -> httpx.Response:
        answer = service(request)
        service.case = current if answer.status_code == 409 else service.case
        return answer

    session = Session(changes)
    await session.rounds(2)
    assert [body["expect_rev"] for body in service.bodies] == [1, 2]
    assert session.client.crew.counts.conflicts == 1


async def test_what_is_refused_is_not_asked_again() -> None:
    service = Service()
    service.answers = [httpx.Response(422, json={})]
    await Session(service).rounds(5)
    assert len(service.bodies) == 1


async def test_the_list_is_read_to_a_bound() -> None:
    service = Service()
    service.next = "more"
    await Session(service).rounds(1)
    assert service.log.count("GET incidents") == MAX_PAGES


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.Response(401),
        httpx.Response(500, text="oops"),
        httpx.Response(200, text="not json"),
        httpx.Response(200, json={"items": [{"id": 1}]}),
    ],
)
async def test_failures_are_told_and_the_pauses_grow(failure: httpx.Response | Exception) -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        if isinstance(failure, Exception):
            raise failure
        return httpx.Response(failure.status_code, content=failure.content)

    session = Session(broken)
    waits = await session.rounds(9)
    assert session.client.trouble is not None
    assert waits[0] <= 2
    assert min(waits[6:]) >= 30
    assert max(waits) <= 60


async def test_it_waits_as_long_as_the_service_asks() -> None:
    def throttled(_: httpx.Request) -> httpx.Response:
        return httpx.Response(429, headers={"Retry-After": "45"})

    assert await Session(throttled).rounds(1) == [45.0]


async def test_a_city_with_a_crew_stops_without_a_service(fleet: Fleet) -> None:
    crew = CrewClient(Crew(1, {}), "http://127.0.0.1:1", "secret")
    world = World(fleet, [], seed=1, start_us=time.time_ns() // 1000)
    keys = {unit.id: "k" for unit in fleet.units.values()}
    city = LiveCity(world, Target("http://127.0.0.1:1", "127.0.0.1", 1), keys, ["citizens"], crew)
    stop = asyncio.Event()
    async with asyncio.timeout(60):
        await city.run(stop, None, lambda status: stop.set() if "crew" in status.troubles else None)
    status = city.status()
    assert status.crew is not None
    assert status.crew.handled == 0
    assert "crew" in status.troubles


async def test_it_logs_out_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    service, original = Service(), httpx.AsyncClient

    def mocked(**options: object) -> httpx.AsyncClient:
        headers = {"X-IOC": "1"}
        assert options["headers"] == headers
        return original(transport=httpx.MockTransport(service), headers=headers)

    monkeypatch.setattr(httpx, "AsyncClient", mocked)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(CrewClient(Crew(1, {}), URL, "secret").run())
        while not service.bodies:  # noqa: ASYNC110 - the service has no event for this
            await asyncio.sleep(0.01)
        task.cancel()
    assert service.log[-1] == "DELETE session"


def test_logins_without_the_crew_stop_the_start() -> None:
    with pytest.raises(KeysError, match="supervisor"):
        password_of({"operator": "x"})
