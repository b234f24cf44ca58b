"""The demo: our illustrative city, keys for its simulators, and logins for every role.

Passwords and keys are random, made at the first start and written into the data folder for its owner only.
"""

import json
import os
import secrets
import socket
import sys
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import yaml

from ioc.app.core import Core
from ioc.app.devices.description import parse_devices
from ioc.app.settings import Settings
from ioc.geo.geojson import parse_areas
from ioc.model.places import Area, Device, DeviceKind
from ioc.store.areas import replace_areas
from ioc.store.devices import issue_key, upsert_devices
from ioc.store.passwords import UnfitPasswordError, check_password
from ioc.store.policies import add_policy, read_policies
from ioc.store.users import Role, UsernameTakenError, Users

SOURCES = Path(__file__).parents[2] / "demo"
PEOPLE = (
    ("operator", "Trần Thị An", Role.OPERATOR, None),
    ("supervisor", "Lê Minh Bình", Role.SUPERVISOR, None),
    # A shift is handed over to somebody.
    ("supervisor2", "Đỗ Thị Hạnh", Role.SUPERVISOR, None),
    ("ward", "Nguyễn Văn Cường", Role.WARD, ("25747",)),
    ("leader", "Phạm Thu Dung", Role.LEADER, None),
    ("engineer", "Võ Quốc Đạt", Role.ENGINEER, None),
    ("admin", "Quản trị", Role.ADMIN, None),
)
SNAPSHOT_PORT = 8090
"""Where the simulators serve camera pictures, if it is free."""
_SENDERS = (DeviceKind.GATEWAY, DeviceKind.PORTAL)


def free_snapshot_port() -> int:
    """Return `SNAPSHOT_PORT`, or another port where somebody listens there already."""
    with socket.socket() as probe:
        for port in (SNAPSHOT_PORT, 0):
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                break
        found: int = probe.getsockname()[1]
    return found


def prepare_demo(core: Core, users: Users, snapshot_port: int) -> Awaitable[dict[str, str]]:
    """Import the demo city where there is none, and return the logins (name → password)."""
    folder = core.settings.data / "demo"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    areas = parse_areas((SOURCES / "areas.geojson").read_bytes())
    content = (SOURCES / "devices.geojson").read_bytes()
    if snapshot_port != SNAPSHOT_PORT:
        content = content.replace(f":{SNAPSHOT_PORT}/".encode(), f":{snapshot_port}/".encode())
    devices = parse_devices(content)
    return _prepare(core, users, areas, devices, folder)


async def _prepare(
    core: Core, users: Users, areas: Sequence[Area], devices: Sequence[Device], folder: Path
) -> dict[str, str]:
    async with core.pool.connection() as connection:
        if not core.directory.areas:
            for kind in sorted({area.kind for area in areas}):
                await replace_areas(connection, kind, [area for area in areas if area.kind == kind])
        await upsert_devices(connection, devices)
        if "authority" not in await read_policies(connection):
            await add_policy(
                connection,
                "authority",
                yaml.safe_load((SOURCES / "authority.yaml").read_text("utf-8")),
                author="demo",
                reason="illustrative city",
                expect_version=0,
            )
        if read_secret(folder / "keys.json") is None:
            senders = [device.id for device in devices if device.kind in _SENDERS]
            keys = {sender: await issue_key(connection, sender, "demo") for sender in senders}
            write_secret(folder / "keys.json", keys)
    await core.directory.refresh()
    await core.desk.refresh()
    logins_file = folder / "logins.json"
    logins = read_secret(logins_file) or {}
    made = await _create_people(users, logins)
    if made:
        logins |= made
        write_secret(logins_file, logins)
    return logins


async def _create_people(users: Users, known: Mapping[str, str]) -> dict[str, str]:
    """Create those who are not `known`, an earlier version's demo having had fewer."""
    logins: dict[str, str] = {}
    for username, name, role, wards in PEOPLE:
        if username in known:
            continue
        logins[username] = readable_password()
        try:
            await users.create_user(username, name=name, password=logins[username], role=role, wards=wards)
        except UsernameTakenError:
            # An earlier start was cut off before it wrote the file.
            await users.set_password(username, logins[username])
    return logins


def readable_password() -> str:
    """Return a random password of 60 bits that can be read aloud."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    while True:
        password = "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(3))
        with suppress(UnfitPasswordError):
            # Hardly ever is it all digits.
            return check_password(password)


def read_secret(path: Path) -> dict[str, str] | None:
    """Return what `write_secret` wrote, None where it did not."""
    if not path.exists():
        return None
    content: dict[str, str] = json.loads(path.read_text("utf-8"))
    return content


def write_secret(path: Path, content: dict[str, str]) -> None:
    """Write `content` as JSON, whole or not at all, readable by its owner only."""
    partial = path.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
    partial.replace(path)


def in_address(host: str) -> str:
    """Return `host` as an address writes it: one of IPv6 stands in brackets."""
    return f"[{host}]" if ":" in host else host


def simulator_command(settings: Settings, scenario: str | None, snapshot_port: int) -> list[str]:
    """Return the command that simulates the demo city against this service."""
    command = [
        sys.executable, "-m", "simulators", "run",
        "--url", f"http://{in_address(settings.http.host)}:{settings.http.port}",
        "--mqtt", f"{in_address(settings.mqtt.host)}:{settings.mqtt.port}",
        "--keys", str(settings.data / "demo" / "keys.json"),
        "--logins", str(settings.data / "demo" / "logins.json"),
        "--devices", str(SOURCES / "devices.geojson"),
        "--areas", str(SOURCES / "areas.geojson"),
        "--snapshot-port", str(snapshot_port),
        "--counter",
        "--parent", str(os.getpid()),
    ]  # fmt: skip
    return [*command, "--scenario", scenario] if scenario else command
