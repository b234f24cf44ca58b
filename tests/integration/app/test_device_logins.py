"""Logins at devices: sealed, bound to their device, replaced, forgotten; by the command line and by files."""

import io
import json
from pathlib import Path

import pytest

from ioc.app.devices.logins import DeviceLogins, store_login
from ioc.app.directory import Directory
from ioc.app.sealing import Seal
from ioc.model.places import Device, DeviceKind
from ioc.outbound.camera import Login, Reach
from ioc.store.audit import count_entries
from ioc.store.devices import upsert_devices
from ioc.store.row_scope import SERVICE, ScopedPool
from tests.integration.app.test_cli import Ioc, ioc  # noqa: F401 - a fixture

DEVICES = [Device(id=name, kind=DeviceKind.CAMERA, name=name) for name in ("a", "b")]


async def test_a_login_is_sealed_for_its_own_device_and_seen_without_a_restart(pool: ScopedPool) -> None:
    owned = pool.of(SERVICE)
    seal = Seal(bytes(32))
    directory = Directory(owned)
    logins = DeviceLogins(directory, seal)
    async with owned.connection() as connection:
        await upsert_devices(connection, DEVICES)
        await store_login(connection, seal, "a", Login("admin", "bí mật"), "ky-su")
    await directory.refresh()
    assert [logins.reach_of(device) for device in DEVICES] == [Reach(Login("admin", "bí mật")), Reach()]
    assert DeviceLogins(directory, Seal(bytes(31) + b"x")).reach_of(DEVICES[0]) == Reach()
    async with owned.connection() as connection:
        rows = await (await connection.execute("SELECT sealed FROM device_login")).fetchall()
        assert "mật".encode() not in bytes(rows[0][0])
        await connection.execute(
            "INSERT INTO device_login SELECT 'b', login_user, sealed FROM device_login WHERE device_id = 'a'"
        )
        await connection.execute("UPDATE dataset_version SET version = version + 1 WHERE name = 'device'")
        assert await count_entries(connection) == 1
    await directory.refresh()
    assert logins.reach_of(DEVICES[1]) == Reach(), "another device's row opens nothing"


def test_the_command_line_takes_a_password_from_input_or_environment_and_never_shows_it(
    ioc: Ioc,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("bí mật\n"))
    attach = ("--attach", "hikvision", "--attach-url", "http://10.0.0.7", "--login-user", "admin")
    assert ioc("devices", "add", "cam-1", *attach, "--any-certificate")[0] == 0
    (device,) = json.loads(ioc("devices", "list", "--json")[1])
    assert (device["decoder"], device["attach"], device["tls_verify"]) == ("hikvision", "hikvision", False)
    (held,) = json.loads(ioc("devices", "attached", "--json")[1])
    assert (held["login_user"], held["state"], held["connects"]) == ("admin", "waiting", 0)
    assert ioc("devices", "login", "cam-1", "--remove")[0] == 0
    code, _, err = ioc("devices", "login", "cam-1", "--remove")
    assert (code, "no login of 'cam-1'" in err) == (1, True)
    (tmp_path / "d.csv").write_text("id,kind,name,login_user,login_password\ncam-1,camera,C,root,bí mật\n")
    assert ioc("devices", "import", "d.csv")[0] == 0
    monkeypatch.setenv("IOC_LOGIN_PASSWORD", "x\n")
    code, _, err = ioc("devices", "login", "cam-1", "--user", "ky-su")
    assert (code, "control characters" in err) == (1, True)
    monkeypatch.setenv("IOC_LOGIN_PASSWORD", "bí mật")
    assert ioc("devices", "login", "nobody", "--user", "ky-su")[0] == 1
    code, out, _ = ioc("devices", "login", "cam-1", "--user", "ky-su", "--json")
    assert json.loads(out) == {"device": "cam-1", "user": "ky-su"}
    assert "mật" not in ioc("devices", "export")[1] + ioc("audit", "list", "--json")[1]
