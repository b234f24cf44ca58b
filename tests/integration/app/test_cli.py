"""The command line against a real database: what it refuses, and that nothing is half done."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ioc.app.cli import main as cli
from ioc.store.embedded import Dsns

Ioc = Callable[..., tuple[int, str, str]]
SQUARE = [[[106.6, 10.9], [106.7, 10.9], [106.7, 11.0], [106.6, 10.9]]]


@pytest.fixture
def ioc(
    database: Dsns, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Ioc:
    """Run `ioc …` on a database of the test's own; returns exit code, output and errors."""
    monkeypatch.setenv("IOC_DATABASE__ADMIN_DSN", database.admin)
    monkeypatch.setenv("IOC_DATABASE__APP_DSN", database.app)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ioc", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        assert isinstance(caught.value.code, int)
        return caught.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def with_ward(ioc: Ioc) -> Ioc:
    """The same with one ward, 25747."""
    properties = {"code": "25747", "name": "Phường Thủ Dầu Một"}
    assert (
        ioc("areas", "import", geojson("wards", {"type": "Polygon", "coordinates": SQUARE}, properties))[0]
        == 0
    )
    return ioc


def geojson(name: str, geometry: object, *properties: dict[str, Any]) -> str:
    features = [{"type": "Feature", "properties": each, "geometry": geometry} for each in properties]
    path = Path(f"{name}.geojson")
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), "utf-8")
    return str(path)


def test_an_id_with_markup_is_stored_and_its_key_shown(ioc: Ioc) -> None:
    code, out, _ = ioc("devices", "add", "g2[b]", "--name", "[red]x[b]")
    assert code == 0
    assert out.startswith("key of g2[b], shown once: iocd_")
    assert "[red]x[b]" in ioc("devices", "list")[1]


def test_what_doctor_finds_is_its_output(ioc: Ioc) -> None:
    code, out, err = ioc("doctor", "--port", "0", "--mqtt-port", "0")
    assert (code, err) == (1, "")
    assert "fix  wards: 0 wards" in out
    assert "→" in out


def test_an_id_that_cannot_be_used_is_refused_before_anything_is_stored(ioc: Ioc) -> None:
    code, _, err = ioc("devices", "add", "g2[/b]")
    assert code == 1
    assert err.startswith("error: device 'g2[/b]': id: / not allowed")
    assert ioc("devices", "list", "--json")[1].strip() == "[]"


def test_a_key_for_an_unknown_device_is_one_message(ioc: Ioc) -> None:
    code, _, err = ioc("devices", "key", "nobody")
    assert code == 1
    first, second = err.splitlines()
    assert first == "error: there is no device 'nobody'"
    assert "devices list" in second


def test_a_device_that_is_not_there_is_named_with_the_one_that_may_be_meant(ioc: Ioc) -> None:
    assert ioc("devices", "add", "cam-cho-01")[0] == 0
    for arguments in (
        ("key", "cam-co-01"),
        ("rotate-key", "cam-co-01"),
        ("login", "cam-co-01", "--user", "ioc"),
        ("login", "cam-co-01", "--remove"),
        ("maintain", "cam-co-01", "--to", "1h", "--reason", "x"),
        ("disable", "cam-co-01"),
        ("enable", "cam-co-01"),
        ("remove", "cam-co-01"),
    ):
        code, out, err = ioc("devices", *arguments)
        first, second = err.splitlines()
        assert (code, out) == (1, ""), arguments
        assert first == "error: there is no device 'cam-co-01'; did you mean 'cam-cho-01'?", arguments
        assert "devices list" in second


def test_a_device_leaves_service_comes_back_and_is_removed(ioc: Ioc, database: Dsns) -> None:
    assert ioc("devices", "add", "cam-1")[0] == 0
    code, out, _ = ioc("devices", "disable", "cam-1", "--reason", "sửa [cột]")
    assert code == 0
    assert out.startswith("cam-1 is disabled since ")
    assert out.strip().endswith(": sửa [cột]")
    again = json.loads(ioc("devices", "disable", "cam-1", "--json")[1])
    assert (again["state"], again["outage"]["reason"]) == ("disabled", "sửa [cột]")
    assert json.loads(ioc("devices", "health", "--json")[1])[0]["condition"] == "disabled"
    assert ioc("devices", "enable", "cam-1")[1] == "cam-1 is in service\n"
    assert json.loads(ioc("devices", "enable", "cam-1", "--json")[1])["outage"] is None
    removed = json.loads(ioc("devices", "remove", "cam-1", "--json")[1])
    assert (removed["state"], json.loads(ioc("devices", "remove", "cam-1", "--json")[1])) == (
        "removed",
        removed,
    )
    assert json.loads(ioc("devices", "list", "--json")[1]) == []
    assert ioc("devices", "add", "cam-1")[1].startswith("key of cam-1, shown once: ")
    with psycopg.connect(database.app, options="-c ioc.scope=service") as connection:
        rows = connection.execute("SELECT doc->>'op' FROM audit_entry ORDER BY seq").fetchall()
    assert [op for (op,) in rows] == ["device_disabled", "device_enabled", "device_removed"]


