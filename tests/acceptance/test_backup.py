"""A backup that is taken while events arrive comes back whole in a new data folder, as another history."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from benchmarks.service import Service
from ioc.app.backup.age import new_identity
from tests.acceptance.test_survival import count, event, stored_ids, wait_until


def ioc(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ioc.app", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def epoch(service: Service) -> str:
    """Return the feed's epoch as a board sees it: what stands before the last colon of an event's id."""
    with httpx.stream("GET", f"{service.url}/api/v1/feed/sse", headers=service.login(), timeout=60) as answer:
        for line in answer.iter_lines():
            if line.startswith("id:"):
                return line.removeprefix("id:").strip().rpartition(":")[0]
    raise AssertionError("the feed ended before its first event")


@pytest.mark.slow
def test_a_restored_backup_is_the_service_as_it_was_and_tells_consoles_so(
    service: Service, tmp_path: Path
) -> None:
    recipient = new_identity(tmp_path / "private.key", datetime.now(UTC))
    key = service.device_key("gw-25747")
    alarm = event(9_000, "cam-25747-02", "camera.alarm", {"kind": "wrong_way", "confidence": 0.9})
    assert service.ingest(b"\n".join([*(count(n) for n in range(200)), alarm]), key).json()["accepted"] == 201
    headers = service.login()

    def incidents() -> list[dict[str, object]]:
        items: list[dict[str, object]] = httpx.get(f"{service.url}/api/v1/incidents", headers=headers).json()[
            "items"
        ]
        # Not the revision: an incident's clocks run on while a slow machine restores it.
        return [{name: item[name] for name in ("id", "rule", "handling")} for item in items]

    wait_until(lambda: len(incidents()) == 1 and len(stored_ids(service)) == 201, 60)
    known, before = incidents(), epoch(service)

    backup = tmp_path / "backup"
    made = ioc("backup", backup, "--data", service.data, "--recipient", recipient, "--json")
    assert json.loads(made.stdout)["recipients"] == [recipient], made.stderr
    assert {path.stat().st_mode & 0o077 for path in [backup, backup / "ioc.dump.age"]} == {0}
    service.ingest(b"\n".join(count(n) for n in range(200, 300)), key)
    service.stop()

    data = tmp_path / "new" / "var"
    back = ioc("restore", backup, "--data", data, "--identity", tmp_path / "private.key")
    assert back.returncode == 0, back.stderr
    verified = ioc("audit", "verify", "--data", data, "--json")
    assert json.loads(verified.stdout)["intact"], verified.stdout

    keys = service.data / "secrets"
    assert {path.name for path in keys.iterdir()} >= {"plate.key", "contact.key"}
    for path in keys.iterdir():  # without its own keys the restored database cannot be read
        assert (data / "secrets" / path.name).read_bytes() == path.read_bytes(), path.name

    shutil.copytree(service.data / "demo", data / "demo")  # the test's own logins
    again = Service(data)
    again.start()
    try:
        headers = again.login()
        service.url = again.url
        assert incidents() == known
        assert epoch(again) != before, "offsets of another history must not be resumed"
        # What was acknowledged after the backup is sent again by whoever still has it; what it has is known.
        outcome = again.ingest(b"\n".join(count(n) for n in range(100, 300)), key).json()
        assert (outcome["accepted"], outcome["duplicate"]) == (100, 100)
        wait_until(lambda: len(stored_ids(again)) == 301, 60)
        assert max(stored_ids(again).values()) == 1
    finally:
        again.stop()


def test_only_a_whole_backup_is_restored_and_only_into_a_new_folder(service: Service, tmp_path: Path) -> None:
    backup, data = tmp_path / "backup", tmp_path / "new"
    made = ioc("backup", backup, "--data", service.data)
    assert made.returncode == 0, made.stderr
    assert "NOT ENCRYPTED: it holds personal data, logins and keys in clear" in made.stderr

    twice = ioc("backup", backup, "--data", service.data)
    assert (twice.returncode, "is not empty" in twice.stderr) == (1, True)
    over = ioc("restore", backup, "--data", service.data)
    assert (over.returncode, "into a new data folder only" in over.stderr) == (1, True)

    dump = backup / "ioc.dump"
    whole = dump.read_bytes()
    dump.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    spoilt = ioc("restore", backup, "--data", data)
    assert (spoilt.returncode, "SHA-256" in spoilt.stderr) == (1, True)
    (backup / "manifest.json").unlink()
    torn = ioc("restore", backup, "--data", data)
    assert (torn.returncode, "is no backup" in torn.stderr) == (1, True)
    assert not (data / "pg").exists()
