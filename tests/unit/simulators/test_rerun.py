"""A rerun tells the time before it sends, one request after another, and says why it cannot go on."""

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest

from simulators import front_door as module
from simulators.fleet import Fleet
from simulators.front_door import FrontDoorError
from simulators.rerun import Report, Rerun
from simulators.scenario import Script, named_scenario
from simulators.senders import KeysError
from simulators.times import SECOND_US, parse_us
from simulators.world import World
from tests.unit.simulators.conftest import START_US

Answer = Callable[[str, bytes], httpx.Response]


def taken(what: str, body: bytes) -> httpx.Response:
    if what == "clock":
        return httpx.Response(200, json={"now": json.loads(body)["now"], "ticks": 1})
    return httpx.Response(202, json={"accepted": len(body.splitlines()), "duplicate": 0, "rejected": []})


class Service:
    """Answers as told, notes what came, and that never two requests were under way."""

    def __init__(self, answer: Answer = taken) -> None:
        self.requests: list[tuple[str, str, bytes]] = []
        self.answer = answer
        self._busy = False

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        assert not self._busy
        self._busy = True
        await asyncio.sleep(0)
        self._busy = False
        what = request.url.path.rsplit("/", 1)[-1]
        key = request.headers["authorization"].removeprefix("Bearer key-of-")
        self.requests.append((what, key, request.content))
        return self.answer(what, request.content)


async def play(
    fleet: Fleet,
    service: Service,
    seconds: int,
    sender: str | None = "gw-all",
    stop: asyncio.Event | None = None,
) -> Report:
    world = World(fleet, [Script(named_scenario("demo"), fleet, START_US)], seed=1, start_us=START_US)
    names = {sender or "", *(fleet.sender_of(unit) for unit in fleet.units)}
    keys = {name: f"key-of-{name}" for name in names}
    async with httpx.AsyncClient(transport=httpx.MockTransport(service)) as client:
        return await Rerun(world, client, "http://ioc/", keys, stop or asyncio.Event(), sender).run(
            seconds, lambda _: None
        )


async def test_the_time_is_told_before_the_events_of_each_second_and_once_more_at_the_end(
    fleet: Fleet,
) -> None:
    service = Service()
    report = await play(fleet, service, 5)
    now_us, times = START_US, []
    for what, _, body in service.requests:
        if what == "clock":
            now_us = parse_us(json.loads(body)["now"])
            times.append((now_us - START_US) // SECOND_US)
        else:
            for line in body.splitlines():
                assert now_us - SECOND_US <= parse_us(json.loads(line)["time"]) < now_us
    assert times == [1, 2, 3, 4, 5, 6]
    assert report.seconds == 5
    assert (
        report.events
        == report.accepted
        == sum(len(b.splitlines()) for w, _, b in service.requests if w == "events")
    )


async def test_equal_arguments_send_equal_bytes(fleet: Fleet) -> None:
    first, second = Service(), Service()
    await play(fleet, first, 4, sender=None)
    await play(fleet, second, 4, sender=None)
    assert first.requests == second.requests
    senders = [key for what, key, _ in first.requests if what == "events"]
    assert len(set(senders)) > 10


async def test_what_could_not_be_taken_is_sent_again_as_it_was(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    failures = iter([503, 0, 429, 0])

    def sometimes(what: str, body: bytes) -> httpx.Response:
        status = next(failures, 0)
        return httpx.Response(status) if status else taken(what, body)

    service = Service(sometimes)
    report = await play(fleet, service, 3)
    assert service.requests[0] == service.requests[1]
    assert service.requests[2] == service.requests[3]
    assert report.events == report.accepted


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (404, "keeps its own time; start it with IOC_REPLAY__ENABLED=true"),
        (400, "refuses .*it is 08:00 already"),
    ],
)
async def test_a_service_that_takes_no_time_from_others_is_named(
    fleet: Fleet, status: int, message: str
) -> None:
    service = Service(lambda *_: httpx.Response(status, json={"detail": "it is 08:00 already"}))
    with pytest.raises(FrontDoorError, match=message):
        await play(fleet, service, 3)
    assert len(service.requests) == 1


async def test_a_service_that_never_answers_is_given_up(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    service = Service(lambda *_: httpx.Response(503, json={"detail": "not now"}))
    with pytest.raises(FrontDoorError, match="in 20 attempts; the last: HTTP 503: not now"):
        await play(fleet, service, 3)
    assert len(service.requests) == module.ATTEMPTS


async def test_a_key_that_was_issued_a_moment_ago_is_tried_again_a_wrong_one_not_for_ever(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    unknown = [httpx.Response(401, json={"detail": "no such key"}) for _ in range(2)]
    service = Service(lambda what, body: unknown.pop() if unknown else taken(what, body))
    assert (await play(fleet, service, 2)).all_taken
    service = Service(lambda *_: httpx.Response(401, json={"detail": "no such key"}))
    with pytest.raises(FrontDoorError, match="HTTP 401: no such key"):
        await play(fleet, service, 2)
    assert len(service.requests) == module.UNKNOWN_ATTEMPTS


async def test_a_stop_ends_the_attempts_at_a_service_that_is_away(fleet: Fleet) -> None:
    stop = asyncio.Event()

    def away(*_: object) -> httpx.Response:
        stop.set()
        raise httpx.ConnectError("nobody there")

    service = Service(away)
    async with asyncio.timeout(5):
        report = await play(fleet, service, 30, stop=stop)
    assert (report.seconds, len(service.requests)) == (0, 1)


async def test_a_stop_does_not_wait_for_an_answer_that_does_not_come(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FAREWELL_S", 0.0)
    stop, never = asyncio.Event(), asyncio.Event()

    async def silent(_: httpx.Request) -> httpx.Response:
        stop.set()
        await never.wait()
        return httpx.Response(202)

    world = World(fleet, [], seed=1, start_us=START_US)
    async with asyncio.timeout(5), httpx.AsyncClient(transport=httpx.MockTransport(silent)) as client:
        rerun = Rerun(world, client, "http://ioc", {"gw-all": "k"}, stop, "gw-all")
        assert (await rerun.run(30, lambda _: None)).seconds == 0


async def test_something_else_that_answers_202_is_no_service(fleet: Fleet) -> None:
    def other(what: str, _: bytes) -> httpx.Response:
        return httpx.Response(200 if what == "clock" else 202, content=b"<html>ok")

    with pytest.raises(FrontDoorError, match="without a receipt"):
        await play(fleet, Service(other), 20)


async def test_a_sender_without_a_key_is_named(fleet: Fleet) -> None:
    world = World(fleet, [], seed=1, start_us=START_US)
    async with httpx.AsyncClient(transport=httpx.MockTransport(Service())) as client:
        with pytest.raises(KeysError, match="no key for gw-all"):
            await Rerun(world, client, "http://ioc", {}, asyncio.Event(), "gw-all").run(1, lambda _: None)
