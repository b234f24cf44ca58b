"""Hard input at the front door: what is valid is taken, the rest counted by reason, never a 500."""

import json
from typing import Any

import pytest

from ioc.model.events import FeedbackReport, TrafficFlow
from ioc.model.times import SECOND_US, format_us
from tests.integration.ingest.test_http import URL, connect
from tests.unit.ingest.fakes import NOW_US, City, body, cloud_event


def report(number: int = 1, **changes: Any) -> dict[str, Any]:
    data = {"category": "road", "text": "ổ gà"}
    return cloud_event(number, source="portal", type="feedback.report", data=data, **changes)


async def send(
    city: City, device: str, content: bytes, media: str = "application/x-ndjson"
) -> dict[str, Any]:
    async with connect(city, device) as client:
        answer = await client.post(URL, content=content, headers={"Content-Type": media})
    assert answer.status_code in (202, 400, 413), answer.text
    found: dict[str, Any] = answer.json() | {"status_code": answer.status_code}
    return found


@pytest.mark.parametrize(
    ("lon", "lat", "finding", "placed"),
    [
        (0, 0, "position_zero", (None, None)),
        (10.98, 106.65, "position_swapped", (106.65, 10.98)),
        (2.35, 48.85, "position_outside", (None, None)),
        (106.65, None, "position_outside", (None, None)),
    ],
)
async def test_a_wrong_position_loses_no_report_and_is_counted_by_what_it_is(
    lon: float, lat: float | None, finding: str, placed: tuple[float | None, float | None]
) -> None:
    city = City()
    answer = await send(city, "portal", body(report(lon=lon, lat=lat)))
    assert answer["accepted"] == 1
    (event,) = city.log.events
    assert (event.lon, event.lat) == placed
    assert ("position_corrected" in event.data.extra) is (finding == "position_swapped")
    assert city.metric("ioc_ingest_positions_total", finding=finding) == 1


async def test_times_that_go_back_or_stand_still_are_taken_and_counted() -> None:
    city = City()
    seconds = (0, -5, -5, 1)
    lines = [cloud_event(n, time=format_us(NOW_US + s * SECOND_US)) for n, s in enumerate(seconds)]
    assert (await send(city, "cam-1", body(*lines)))["accepted"] == 4
    assert city.metric("ioc_ingest_times_total", finding="backward") == 2
    lines = [cloud_event(9, time=format_us(NOW_US + SECOND_US))]
    assert (await send(city, "cam-1", body(*lines)))["accepted"] == 1
    assert city.metric("ioc_ingest_times_total", finding="repeated") == 1


@pytest.mark.parametrize("time", ["2026-11-22T09:59:00", "22/11/2026 10:00", "1763805600", ""])
async def test_a_time_that_could_mean_two_things_is_refused_by_name(time: str) -> None:
    city = City()
    answer = await send(city, "cam-1", body(cloud_event(1, time=time), cloud_event(2)))
    assert (answer["accepted"], answer["rejected"][0]["field"]) == (1, "time")
    rule = answer["rejected"][0]["rule"]
    assert city.metric("ioc_ingest_rejections_total", rule=rule) == 1


async def test_numbers_as_text_are_numbers_or_are_named() -> None:
    city = City()
    flow = {"speed_kmh": "12.5", "occupancy": 0.2, "interval_s": 60}
    wrong = {"speed_kmh": "fast"}
    lines = [
        cloud_event(n, source="det-1", type="traffic.flow", data=data) for n, data in enumerate((flow, wrong))
    ]
    answer = await send(city, "det-1", body(*lines))
    taken = [event.data for event in city.log.events]
    refused = [rejected["field"] for rejected in answer["rejected"]]
    assert len(taken) + len(refused) == 2
    assert "data.speed_kmh" in refused
    assert all(isinstance(data, TrafficFlow) and data.speed_kmh == 12.5 for data in taken)


@pytest.mark.parametrize(
    ("text", "encoding"), [("ổ gà", "utf-16"), ("ổ gà", "utf-8-sig"), ("é", "latin-1"), ("ổ", "utf-32")]
)
async def test_another_encoding_is_read_or_refused_and_never_garbled(text: str, encoding: str) -> None:
    city = City()
    raw = json.dumps(report() | {"data": {"category": "road", "text": text}}, ensure_ascii=False)
    answer = await send(city, "portal", raw.encode(encoding), "application/json")
    if answer["status_code"] == 202 and answer["accepted"]:
        (event,) = city.log.events
        assert isinstance(event.data, FeedbackReport)
        assert event.data.text == text
    else:
        assert city.quarantine.rows[0].raw[:8] == raw.encode(encoding)[:8]
        assert city.metric("ioc_ingest_events_total", result="rejected", stream="") >= 1


async def test_a_truncated_body_keeps_every_whole_line() -> None:
    city = City()
    whole = body(*[cloud_event(number) for number in range(50)])
    for cut in (len(whole) - 1, len(whole) // 2, 10):
        fresh = City()
        answer = await send(fresh, "cam-1", whole[:cut])
        expected = whole[:cut].count(b"\n")
        assert len(fresh.log.records) == expected
        assert len(fresh.quarantine.rows) == 1
        assert answer.get("accepted", 0) == expected
    assert (await send(city, "cam-1", whole))["accepted"] == 50


async def test_a_huge_geometry_costs_its_own_event_and_no_other() -> None:
    ring = [[106.0 + n / 10_000, 10.9] for n in range(9_000)]
    huge = cloud_event(
        1, data={"kind": "flood", "geometry": {"type": "MultiPolygon", "coordinates": [[ring]]}}
    )
    line = json.dumps(huge).encode()
    assert len(line) > 140_000
    city = City()
    answer = await send(city, "cam-1", line + b"\n" + body(cloud_event(2)))
    assert answer["accepted"] == 1
    assert city.log.ids == ["e-2"]
    (row,) = city.quarantine.rows
    assert (row.truncated, len(row.raw)) == (True, 65_536)
    rule = answer["rejected"][0]["rule"]
    assert city.metric("ioc_ingest_rejections_total", rule=rule) == 1


async def test_a_throttled_device_is_told_when_to_come_back_and_others_are_not_held() -> None:
    city = City()
    await send(city, "gw-1", b"\n".join([b"{"] * 200))
    async with connect(city, "gw-1") as client:
        answer = await client.post(URL, content=body(cloud_event(1)))
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 30
    assert (await send(city, "cam-1", body(cloud_event(2))))["accepted"] == 1
