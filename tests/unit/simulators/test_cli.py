"""The command line: the same arguments give the same files; mistakes are one line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from simulators.cli import app, main
from simulators.fleet import FleetError, load_fleet
from tests.unit.simulators.conftest import DEMO

FILES = ["--devices", str(DEMO / "devices.geojson"), "--areas", str(DEMO / "areas.geojson")]


def generate(out: Path, *more: str) -> tuple[bytes, bytes]:
    arguments = ["generate", "--scenario", "morning-rush", "--start", "2026-11-23T06:45:00+07:00"]
    result = CliRunner().invoke(app, [*arguments, "--duration", "200", "--out", str(out), *FILES, *more])
    assert result.exit_code == 0, result.output
    return out.read_bytes(), out.with_suffix(".truth.json").read_bytes()


def test_generate_gives_identical_bytes_for_identical_arguments(tmp_path: Path) -> None:
    first = generate(tmp_path / "a.ndjson")
    assert generate(tmp_path / "b.ndjson") == first
    assert generate(tmp_path / "c.ndjson", "--seed", "2")[0] != first[0]
    truth = json.loads(first[1])["expected"]
    assert [(item["rule"], item["source"]) for item in truth] == [("congestion", "det-25966-02")]
    assert all(json.loads(line)["time"] < "2026-11-22T23:48:20.000Z" for line in first[0].splitlines())


def test_truth_is_a_table_or_json() -> None:
    table = CliRunner().invoke(app, ["truth", "demo", "--duration", "100", *FILES])
    assert "wrong-way" in table.output
    result = CliRunner().invoke(app, ["truth", "demo", "--duration", "100", "--json", *FILES])
    assert json.loads(result.output)[0]["rule"] == "wrong-way"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["truth", "nowhere.yaml"], "nowhere.yaml"),
        (["run", "--keys", "none.json"], "cannot read keys"),
        (["run", "--keys", "none.json", "--mqtt", "nonsense"], "host:port"),
        (["generate", "--start", "yesterday", "--duration", "1", "--out", "x"], "--start"),
        (["sumo"], "either --keys FILE to a service, or --out FILE"),
        (["sumo", "--out", "x.ndjson"], "--out needs --duration"),
        (["sumo", "--out", "x.csv", "--duration", "9"], "ends in .ndjson"),
        (["sumo", "--out", "x.ndjson", "--duration", "9", "--start", "yesterday"], "--start"),
        (["sumo", "--keys", "none.json", "--start", "2026-11-23T06:45:00+07:00"], "--start is for --out"),
        (["sumo", "--keys", "none.json"], "cannot read keys"),
        (["sumo", "--out", "x.ndjson", "--duration", "9", "--block", "a"], "give each block both times"),
        (["sumo", "--out", "x.ndjson", "--duration", "9", "--origin", "here"], "--origin wants lon,lat"),
        (["generate", "--start", "9999-12-31T23:59:59Z", "--duration", "1", "--out", "x"], "until 2200"),
        (["sumo", "--out", "gone/x.ndjson", "--duration", "9"], "there is no folder gone"),
        (["sumo", "--out", "x.ndjson", "--duration", "9", "--net", "gone.net.xml"], "cannot be read"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["ioc-sim", *arguments, *FILES])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("ioc-sim: ")
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(("driver", "missing"), [("libsumo", "libsumo"), ("traci", "traci")])
def test_without_sumo_the_error_says_how_to_install_it(
    driver: str,
    missing: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    net = DEMO.parent / "tests" / "data" / "sumo" / "boulevard.net.xml"
    arguments = [
        "--net",
        str(net),
        "--out",
        str(tmp_path / "x.ndjson"),
        "--duration",
        "9",
        "--driver",
        driver,
    ]
    monkeypatch.setattr(sys, "argv", ["ioc-sim", "sumo", *arguments, *FILES])
    with pytest.raises(SystemExit):
        main()
    assert "make sumo" in capsys.readouterr().err


def test_without_netconvert_no_network_is_made_and_the_error_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    arguments = ["--out", str(tmp_path / "x.ndjson"), "--duration", "9"]
    monkeypatch.setattr(sys, "argv", ["ioc-sim", "sumo", *arguments, *FILES])
    with pytest.raises(SystemExit):
        main()
    error = capsys.readouterr().err
    assert "netconvert is not installed" in error
    assert "make sumo" in error


def test_logins_without_the_crews_user_are_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logins.json").write_text('{"operator": "x"}')
    arguments = ["run", "--keys", "none.json", "--logins", str(tmp_path / "logins.json"), *FILES]
    monkeypatch.setattr(sys, "argv", ["ioc-sim", *arguments])
    with pytest.raises(SystemExit):
        main()
    assert "no password for supervisor" in capsys.readouterr().err


def test_a_run_ends_when_the_process_that_started_it_is_gone(tmp_path: Path) -> None:
    """A service that is killed must not leave its simulators behind."""
    keys = tmp_path / "keys.json"
    features = json.loads((DEMO / "devices.geojson").read_text("utf-8"))["features"]
    keys.write_text(json.dumps({feature["properties"]["id"]: "key" for feature in features}), "utf-8")
    command = [sys.executable, "-m", "simulators", "run", "--keys", str(keys), "--snapshot-port", "0"]
    done = subprocess.run(
        [*command, "--parent", "1", "--url", "http://127.0.0.1:1", "--mqtt", "127.0.0.1:1"],
        timeout=120,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_fleet_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for content in ("[]", "[" * 100_000, "{"):
        (tmp_path / "devices.geojson").write_text(content)
        with pytest.raises(FleetError, match=r"cannot use .*devices\.geojson \("):
            load_fleet(tmp_path / "devices.geojson")
