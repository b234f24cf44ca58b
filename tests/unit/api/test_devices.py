"""Devices over HTTP: everybody sees how theirs fare, engineers register and announce maintenance."""

import msgspec

from ioc.api.device_files import IMPORT_BYTES
from ioc.store.users import Role
from tests.unit.api.conftest import Browser
from tests.unit.api.fakes import OWN_CAMERA, FakeDevices, FakeUsers, make_deps


async def test_ward_staff_see_how_their_own_devices_fare_and_no_others(browse: Browser) -> None:
    async with browse(Role.WARD) as client:
        (only,) = (await client.get("/api/v1/devices/health")).json()["items"]
    assert (only["id"], only["condition"], only["seen"]) == ("cam-1", "stale", None)
    assert only["event"].endswith("Z")
    async with browse(Role.OPERATOR) as client:
        assert len((await client.get("/api/v1/devices/health")).json()["items"]) == 2


async def test_what_is_wrong_with_a_device_is_named_by_field(browse: Browser) -> None:
    async with browse(Role.ENGINEER) as client:
        answer = await client.put("/api/v1/registry/devices/cam-9", json={"name": "x"})
        assert answer.status_code == 422
        assert answer.json()["errors"] == [{"field": "kind", "rule": "device", "detail": "is missing"}]
        body = {"kind": "camera", "name": "Cổng", "stream_url": "rtsp://10.0.0.7/1"}
        assert (await client.put("/api/v1/registry/devices/cam-9", json=body)).json()["id"] == "cam-9"
        listed = (await client.get("/api/v1/registry/devices")).json()["items"]
        assert [device["id"] for device in listed] == ["cam-1", "cam-2", "cam-9"]


async def test_maintenance_is_announced_listed_and_ended(browse: Browser) -> None:
    path = "/api/v1/registry/devices/cam-1/maintenance"
    async with browse(Role.ENGINEER) as client:
        naive = await client.post(path, json={"to": "2030-01-01T00:00:00", "reason": "thay ống kính"})
        assert (naive.status_code, naive.json()["errors"][0]["field"]) == (422, "to")
        early = await client.post(path, json={"to": "2000-01-01T00:00:00Z", "reason": "x"})
        assert (early.status_code, early.json()["errors"][0]["field"]) == (422, "to")
        made = await client.post(path, json={"to": "2030-01-01T00:00:00+07:00", "reason": "thay ống kính"})
        assert (made.status_code, made.json()["to"]) == (201, "2029-12-31T17:00:00.000Z")
        assert (await client.get("/api/v1/registry/maintenance")).json()["items"] == [made.json()]
        assert (await client.delete("/api/v1/registry/maintenance/1")).status_code == 200
        assert (await client.delete("/api/v1/registry/maintenance/2")).status_code == 404


async def test_a_login_goes_in_and_its_password_never_out(browse: Browser) -> None:
    path = "/api/v1/registry/devices/cam-1/login"
    async with browse(Role.ENGINEER) as client:
        made = await client.put(path, json={"user": "admin", "password": "bí mật"})
        assert (made.status_code, made.json()) == (200, {"device": "cam-1", "user": "admin"})
        listed = (await client.get("/api/v1/registry/attachments")).json()["items"]
        assert [(item["login_user"], item["state"], item["connects"]) for item in listed] == [
            ("admin", "connected", 2)
        ]
        registered = await client.get("/api/v1/registry/devices")
        assert "mật" not in registered.text + str(listed)
        wrong = await client.put(path, json={"user": "a:b", "password": "x"})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "user")
        assert (
            await client.put(path.replace("cam-1", "x"), json={"user": "a", "password": "b"})
        ).status_code == 404
        assert (await client.delete(path)).json() == {"device": "cam-1", "user": None}
        assert (await client.delete(path)).status_code == 404


async def test_a_change_of_what_somebody_else_has_changed_is_refused(browse: Browser) -> None:
    path = "/api/v1/registry/devices/cam-1"
    body = {"kind": "camera", "name": "Cổng"}
    async with browse(Role.ENGINEER) as client:
        seen = (await client.get(path)).headers["etag"]
        first = await client.put(path, json=body, headers={"If-Match": seen})
        assert (first.status_code, first.headers["etag"] != seen) == (200, True)
        late = await client.put(path, json=body, headers={"If-Match": seen})
        assert (late.status_code, late.json()["errors"][0]["field"]) == (412, "If-Match")
        newer = {"If-Match": f"W/{first.headers['etag']}"}
        assert (await client.put(path, json=body, headers=newer)).status_code == 200
        absent = {"If-None-Match": "*"}
        assert (await client.put(path, json=body, headers=absent)).status_code == 412
        assert (await client.put(path + "b", json=body, headers=absent)).status_code == 200
        assert (await client.put(path, json=body, headers={"If-None-Match": "x"})).status_code == 422
        assert (await client.put(path + "c", json=body, headers={"If-Match": '""'})).status_code == 412
        assert (await client.get("/api/v1/registry/devices/cam-none")).status_code == 404


