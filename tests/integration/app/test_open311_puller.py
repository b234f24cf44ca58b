"""Other cities' service requests are fetched page by page, once, and nothing is left out."""

from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Any

import httpx
import msgspec
import pytest

from ioc.app.citizens.open311_puller import Open311Puller
from ioc.app.settings.sections import PullSettings
from ioc.ingest.registry import RegistrySnapshot
from ioc.model.places import Device, DeviceKind
from ioc.model.times import MINUTE_US, format_us, from_us, parse_us
from ioc.outbound.destination import Destinations
from ioc.outbound.fetching import Fetcher
from ioc.store.devices import upsert_devices
from ioc.store.pool import Pool
from ioc.store.row_scope import SERVICE, ScopedPool
from tests.unit.ingest.fakes import NOW_US, City

SAIGON = Device(
    id="saigon",
    kind=DeviceKind.PORTAL,
    name="Sài Gòn",
    ward="25747",
    decoder="open311",
    options={"url": "https://city.example/open311/v2/", "jurisdiction_id": "hcm"},
)


class OtherCity:
    """Answers GeoReport requests over the window that is asked for, `page_size` a page."""

    def __init__(self, every_us: int, page_size: int = 10, pages: bool = True) -> None:
        self.every_us = every_us
        self.page_size = page_size
        self.pages = pages
        self.status = 200
        self.asked: list[dict[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = dict(request.url.params)
        self.asked.append(asked)
        assert request.url.path == "/open311/v2/requests.json"
        assert request.headers["host"] == "city.example"
        begin = -(-parse_us(asked["start_date"]) // self.every_us)
        end = parse_us(asked["end_date"]) // self.every_us
        numbers = range(begin, end + 1)
        page = int(asked["page"]) if self.pages else 1
        found = numbers[(page - 1) * self.page_size : page * self.page_size] if self.pages else numbers
        body = msgspec.json.encode([self._request(number) for number in found])
        return httpx.Response(self.status, stream=httpx.ByteStream(body))

    def _request(self, number: int) -> dict[str, Any]:
        return {
            "service_request_id": f"r-{number}",
            "service_code": "006",
            "description": "Hố sâu",
            "requested_datetime": format_us(number * self.every_us),
        }


class Room:
    """A puller over a real table, a city of fakes and a clock that is set."""

    def __init__(self, pool: Pool, other: OtherCity, **settings: Any) -> None:
        self.other = other
        self.city = City()
        self.city.registry.replace(RegistrySnapshot([SAIGON], []))
        self.devices = [SAIGON]
        fetcher = Fetcher(
            Destinations(networks=(ip_network("203.0.113.0/24"),)),
            timeout_s=5,
            max_bytes=1 << 20,
            resolve=self._resolve,
            transport=httpx.MockTransport(other),
        )
        self.puller = Open311Puller(
            pool, self, self.city.service, fetcher, PullSettings(**settings), self.city.clock
        )

    @staticmethod
    async def _resolve(_host: str, _port: int) -> list[Any]:
        return [ip_address("203.0.113.7")]

    def ids(self) -> list[str]:
        return [event.id for event in self.city.log.events]


@pytest.fixture
async def service_pool(pool: ScopedPool) -> Pool:
    """The pool with a city that is registered."""
    owned = pool.of(SERVICE)
    async with owned.connection() as connection:
        await upsert_devices(connection, [SAIGON])
    return owned


async def test_every_request_of_the_time_is_taken_once(service_pool: Pool) -> None:
    room = Room(service_pool, OtherCity(10 * MINUTE_US), first_s=7_200)
    assert await room.puller.fetch_due() == 1
    assert len(room.ids()) == len(set(room.ids())) == 13
    assert {asked["jurisdiction_id"] for asked in room.other.asked} == {"hcm"}
    assert await room.puller.fetch_due() == 0, "it is not due"
    room.city.clock.now_us += 30 * MINUTE_US
    assert await room.puller.fetch_due() == 1
    assert len(room.ids()) == 16, "three more, the overlap is known already"


async def test_a_window_of_too_many_pages_is_halved_until_it_fits(service_pool: Pool) -> None:
    room = Room(service_pool, OtherCity(MINUTE_US), first_s=7_200, max_pages=5)
    for _ in range(40):
        if not await room.puller.fetch_due():
            break
    assert len(set(room.ids())) == 121, "nothing was left out"


async def test_a_city_without_pages_is_asked_twice_and_no_more(service_pool: Pool) -> None:
    room = Room(service_pool, OtherCity(10 * MINUTE_US, pages=False), first_s=7_200)
    await room.puller.fetch_due()
    assert len(room.other.asked) == 2
    assert len(room.ids()) == 13


async def test_a_failure_keeps_the_position_and_waits_longer_each_time(service_pool: Pool) -> None:
    room = Room(service_pool, OtherCity(10 * MINUTE_US), first_s=7_200, every_s=60)
    room.other.status = 503
    waits = []
    for _ in range(3):
        assert await room.puller.fetch_due() == 1
        async with service_pool.connection() as connection:
            row = await (await connection.execute("SELECT next_at, last_error FROM pull")).fetchone()
        assert row is not None
        assert row[1] == "answered 503"
        waits.append(row[0] - from_us(room.city.clock.now_us))
        room.city.clock.now_us = room.city.clock.now_us + int(waits[-1] / timedelta(microseconds=1))
    assert waits == [timedelta(seconds=60), timedelta(seconds=120), timedelta(seconds=240)]
    room.other.status = 200
    await room.puller.fetch_due()
    assert room.ids()[0] == f"r-{-(-(NOW_US - 7_200_000_000) // (10 * MINUTE_US))}", "from where it began"


async def test_an_address_of_our_own_network_is_never_asked(service_pool: Pool) -> None:
    room = Room(service_pool, OtherCity(MINUTE_US))

    async def loopback(_host: str, _port: int) -> list[Any]:
        return [ip_address("127.0.0.1")]

    room.puller._fetcher._resolve = loopback
    await room.puller.fetch_due()
    assert room.other.asked == []
    assert room.ids() == []