def test_a_device_is_changed_only_where_that_was_asked_for(ioc: Ioc, database: Dsns) -> None:
    assert ioc("devices", "add", "g1", "--name", "old")[0] == 0
    code, _, err = ioc("devices", "add", "g1", "--name", "new")
    assert (code, err.splitlines()[0]) == (1, "error: there is already a device 'g1'")
    assert "--replace" in err
    with psycopg.connect(database.app) as connection:
        assert connection.execute("SELECT name, count(*) FROM device, device_key GROUP BY 1").fetchone() == (
            "old",
            1,
        )
    assert ioc("devices", "add", "g1", "--name", "new", "--replace")[0] == 0
    assert json.loads(ioc("devices", "list", "--json")[1])[0]["name"] == "new"


def test_wards_are_checked_once_there_are_any(ioc: Ioc) -> None:
    assert ioc("devices", "add", "g1", "--ward", "1")[0] == 0
    assert ioc("users", "add", "an", "--role", "ward", "--ward", "1")[0] == 0


def test_a_ward_that_is_not_imported_is_refused(with_ward: Ioc) -> None:
    for arguments in (("devices", "add", "g1"), ("users", "add", "an", "--role", "ward")):
        code, _, err = with_ward(*arguments, "--ward", "25748")
        assert code == 1
        assert "ward '25748' is not among the 1 imported wards (did you mean '25747'?)" in err
    assert with_ward("devices", "add", "g1", "--ward", "25747")[0] == 0
    assert with_ward("devices", "list", "--json")[1].count('"id"') == 1


def test_an_import_warns_of_wards_that_are_not_imported(with_ward: Ioc) -> None:
    devices = [{"id": f"cam-{n}", "kind": "camera", "name": "x", "ward": "9"} for n in range(7)]
    file = geojson("devices", None, *devices)
    code, out, err = with_ward("devices", "import", file)
    assert (code, out) == (0, "imported 7 devices\n")
    assert "warning: ward '9' is not among the 1 imported wards: cam-0, cam-1" in err
    assert "and 2 more" in err
    assert len(json.loads(with_ward("devices", "import", file, "--json")[1])["warnings"]) == 1


def test_wards_that_an_import_takes_away_and_their_devices_are_named_and_the_audit_log_has_it(
    with_ward: Ioc, database: Dsns
) -> None:
    assert with_ward("devices", "add", "g1", "--ward", "25747")[0] == 0
    other = geojson("o", {"type": "Polygon", "coordinates": SQUARE}, {"code": "25750", "name": "Khác"})
    code, out, err = with_ward("areas", "import", other)
    assert code == 0
    assert "no longer there, since the file does not hold them: 1 × ward" in out
    assert err.startswith("warning: ward '25747' is not among the 1 imported wards")
    assert err.strip().endswith(": g1")
    with psycopg.connect(database.app, options="-c ioc.scope=service") as connection:
        rows = connection.execute(
            "SELECT doc FROM audit_entry WHERE op = 'areas_imported' ORDER BY seq"
        ).fetchall()
    assert [(doc["gone"], doc["imported"]) for (doc,) in rows[1:]] == [({"ward": 1}, {"ward": 1})]
    again = json.loads(with_ward("areas", "import", other, "--json")[1])
    assert (again["gone"], len(again["warnings"])) == ({"ward": 0}, 1)


@pytest.mark.parametrize("properties", [{"name": "a\0"}, {"note": "\ud800"}, {"n": float("nan")}, {"\0": 1}])
def test_what_the_database_cannot_hold_is_a_finding(ioc: Ioc, properties: dict[str, Any]) -> None:
    shape = {"type": "Polygon", "coordinates": SQUARE}
    code, _, err = ioc("areas", "import", geojson("a", shape, {"code": "1", "name": "x"} | properties))
    assert code == 1
    assert err.startswith("error: feature 0 (code 1): ")
    device = {"id": "a\0", "kind": "camera", "name": "x"}
    assert ioc("devices", "import", geojson("d", None, device))[0] == 1


