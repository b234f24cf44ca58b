"""DATEX II tables of measurement sites: what becomes of them in the register of devices."""

import pytest

from ioc.ingest.decoders.datex2_sites import SiteTableError, read_sites
from ioc.model.places import Device, DeviceKind
from tests.conformance import datex2 as written
from tests.conformance.datex2 import record
from tests.unit.ingest.test_datex2 import PUBLISHER, decode, situations


def test_a_table_of_2000_sites_becomes_2000_detectors_with_their_lanes() -> None:
    sites = read_sites(written.table(*(f"QL13_{number:04}" for number in range(2_000))), PUBLISHER)
    assert len(sites) == 2_000
    assert sites[0] == Device(
        id="d2-QL13_0000",
        kind=DeviceKind.DETECTOR,
        name="Quốc lộ 13, QL13_0000",
        lon=106.65,
        lat=10.98,
        expected_interval_s=60.0,
        options={"index.lane1": "1 2", "index.lane2": "3 4", "index.all": "5", "period_s": "60"},
    )


def test_indexes_of_all_vehicles_stand_in_one_order_whichever_way_the_table_says_all() -> None:
    name = b"specificVehicleCharacteristics"
    lorries = b"<%b><vehicleType>lorry</vehicleType></%b>" % (name, name)
    [site] = read_sites(written.table("A").replace(lorries, b""), PUBLISHER)
    assert site.options["index.lane1"] == "1 6 2"


def test_version_3_names_lanes_by_number() -> None:
    lanes = (
        f'<d2:payload xmlns:d2="http://datex2.eu/schema/3/d2Payload" {written.V3} '
        'xsi:type="roa:MeasurementSiteTablePublication"><roa:measurementSiteTable id="T" version="1">'
        '<roa:measurementSite id="M1" version="1"><roa:measurementSpecificCharacteristics index="4">'
        "<roa:measurementSpecificCharacteristics><roa:period>30</roa:period>"
        "<roa:specificMeasurementValueType>trafficSpeed</roa:specificMeasurementValueType><roa:specificLane>"
        "<loc:laneNumber>2</loc:laneNumber></roa:specificLane></roa:measurementSpecificCharacteristics>"
        '</roa:measurementSpecificCharacteristics><roa:measurementSiteLocation xsi:type="loc:PointLocation">'
        "<loc:pointByCoordinates><loc:pointCoordinates><loc:latitude>10.9</loc:latitude><loc:longitude>106.7"
        "</loc:longitude></loc:pointCoordinates></loc:pointByCoordinates></roa:measurementSiteLocation>"
        "</roa:measurementSite></roa:measurementSiteTable></d2:payload>"
    )
    [site] = read_sites(lanes.encode(), PUBLISHER)
    assert (site.lon, site.lat, site.options) == (106.7, 10.9, {"index.lane2": "4", "period_s": "30"})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (written.table("A", "A"), "already the id"),
        (written.table("A").replace(b'id="A"', b""), "measurementSite.id"),
        (situations(record()).encode(), "MeasurementSiteTablePublication"),
        (b"<a", "not well-formed"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(content: bytes, said: str) -> None:
    with pytest.raises(SiteTableError, match=said):
        read_sites(content, PUBLISHER)


def test_a_table_sent_as_an_event_is_sent_to_where_it_belongs() -> None:
    [rejection] = decode(written.table("A")).rejections
    assert rejection.rule == "site_table" and "ioc devices import-sites" in rejection.detail
