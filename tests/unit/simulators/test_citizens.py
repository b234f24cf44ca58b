"""Simulated citizens: what they tell fits the counter, and whatever it answers, nothing is told twice."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from shapely.geometry import Point, shape

from ioc.api.intake import Intake, IntakeLimits, WorkNeeded
from ioc.incidents.citizen_policy import CitizenPolicy
from simulators.citizens import FIRST_S, verdict_of, wait_s, words_of
from simulators.citizens_client import MAX_BITS, CitizensClient, _RefusedError, solve
from simulators.fleet import Fleet
from simulators.world import World
from tests.unit.simulators.conftest import DEMO, START_US

Answer = httpx.Response | Exception
RECEIPT = {"id": "261128-1", "code": "7K3MQ-9QX2F-C", "joined": False}


class Counter:
    """The public counter: remembers what it was sent and answers `answers` before anything else."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, object]]] = []
        self.may_vote = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["X-IOC"] == "1"
        what = f"{request.method} {request.url.path.removeprefix('/api/v1/public/').partition('/')[0]}"
        if request.url.path.endswith("/photos"):
            self.asked.append((what, {"bytes": len(request.content)}))
            return httpx.Response(201, json={"ref": f"ref-{len(self.asked)}"})
        self.asked.append((what, json.loads(request.content or b"{}")))
        if request.method == "GET":
            return httpx.Response(200, json={"may_vote": self.may_vote})
        if request.url.path.endswith(("/duplicates", "/vote")):
            return httpx.Response(200, json={"items": [{"id": "earlier"}]})
        answer = self.answers.pop(0) if self.answers else httpx.Response(201, json=RECEIPT)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def bodies(self, what: str) -> list[dict[str, object]]:
        return [body for asked, body in self.asked if asked == what]


@pytest.fixture
def client(fleet: Fleet) -> CitizensClient:
    return CitizensClient(fleet, World(fleet, [], seed=1, start_us=START_US), "http://service", 1)


async def attempts(client: CitizensClient, counter: Counter, work: str, count: int = 1) -> list[float | None]:
    transport = httpx.MockTransport(counter)
    async with httpx.AsyncClient(transport=transport, headers={"X-IOC": "1"}) as http:
        doing: Callable[[httpx.AsyncClient], object] = getattr(client, work)
        return [await client._attempt(doing(http)) for _ in range(count)]  # type: ignore[arg-type]


def test_what_citizens_tell_is_of_a_known_service_and_lies_in_a_ward(fleet: Fleet) -> None:
    features = json.loads((Path(DEMO) / "areas.geojson").read_bytes())["features"]
    wards = [shape(each["geometry"]) for each in features if each["properties"]["kind"] == "ward"]
    known = {service.code for service in CitizenPolicy().services}
    words = [words_of(1, number, fleet) for number in range(300)]
    assert {each.service for each in words} == known - {"other"}
    assert all(any(ward.contains(Point(each.lon, each.lat)) for ward in wards) for each in words)
    assert words == [words_of(1, number, fleet) for number in range(300)]
    for before, each in pairwise(words):
        if each.joins and not before.joins:
            assert (each.service, each.text) == (before.service, before.text)
            assert abs(each.lat - before.lat) < 0.0003
    assert 40 < sum(each.joins for each in words) < 110


def test_a_board_that_opens_fills_within_two_minutes_and_leaves_room_for_people() -> None:
    waits = [wait_s(1, number) for number in range(60)]
    assert sum(waits[: len(FIRST_S)]) == FIRST_S[-1] < 120
    fullest = max(sum(sum(waits[a : b + 1]) <= 3_600 for b in range(a, 60)) for a in range(30))
    assert fullest <= IntakeLimits().most - 5
    assert {verdict_of(1, str(number))[0] for number in range(100)} == {True, False}


async def test_work_that_is_asked_for_is_done_and_taken(client: CitizensClient) -> None:
    intake = Intake(IntakeLimits(free=1, bits=8), b"key")
    intake.report("a", 0)
    with pytest.raises(WorkNeeded) as caught:
        intake.report("a", 0)
    challenge = caught.value.challenge
    counter = Counter(
        httpx.Response(428, json={"challenge": {"seed": challenge.seed, "bits": challenge.bits}})
    )
    assert await attempts(client, counter, "_report") == [None]
    asked, again = counter.bodies("POST reports")
    assert again == asked | {"solution": again["solution"]}
    intake.report("a", 1, str(again["solution"]))
    assert client.said.reports == 1
    with pytest.raises(_RefusedError):
        solve("x", MAX_BITS + 1)


async def test_a_report_whose_answer_was_lost_is_sent_again_word_for_word(client: CitizensClient) -> None:
    counter = Counter(httpx.ReadTimeout("lost"), httpx.Response(503, headers={"Retry-After": "9"}))
    waits = await attempts(client, counter, "_report", 4)
    assert waits[0] and waits[1] and waits[1] >= 9 and waits[2:] == [None, None]
    first, second, third, fourth = counter.bodies("POST reports")
    assert first == second == third and fourth["idem"] != first["idem"]
    assert (client.said.reports, client.trouble) == (2, None)


async def test_what_is_refused_is_left_and_the_next_one_told(client: CitizensClient) -> None:
    counter = Counter(httpx.Response(422))
    assert await attempts(client, counter, "_report", 2) == [None, None]
    first, second = counter.bodies("POST reports")
    assert first["idem"] != second["idem"]
    assert (client.said.refused, client.said.reports) == (1, 1)


async def test_each_result_is_voted_on_once(client: CitizensClient) -> None:
    counter = Counter()
    await attempts(client, counter, "_follow")
    await attempts(client, counter, "_report")
    await attempts(client, counter, "_follow")
    assert client.said.votes == 0
    counter.may_vote = True
    await attempts(client, counter, "_follow", 3)
    assert client.said.votes == 1 and len(counter.bodies("GET reports")) == 2


async def test_the_counter_being_away_is_told_and_waited_for(client: CitizensClient) -> None:
    await attempts(client, Counter(), "_report")
    failing: list[Answer] = [httpx.ConnectError("refused")] * 12
    waits = [wait or 0 for wait in await attempts(client, Counter(*failing), "_report", len(failing))]
    assert client.trouble == "citizens: ConnectError: refused"
    assert 1 <= waits[0] < 5 and 60 <= waits[-1] <= 120
    await attempts(client, Counter(), "_report")
    assert client.trouble is None