def test_users_who_exist_or_do_not_get_a_sentence(ioc: Ioc) -> None:
    code, out, _ = ioc("users", "add", "An", "--json")
    added = json.loads(out)
    assert (code, added["user"], added["role"], len(added["password"])) == (0, "an", "operator", 14)
    code, _, err = ioc("users", "add", "an")
    assert (code, err.splitlines()[0]) == (1, "error: there is already a user 'an'")
    code, _, err = ioc("users", "disable", "nobody")
    assert (code, err.splitlines()[0]) == (1, "error: there is no user 'nobody'; known: an")
    for arguments in (
        ("disable", "ann"),
        ("enable", "ann"),
        ("password", "ann", "--random"),
        ("password", "ann"),
        ("access", "ann", "--role", "leader"),
        ("log-out", "ann"),
    ):
        code, out, err = ioc("users", *arguments)
        first, second = err.splitlines()
        assert (code, out) == (1, ""), arguments
        assert first == "error: there is no user 'ann'; did you mean 'an'?", arguments
        assert "users list" in second
    assert json.loads(ioc("users", "disable", "an", "--json")[1]) == {"user": "an", "disabled": True}


def test_devices_go_out_and_in_as_table_and_as_geojson_the_same(ioc: Ioc, tmp_path: Path) -> None:
    table = tmp_path / "devices.csv"
    table.write_text(
        "id,kind,name,lon,lat,stream_url\nc1,camera,Cổng,106.6,10.9,rtsp://10.0.0.7/1\nbad,x,y,,,\n"
    )
    code, _, err = ioc("devices", "import", str(table))
    assert code == 1
    assert "row 3 (id 'bad'): kind: expected one of" in err
    assert "--keep-valid" in err
    assert ioc("devices", "list", "--json")[1].strip() == "[]"
    plan = json.loads(ioc("devices", "import", str(table), "--dry-run", "--json")[1])
    assert (plan["new"], plan["refused"], plan["changes"][0]["id"]) == (1, 1, "c1")
    assert ioc("devices", "list", "--json")[1].strip() == "[]", "a dry run writes nothing"
    taken = json.loads(ioc("devices", "import", str(table), "--keep-valid", "--json")[1])
    assert (taken["imported"], len(taken["refused"])) == (1, 1)
    assert "1 stay as they are, 1 findings" in ioc("devices", "import", str(table), "--dry-run")[1]
    (listed,) = json.loads(ioc("devices", "list", "--json")[1])
    assert (listed["stream_url"], listed["lon"]) == ("rtsp://10.0.0.7/1", 106.6)
    for written_as in ("csv", "geojson"):
        file = tmp_path / f"out.{written_as}"
        file.write_text(ioc("devices", "export", "--format", written_as)[1], newline="")
        assert json.loads(ioc("devices", "import", str(file), "--json")[1])["imported"] == 1
        assert json.loads(ioc("devices", "list", "--json")[1]) == [listed]


def test_the_gazetteer_is_imported_found_in_and_names_what_is_wrong(with_ward: Ioc, tmp_path: Path) -> None:
    file = tmp_path / "addresses.csv"
    file.write_text(
        "code,address,lon,lat,old_wards\n"
        'BD1,"12 Đường Lê Lợi, Phường Thủ Dầu Một",106.66,10.92,Phường Phú Cường\n'
        'BD2,"14 Lê Lợi",10.92,106.66,\nBD3,,x,10.92,\n'
    )
    code, _, err = with_ward("gazetteer", "import", str(file))
    assert code == 1
    for finding in (
        "row 3: lon: 10.92, 106.66: longitude and latitude are swapped",
        "row 4: address: is missing",
        "row 4: lon: expected degrees such as 106.65, found 'x'",
        "--keep-valid",
    ):
        assert finding in err
    taken = json.loads(with_ward("gazetteer", "import", str(file), "--keep-valid", "--json")[1])
    assert (taken["imported"], len(taken["refused"])) == (1, 3)
    found = json.loads(with_ward("gazetteer", "find", "12 le loi, phu cuong", "--json")[1])
    assert (found["by"], found["ward"], found["lon"]) == ("fuzzy", "25747", 106.66)
    ward = "Phường Phú Cường: no point, ward 25747 (ward, 30%)\n"
    assert with_ward("gazetteer", "find", "chợ, phường Phú Cường")[1] == ward
    assert with_ward("gazetteer", "find", "ở đâu đó")[1].startswith("not known")
