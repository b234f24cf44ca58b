"""DATEX II through the front door: what the table of sites said decides what measurements mean."""

import gzip

import httpx
import msgspec
from fastapi import FastAPI

from ioc.ingest.decoders.datex2_sites import read_sites
from ioc.ingest.http import ingest_router
from ioc.ingest.registry import RegistrySnapshot, hash_key
from ioc.model.events import TrafficFlow, decode_event
from ioc.model.places import Device, DeviceKind
from tests.conformance.datex2 import TWO_LANES, record, situation, table, v2
from tests.unit.ingest.fakes import NOW_US, City

PUBLISHER = Device(
    id="vn-traffic",
    kind=DeviceKind.GATEWAY,
    name="Traffic centre",
    decoder="datex2",
    covers=("d2-*",),
    options={"prefix": "d2-"},
    trusts_position=True,
)


async def post(city: City, content: str, *, as_file: bool = False) -> httpx.Response:
    """Send gzip: as a transfer's encoding, or as a file, which the decoder unpacks itself."""
    app = FastAPI()
    app.include_router(ingest_router(city.service))
    sent_as = (
        {"Content-Type": "application/gzip"}
        if as_file
        else {"Content-Type": "application/xml; charset=utf-8", "Content-Encoding": "gzip"}
    )
    headers = {"Authorization": "Bearer its-key", **sent_as}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ioc") as client:
        body = gzip.compress(content.encode())
        return await client.post("/api/v1/ingest/events", content=body, headers=headers)


def city_with(*devices: Device) -> City:
    city = City()
    city.clock.now_us = NOW_US
    city.registry.replace(RegistrySnapshot([PUBLISHER, *devices], [(hash_key("its-key"), PUBLISHER.id)]))
    return city


async def test_measurements_of_registered_sites_are_stored_with_their_lanes_and_repeats_are_known() -> None:
    sites = read_sites(table("QL13_001"), PUBLISHER)
    city = city_with(*sites)
    body = v2("MeasuredDataPublication", TWO_LANES)
    assert (await post(city, body)).json() == {"accepted": 3, "duplicate": 0, "rejected": []}
    assert (await post(city, body)).json() == {"accepted": 0, "duplicate": 3, "rejected": []}
    stored = [decode_event(each.payload) for each in city.log.records]
    assert {event.source for event in stored} == {"d2-QL13_001"}
    assert [event.data.lane for event in stored if isinstance(event.data, TrafficFlow)] == [
        "lane1", "lane2", None,
    ]  # fmt: skip


async def test_a_site_that_is_not_registered_is_refused_alone() -> None:
    city = city_with(*read_sites(table("QL13_001"), PUBLISHER))
    other = TWO_LANES.replace("QL13_001", "QL13_999")
    answer = (await post(city, v2("MeasuredDataPublication", TWO_LANES + other))).json()
    assert answer["accepted"] == 3
    assert {each["rule"] for each in answer["rejected"]} == {"registered_source"}


async def test_a_situation_stands_where_it_says() -> None:
    city = city_with()
    answer = (await post(city, v2("SituationPublication", situation(record())))).json()
    assert answer == {"accepted": 1, "duplicate": 0, "rejected": []}
    [stored] = [decode_event(each.payload) for each in city.log.records]
    assert (stored.lon, stored.lat, stored.type) == (106.65, 10.98, "traffic.situation")
    assert msgspec.structs.asdict(stored.data)["active"] is True


async def test_a_publication_of_2000_sites_is_taken_as_a_gzip_file() -> None:
    names = [f"S{number:04}" for number in range(2_000)]
    city = city_with(*read_sites(table(*names), PUBLISHER))
    sites = "".join(TWO_LANES.replace("QL13_001", name) for name in names)
    body = v2("MeasuredDataPublication", sites)
    assert (await post(city, body)).status_code == 413  # more than a body may hold
    assert (await post(city, body, as_file=True)).json()["accepted"] == 6_000
