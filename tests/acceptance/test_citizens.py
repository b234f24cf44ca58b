"""A citizen's report through the whole service: told twice, resolved, answered, judged, opened again."""

import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import httpx
import pytest

from benchmarks.service import Service, running_service

pytestmark = pytest.mark.slow
HOLE = {"service": "road", "lon": 106.6515, "lat": 10.9805}
LIMITS = ("FREE_PER_HOUR", "MOST_PER_HOUR", "LOOKS_PER_MINUTE")
OVERRIDE = "đội hiện trường đã xác nhận qua điện thoại"
PHONE, NAME = "0912 345 678", "Nguyễn Thị Hoa"
_numbers = count()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    # One address tells everything here.
    with running_service({f"IOC_CITIZENS__{name}": "1000" for name in LIMITS}) as service:
        yield service


@pytest.fixture(scope="module")
def public(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{service.url}/api/v1/public", headers={"X-IOC": "1"}) as client:
        yield client


@pytest.fixture(scope="module")
def desk(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{service.url}/api/v1", headers=service.login("supervisor")) as client:
        yield client


def tell(public: httpx.Client, text: str, **changes: Any) -> dict[str, Any]:
    body = HOLE | {"text": text, "idem": f"idem-{next(_numbers):016}"} | changes
    answer = public.post("/reports", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def wait_for(what: Callable[[], Any], seconds: float = 30.0) -> Any:
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come")


def incident_of(desk: httpx.Client, report_id: str) -> dict[str, Any]:
    """Wait for the incident of a report that leads."""

    def look() -> Any:
        items = desk.get("/incidents", params={"state": "all", "limit": 500}).json()["items"]
        return next((item for item in items if item["key"] == f"citizens|{report_id}"), None)

    return wait_for(look)  # type: ignore[no-any-return]


def act(desk: httpx.Client, incident_id: str, op: str, **arguments: str) -> dict[str, Any]:
    incident = desk.get(f"/incidents/{incident_id}").json()
    body = {"op": op, "expect_rev": incident["rev"], "idem": f"act-{next(_numbers):08}", "args": arguments}
    answer = desk.post(f"/incidents/{incident_id}/commands", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_one_hole_many_citizens_each_with_an_answer_and_a_vote(
    public: httpx.Client, desk: httpx.Client
) -> None:
    text = "Mặt đường có ổ gà rất sâu trước cổng trường, xe máy dễ té ngã"
    first = tell(public, text, contact=PHONE)
    incident = incident_of(desk, first["id"])
    assert (incident["category"], incident["rule"]) == ("citizen.road", "citizen-report")
    assert incident["ack_due"] and incident["resolve_due"]

    offered = public.post("/duplicates", json=HOLE | {"text": "ổ gà trước cổng trường"}).json()["items"]
    assert [item["id"] for item in offered] == [first["id"]]
    same = tell(public, "mat duong co o ga rat sau truoc cong truong, xe may de te nga", lat=10.98052)
    assert same["joined"], "told without diacritics, twenty steps away"
    too = tell(public, "Hôm qua con tôi bị té ở chỗ này", joins=first["id"])
    assert too["joined"]

    reports = desk.get(f"/incidents/{incident['id']}/reports").json()["items"]
    assert [report["id"] for report in reports] == [first["id"], same["id"], too["id"]]
    assert reports[0]["contact"] == "•••"
    unmasked = desk.post(f"/reports/{first['id']}/unmask", json={"reason": "gọi lại hỏi vị trí chính xác"})
    assert unmasked.json() == {"contact": PHONE}

    act(desk, incident["id"], "acknowledge")
    act(desk, incident["id"], "start")
    answered = desk.post(
        f"/reports/{too['id']}/answer", json={"text": "Chúc cháu mau khỏe; chỗ này đã được rào chắn."}
    )
    assert answered.json() == {"answered": 1}
    assert public.get(f"/reports/{first['code']}").json()["may_vote"] is False
    early = public.post(f"/reports/{first['code']}/vote", json={"satisfied": True})
    assert (early.status_code, early.json()["errors"][0]["rule"]) == (409, "no_result_yet")

    act(desk, incident["id"], "resolve", note="Đã dặm vá, nhà thầu Bình An 0987654321", override=OVERRIDE)
    followed = [public.get(f"/reports/{report['code']}").json() for report in (first, same, too)]
    assert [[step["status"] for step in item["steps"]] for item in followed] == [
        ["received", "accepted", "in_progress", "done"]
    ] * 3
    assert [len(item["answers"]) for item in followed] == [0, 0, 1], "each has answers of their own"
    assert "nhà thầu" not in str(followed), "a note inside is no answer outside"
    assert followed[0]["standard"]["vi"]

    vote = public.post(f"/reports/{first['code']}/vote", json={"satisfied": True}).json()
    assert (vote["satisfied"], vote["status"]) == (True, "done")
    again = public.post(f"/reports/{first['code']}/vote", json={"satisfied": False}).json()
    assert (again["satisfied"], again["status"]) == (True, "done"), "one vote on one result"
    unhappy = public.post(
        f"/reports/{too['code']}/vote", json={"satisfied": False, "text": "Mưa một trận là bong lại"}
    ).json()
    assert unhappy["status"] == "reopened"
    assert desk.get(f"/incidents/{incident['id']}").json()["handling"] == "new"


def test_what_is_told_again_after_it_was_done_is_opened_again(
    public: httpx.Client, desk: httpx.Client
) -> None:
    place = {"service": "waste", "lon": 106.6705, "lat": 10.9855}
    first = tell(public, "Rác đổ tràn ra đường, bốc mùi hôi thối nhiều ngày", **place)
    incident = incident_of(desk, first["id"])
    act(desk, incident["id"], "resolve", note="đã thu gom", override=OVERRIDE)
    tell(public, "Rác đổ tràn ra đường, bốc mùi hôi nhiều ngày nay", **place)
    wait_for(lambda: desk.get(f"/incidents/{incident['id']}").json()["handling"] == "new")
    history = desk.get(f"/incidents/{incident['id']}/history").json()["items"]
    assert (history[-1]["op"], history[-1]["actor"]) == ("reopen", "citizens")


def test_a_report_wrongly_put_to_another_becomes_an_incident_of_its_own(
    public: httpx.Client, desk: httpx.Client
) -> None:
    place = {"service": "light", "lon": 106.6605, "lat": 10.9905}
    first = tell(public, "Đèn đường không sáng từ ngã tư đến cầu", **place)
    other = tell(public, "Trụ đèn nghiêng sắp đổ", joins=first["id"], **place)
    incident_of(desk, first["id"])
    assert desk.post(f"/reports/{other['id']}/separate").status_code == 204
    assert incident_of(desk, other["id"])["category"] == "citizen.light"


def test_a_repeat_is_one_report_and_gets_a_code_that_works(public: httpx.Client) -> None:
    body = {"text": "Cây nghiêng sắp đổ xuống đường", "service": "tree", "idem": "repeat-0123456789"}
    one, two = tell(public, **body), tell(public, **body)
    assert one["id"] == two["id"]
    assert public.get(f"/reports/{two['code'].lower().replace('-', ' ')}").status_code == 200
    changed = public.post("/reports", json=HOLE | body | {"text": "Chuyện khác hẳn"})
    assert changed.json()["errors"][0]["rule"] == "idem_reused"


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"service": "aliens"}, "service", "service"),
        ({"lon": 100.0}, "lon", "in_city"),
        ({"lon": None, "lat": None}, "address", "place_required"),
        ({"lon": 106.21, "lat": 10.71}, "lon", "in_ward"),
        ({"joins": "261128-0000000000"}, "joins", "joins"),
        ({"text": "a"}, "text", "string_too_short"),
    ],
)
def test_what_cannot_be_taken_says_why(
    public: httpx.Client, changes: dict[str, Any], field: str, rule: str
) -> None:
    body = HOLE | {"text": "Ổ gà giữa đường", "idem": f"bad-{next(_numbers):016}"} | changes
    answer = public.post("/reports", json=body)
    error = answer.json()["errors"][0]
    assert (answer.status_code, error["field"], error["rule"]) == (422, field, rule)


def test_nothing_public_tells_of_a_person(service: Service, public: httpx.Client, desk: httpx.Client) -> None:
    text = f"Tôi là {NAME}, số {PHONE}, xe 61A-123.45 đậu chắn lối"
    receipt = tell(public, text, service="traffic", contact=PHONE, address="12 Yersin, chị Hoa")
    incident = incident_of(desk, receipt["id"])
    question = HOLE | {"service": "traffic", "text": text}
    shown = [
        public.get(f"/reports/{receipt['code']}").text,
        public.post("/duplicates", json=question).text,
        public.get("/board").text,
        httpx.get(f"{service.url}/metrics").text,
        desk.get(f"/incidents/{incident['id']}").text,
        desk.get(f"/incidents/{incident['id']}/reports").text,
        service.output.read_text(),
    ]
    for answer in shown:
        for secret in (PHONE, PHONE.replace(" ", ""), NAME, "61A-123.45", "chị Hoa"):
            assert secret not in answer, answer
    assert receipt["code"] not in "".join(shown[1:])