async def test_a_new_key_is_answered_once_and_keys_are_listed_without_themselves(browse: Browser) -> None:
    path = "/api/v1/registry/devices/cam-1/keys"
    async with browse(Role.ENGINEER) as client:
        made = await client.post(path, json={"overlap_h": 2})
        assert (made.status_code, made.json()["key"], made.headers["cache-control"]) == (
            201, "iocd_new", "no-store",
        )  # fmt: skip
        assert made.json()["old_key_ends"].endswith("Z")
        assert "iocd_" not in (await client.get(path)).text
        for wrong in (-1, 24 * 90 + 1, "nan"):
            assert (await client.post(path, json={"overlap_h": wrong})).status_code == 422


async def test_a_file_is_looked_at_unless_it_is_said_to_be_written(browse: Browser) -> None:
    path = "/api/v1/registry/import"
    async with browse(Role.ENGINEER) as client:
        looked = await client.post(path, params={"format": "csv"}, content=b"id,kind,name")
        assert (looked.json()["written"], looked.json()["version"]) == (False, 7)
        write = {"format": "csv", "dry_run": "false", "version": "7"}
        assert (await client.post(path, params=write, content=b"x")).json()["written"]
        stale = await client.post(path, params=write | {"version": "6"}, content=b"x")
        assert (stale.status_code, stale.json()["errors"][0]["field"]) == (409, "version")
        large = await client.post(path, params=write, content=b"x" * (IMPORT_BYTES + 1))
        assert large.status_code == 413
        assert (await client.post(path, params={"format": "xls"}, content=b"x")).status_code == 422
        file = await client.get("/api/v1/registry/export", params={"format": "geojson"})
        assert (file.text, file.headers["content-disposition"]) == (
            "geojson of 2", 'attachment; filename="devices.geojson"',
        )  # fmt: skip


async def test_many_devices_are_answered_packed_to_whoever_reads_that(
    users: FakeUsers, browse: Browser
) -> None:
    many = FakeDevices({f"cam-{n}": msgspec.structs.replace(OWN_CAMERA, id=f"cam-{n}") for n in range(400)})
    async with browse(Role.OPERATOR, make_deps(users, devices=many)) as client:
        packed = await client.get("/api/v1/devices/health")
        plain = await client.get("/api/v1/devices/health", headers={"accept-encoding": "identity"})
    assert (packed.headers["content-encoding"], "content-encoding" in plain.headers) == ("gzip", False)
    assert packed.json() == plain.json()
    assert len(plain.json()["items"]) == 400


async def test_a_device_is_disabled_enabled_and_removed_and_asking_twice_is_asking_once(
    browse: Browser,
) -> None:
    path = "/api/v1/registry/devices/cam-1"
    async with browse(Role.ENGINEER) as client:
        made = await client.post(f"{path}/disable", json={"reason": "sửa cột"})
        assert (made.status_code, made.json()["state"]) == (200, "disabled")
        assert made.json()["outage"]["reason"] == "sửa cột"
        assert (await client.post(f"{path}/disable", json={"reason": "khác"})).json() == made.json()
        seen = (await client.get("/api/v1/devices/health")).json()["items"][0]
        assert seen["disabled"] == made.json()["outage"]
        assert (await client.post(f"{path}/enable")).json()["state"] == "in_service"
        assert (await client.post(f"{path}/enable")).json() == {
            "device": "cam-1", "state": "in_service", "outage": None,
        }  # fmt: skip
        tag = (await client.get(path)).headers["etag"]
        await client.put(path, json={"kind": "camera", "name": "Cổng mới"})
        moved = await client.delete(path, headers={"if-match": tag})
        assert (moved.status_code, moved.json()["errors"][0]["rule"]) == (412, "unchanged")
        tag = (await client.get(path)).headers["etag"]
        gone = await client.delete(path, params={"reason": "hỏng"}, headers={"if-match": f"W/{tag}"})
        assert (gone.status_code, gone.json()["state"]) == (200, "removed")
        assert (await client.delete(path)).json() == gone.json()
        assert (await client.post(f"{path}/disable", json={})).status_code == 404
        assert (await client.post(f"{path}/disable", json={"reason": "x" * 501})).status_code == 422


async def test_held_streams_are_shown_with_health_to_those_who_may_change_devices(browse: Browser) -> None:
    async with browse(Role.ENGINEER) as engineer, browse(Role.OPERATOR) as operator:
        streams = {
            item["id"]: item["stream"]
            for item in (await engineer.get("/api/v1/devices/health")).json()["items"]
        }
        assert (streams["cam-1"]["state"], streams["cam-1"]["connects"], streams["cam-2"]) == (
            "connected",
            2,
            None,
        )
        hidden = (await operator.get("/api/v1/devices/health")).json()["items"]
        assert [item["stream"] for item in hidden] == [None, None]
