"""Devices as a table and as GeoJSON: read back they are the same; every finding has row and column."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioc.app.devices.description import (
    DeviceFileError,
    InvalidDevice,
    make_device,
    read_geojson,
    write_geojson,
)
from ioc.app.devices.table import read_csv, write_csv
from ioc.model.places import Device
from ioc.outbound.camera import Login

CITY = """id,kind,name,lon,lat,covers,options,trusts_position,expected_interval_s
cam-1,camera,"Ngã tư Phú Lợi, Đông",106.66,10.97,,,,30
nvr-1,gateway,Tủ 1,,,cam-1; det-*,prefix=a-;zone=b=c,true,
"""


def test_a_spreadsheets_table_is_read_whatever_its_sign_order_and_line_ends() -> None:
    camera, gateway = read_csv(CITY.encode()).whole()
    assert (camera.name, camera.lon, camera.expected_interval_s) == ("Ngã tư Phú Lợi, Đông", 106.66, 30.0)
    assert (gateway.covers, gateway.trusts_position) == (("cam-1", "det-*"), True)
    assert gateway.options == {"prefix": "a-", "zone": "b=c"}
    other = "\ufeffname;kind;id\r\nCổng;camera;cam-9\r\n;;\r\n"
    (device,) = read_csv(other.encode()).whole()
    assert (device.id, device.name, device.options) == ("cam-9", "Cổng", {})


def test_every_finding_names_row_and_column_and_what_is_right_is_not_lost() -> None:
    text = """id,kind,name,lon,lat,trusts_position,covers,options
