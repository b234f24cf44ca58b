"""The same simulated time in two empty installations gives the same incidents, byte for byte.

Everything happens through the commands a person types: `ioc up`, `ioc-sim rerun`, `ioc export incidents`.
Minutes stand for the hour, which `tests/integration/app/test_rule_history.py` relives inside one process.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.service import Service

LENGTH_S = 1200
START = "2026-11-23T07:00:00+07:00"


@contextmanager
def installation(**settings: str) -> Iterator[tuple[Service, Path]]:
    """An empty one that takes its time from the sender, and the keys of a device that may send for all."""
    with tempfile.TemporaryDirectory(prefix="ioc-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        service = Service(Path(folder) / "var", {"IOC_REPLAY__ENABLED": "true", **settings})
        service.start()
        try:
            keys = Path(folder) / "keys.json"
            keys.write_text(json.dumps({"gw-all": service.add_gateway()}))
            yield service, keys
        finally:
            service.stop()


def command(module: str, *arguments: object, code: int = 0) -> bytes:
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)], capture_output=True, check=False
    )
    assert done.returncode == code, done.stderr.decode()
    return done.stdout if code == 0 else done.stderr


def rerun(service: Service, keys: Path, seconds: int, **more: object) -> dict[str, int]:
    options = {
        "keys": keys,
        "sender": "gw-all",
        "url": service.url,
        "start": START,
        "duration": seconds,
        **more,
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
    report: dict[str, int] = json.loads(command("simulators", "rerun", "--json", *arguments))
    return report


def exported(service: Service) -> bytes:
    return command("ioc.app", "export", "incidents", "--settled", "--data", service.data)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_same_time_twice_exports_the_same_bytes_and_they_score_well(tmp_path: Path) -> None:
    exports = []
    # Neither the size of batches nor the number of partitions may show.
    for settings in ({}, {"IOC_RULES__BATCH_RECORDS": "217", "IOC_LOG__PARTITIONS": "3"}):
        with installation(**settings) as (service, keys):
            report = rerun(service, keys, LENGTH_S)
            assert report["events"] == report["accepted"] > 50_000
            exports.append(exported(service))
            assert exported(service) == exports[-1]
    lines = exports[0].splitlines()
    incidents = [json.loads(line) for line in lines]
    ids = [incident["id"] for incident in incidents]
    assert ids == sorted(ids)
    assert len(ids) == len(set(ids)) > 30
    assert len({incident["rule"] for incident in incidents}) >= 6
    assert hashlib.sha256(exports[0]).hexdigest() == hashlib.sha256(exports[1]).hexdigest()
    file = tmp_path / "incidents.ndjson"
    file.write_bytes(exports[0])
    told = ("--incidents", file, "--start", START, "--duration", LENGTH_S, "--json")
    score = json.loads(command("simulators", "score", "demo", *told))
    assert score["detection"] >= 0.95
    assert score["total"]["expected"] > 30
    assert (score["total"]["repeated"], score["false"]) == (0, [])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_another_seed_gives_other_incidents_and_an_installation_goes_back_to_no_time() -> None:
    exports = []
    for seed in (1, 2):
        with installation() as (service, keys):
            rerun(service, keys, 120, seed=seed)
            exports.append(exported(service))
            again = ("rerun", "--keys", keys, "--sender", "gw-all", "--url", service.url, "--start", START)
            refused = command("simulators", *again, "--duration", 5, code=2).decode()
            assert "it is 2026-11-23T00:02:01.000Z already" in refused
    assert exports[0] != exports[1]
    assert all(len(text.splitlines()) > 5 for text in exports)


@pytest.mark.slow
def test_an_installation_that_keeps_its_own_time_refuses_another(service: Service, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"gw-all": service.add_gateway()}))
    again = ("rerun", "--keys", keys, "--sender", "gw-all", "--url", service.url, "--start", START)
    refused = command("simulators", *again, "--duration", 5, code=2).decode()
    assert "keeps its own time; start it with IOC_REPLAY__ENABLED=true" in refused
