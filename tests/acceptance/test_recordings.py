"""A recording of a service, replayed into an empty one past the gateway or through it: the same incidents.

Everything happens through the commands a person types.
"""

import json
from pathlib import Path

import pytest

from benchmarks.service import Service
from tests.acceptance.test_same_hour_twice import command, exported, installation, rerun

LENGTH_S = 120


def ioc(*arguments: object, code: int = 0) -> bytes:
    return command("ioc.app", *arguments, code=code)


def checksum(service: Service) -> dict[str, object]:
    found: dict[str, object] = json.loads(
        ioc("export", "incidents", "--settled", "--checksum", "--json", "--data", service.data)
    )
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_recording_replayed_into_an_empty_installation_gives_the_same_incidents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, anonymous = tmp_path / "city.ndjson.zst", tmp_path / "anonymous.ndjson.zst"
    with installation() as (service, keys):
        rerun(service, keys, LENGTH_S)
        sums, exports = [checksum(service)], [exported(service)]
        made = json.loads(
            ioc("record", "--from", "start", "--stored", "--out", file, "--json", "--data", service.data)
        )
        kept_time = ioc("replay", file, "--into-log", "--data", service.data, code=1).decode()
        assert "this installation keeps its own time" in kept_time
        monkeypatch.setenv("IOC_REPLAY__ENABLED", "true")
        later = ioc("replay", file, "--into-log", "--data", service.data, code=1).decode()
        assert "already, the recording begins at 2026-11-23T00:00:01.000Z" in later
    assert made["events"] > 6_000 and made["lost"] == 0

    # Neither the number of partitions nor the way in may show.
    monkeypatch.setenv("IOC_LOG__PARTITIONS", "3")
    with installation() as (service, _):
        played = json.loads(ioc("replay", file, "--into-log", "--json", "--data", service.data))
        assert (played["events"], played["repeats"]) == (made["events"], 0)
        again = json.loads(ioc("replay", file, "--into-log", "--resume", "--json", "--data", service.data))
        assert again["repeats"] == made["events"]
        sums.append(checksum(service))
        exports.append(exported(service))
    monkeypatch.delenv("IOC_LOG__PARTITIONS")
    with installation() as (service, keys):
        options = ["--keys", keys, "--sender", "gw-all", "--url", service.url, "--tell-time"]
        speed = ["--speed", "max", "--times", "original", "--json"]
        sent = json.loads(command("simulators", "play", file, *options, *speed))
        assert sent["accepted"] == made["events"]
        sums.append(checksum(service))
        exports.append(exported(service))
    assert sums[0] == sums[1] == sums[2]
    assert int(str(sums[0]["incidents"])) > 5
    assert exports[0] == exports[1] == exports[2]

    ioc("recording", "anonymise", file, "--out", anonymous)
    found = json.loads(ioc("recording", "inspect", anonymous, "--json"))
    assert (found["events"], found["anonymous"], found["whole"]) == (made["events"], True, True)