cam-1,camra,A,106.66,10.97,,,
cam-2,camera,B,"106,65",10.97,maybe,[x,novalue
cam-3,camera,C,10.97,106.66,,,
cam-4,camera,D,106.6,,,,
good,camera,E,106.6,10.9,,,
good,camera,F,106.6,10.9,,,
,camera,G,,,,,
long,camera,H,,,,,,x
"""
    found = read_csv(text.encode())
    assert [device.name for device in found.devices] == ["E"]
    expected = [
        ("row 2 (id 'cam-1'): kind", "expected one of camera, detector"),
        ("row 3 (id 'cam-2'): lon", "expected a number such as 106.65, with a point and no comma"),
        ("row 3 (id 'cam-2'): trusts_position", "expected true or false, found 'maybe'"),
        ("row 3 (id 'cam-2'): covers", "expected JSON"),
        ("row 3 (id 'cam-2'): options", "expected NAME=VALUE"),
        ("row 4 (id 'cam-3'): lat", "longitude and latitude are swapped"),
        ("row 5 (id 'cam-4'): lat", "go together"),
        ("row 7 (id 'good'): id", "is already the id of row 6"),
        ("row 8: id", "is missing"),
        ("row 9 (id 'long'): row", "has 9 cells, the header has 8"),
    ]
    assert len(found.errors) == len(expected)
    for error, (place, detail) in zip(found.errors, expected, strict=True):
        assert error.startswith(place), error
        assert detail in error
    with pytest.raises(DeviceFileError) as caught:
        found.whole()
    assert str(caught.value).splitlines() == found.errors


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (b"", "row 1: the column 'id' is missing"),
        (b"id,kind,name,picture_ulr\n", "did you mean 'picture_url'"),
        (b"id,kind,name,id\n", "the column 'id' stands twice"),
        (b"id,kind,name\n", "at least one row"),
        (b'id,kind,name\na,camera,"x\n', "no CSV"),
        ("id,kind,name\na,camera,Cổng".encode("utf-16"), "not UTF-8"),
        ("id,kind,name\na,camera,Cổng".encode("utf-16-be"), "UTF-8"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(content: bytes, finding: str) -> None:
    with pytest.raises(DeviceFileError) as caught:
        read_csv(content)
    assert finding in str(caught.value)


def test_no_spreadsheet_takes_a_written_name_for_a_formula() -> None:
    device = make_device({"id": "a", "kind": "camera", "name": '=HYPERLINK("x")', "covers": ["@x"]})
    text = write_csv([device])
    assert "'=HYPERLINK" in text
    assert "'@x" in text
    assert read_csv(text.encode()).whole() == [device]


_TEXTS = st.text(
    st.one_of(st.sampled_from("=+-@';,[{ \"\t\r\n\\ấđ"), st.characters(exclude_categories=("Cs",))),
    min_size=1, max_size=12,
)  # fmt: skip
_VALUES = st.fixed_dictionaries(
    {"id": _TEXTS, "kind": st.sampled_from(["camera", "gateway"]), "name": _TEXTS},
    optional={
        "ward": _TEXTS,
        "expected_interval_s": st.floats(0.1, 1e6),
        "covers": st.lists(_TEXTS, max_size=3),
        "options": st.dictionaries(_TEXTS, _TEXTS, max_size=3),
        "trusts_position": st.booleans(),
        "time_zone": st.just("Asia/Ho_Chi_Minh"),
        "stream_url": st.just("rtsp://10.0.0.7/live"),
        "picture_url": st.just("http://10.0.0.7/a.jpg"),
        "tls_verify": st.booleans(),
        "basic_over_http": st.booleans(),
    },
)


@given(st.lists(st.tuples(_VALUES, st.floats(-180, 180), st.floats(-90, 90)), min_size=1, max_size=4))
def test_whatever_is_registered_is_written_and_read_back_the_same(
    found: list[tuple[dict[str, Any], float, float]],
) -> None:
    devices: dict[str, Device] = {}
    for values, lon, lat in found:
        try:
            device = make_device(values | {"lon": lon, "lat": lat})
        except InvalidDevice:
            continue
        devices[device.id] = device
    if not devices:
        return
    registered = list(devices.values())
    assert read_csv(write_csv(registered).encode()).whole() == registered
    assert read_geojson(write_geojson(registered).encode()).whole() == registered


def test_a_file_may_bring_logins_which_are_never_written() -> None:
    table = (
        "id;kind;name;decoder;attach;attach_url;login_user;login_password\n"
        "a;camera;A;dahua;dahua;http://10.0.0.7;admin;=b;Í mật \n"
        "b;camera;B;onvif;onvif;http://10.0.0.8;;\n"
    ).replace("=b;Í", "'=bÍ")
    found = read_csv(table.encode())
    assert found.errors == []
    assert found.logins == {"a": Login("admin", "'=bÍ mật ")}
    assert "admin" not in write_csv(found.devices) + write_geojson(found.devices)
    half = read_csv(b"id,kind,name,login_user\na,camera,A,admin\n")
    assert (half.devices, "go together" in half.errors[0]) == ([], True)


ATTACHED = {"id": "a", "kind": "camera", "name": "A", "decoder": "dahua", "attach": "dahua"}


@pytest.mark.parametrize(
    ("values", "field", "detail"),
    [
        ({}, "attach_url", "is missing"),
        ({"attach_url": "http://admin:x@10.0.0.7"}, "attach_url", "a login in it"),
        ({"attach_url": "rtsp://10.0.0.7"}, "attach_url", "expected an address"),
        (
            {"attach_url": "http://10.0.0.7", "decoder": "onvif"},
            "decoder",
            "expected dahua with attach dahua",
        ),
        ({"attach_url": "http://10.0.0.7", "attach": "axis"}, "attach", "one of hikvision, dahua, onvif"),
        ({"attach_url": "http://10.0.0.7", "attach": None}, "attach", "is missing"),
    ],
)
def test_what_cannot_be_held_is_not_registered(values: dict[str, Any], field: str, detail: str) -> None:
    with pytest.raises(InvalidDevice) as caught:
        make_device(ATTACHED | values)
    assert detail in dict(caught.value.faults)[field]


def test_a_finding_is_short_however_long_the_cell() -> None:
    with pytest.raises(DeviceFileError) as caught:
        read_csv(b"id,kind,name," + b"x" * 10_000 + b"\n")
    assert len(str(caught.value)) < 300
    found = read_csv(b"id,kind,name\n" + b"y" * 10_000 + b",camera,z\n")
    assert len(found.errors) == 1
    assert found.errors[0].count("y") < 300
