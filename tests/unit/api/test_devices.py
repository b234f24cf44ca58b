"""Devices over HTTP: everybody sees how theirs fare, engineers register and announce maintenance."""

from ioc.store.users import Role
from tests.unit.api.conftest import Browser


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
