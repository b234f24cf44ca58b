"""The command line: the same arguments give the same files; mistakes are one line."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from simulators import SimulatorError
from simulators.cli.main import app, main
from simulators.fleet import FleetError, load_fleet
from simulators.snapshots import snapshot_server
from simulators.world import World
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
    truth = json.loads(first[1])
    due = [item for item in truth["expected"] if item["from_s"] + item["tolerance_s"] <= 200]
    assert [(item["rule"], item["source"]) for item in due] == [("congestion", "det-25966-02")]
    assert all(json.loads(line)["time"] < "2026-11-22T23:48:20.000Z" for line in first[0].splitlines())


def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    came: list[bytes] = []
    reader = threading.Thread(target=lambda: came.append(pipe.read_bytes()))
    reader.start()
    arguments = ["generate", "--start", "2026-11-23T06:45:00+07:00", "--duration", "2", "--out", str(pipe)]
    result = CliRunner().invoke(app, [*arguments, *FILES, "--json"])
    reader.join(timeout=30)
    assert len(came[0].splitlines()) == json.loads(result.stdout)["events"] > 0
    assert pipe.is_fifo()


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
        (["run", "--keys", "none.json", "--mqtt", "127.0.0.1:0"], "host:port"),
        (["run", "--keys", "none.json", "--mqtt", "127.0.0.1:²"], "host:port"),
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


def test_what_generate_wrote_can_be_scored_as_it_is(tmp_path: Path) -> None:
    """What begins before the end and is raised behind it is no false alarm: the truth reaches further."""
    truth = json.loads(generate(tmp_path / "a.ndjson")[1])
    assert (truth["scenario"], truth["duration_s"]) == ("morning-rush", 200.0)
    late = next(item for item in truth["expected"] if item["from_s"] + item["tolerance_s"] > 200)
    assert late["began_s"] < 200
    raised = [
        {"rule": item["rule"], "source": item["source"], "ward": item["ward"], "detected": stamp}
        for item, stamp in zip(
            truth["expected"][:2], ["2026-11-22T23:46:50Z", "2026-11-22T23:48:19Z"], strict=True
        )
    ]
    (tmp_path / "incidents.json").write_text(json.dumps(raised))
    arguments = ["score", str(tmp_path / "a.truth.json"), "--incidents", str(tmp_path / "incidents.json")]
    result = CliRunner().invoke(app, [*arguments, "--json", *FILES])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["detection"], found["total"]["false"]) == (1.0, 0)


def test_every_command_takes_json() -> None:
    group = typer.main.get_command(app)
    commands = dict(group.commands)  # type: ignore[attr-defined]
    commands["city build"] = commands.pop("city").commands["build"]
    without = {
        name
        for name, command in commands.items()
        if not any("--json" in each.opts for each in command.params)
    }
    assert without == set()


def test_every_summary_has_its_json(tmp_path: Path) -> None:
    out = tmp_path / "a.ndjson"
    times = ["--start", "2026-11-23T06:45:00+07:00", "--duration", "2", "--out", str(out)]
    result = CliRunner().invoke(app, ["generate", *times, *FILES, "--json"])
    assert json.loads(result.stdout)["events"] == len(out.read_bytes().splitlines())
    result = CliRunner().invoke(app, ["city", "build", "--out", str(tmp_path), "--json"])
    assert [Path(item["file"]).name for item in json.loads(result.stdout)] == [
        "areas.geojson",
        "devices.geojson",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["truth", "demo", "--duration", "nan"],
        ["truth", "demo", "--duration", "inf"],
        ["truth", "demo", "--duration", "-5"],
        ["generate", "--start", "2026-11-23T06:45:00+07:00", "--out", "x", "--duration", "nan"],
        [
            "generate",
            "--start",
            "2026-11-23T06:45:00+07:00",
            "--out",
            "x",
            "--duration",
            "1",
            "--speed",
            "inf",
        ],
        ["score", "demo", "--incidents", "x", "--duration", "inf"],
        ["load", "--keys", "x", "--rate", "10", "--duration", "inf"],
        ["run", "--keys", "x", "--duration", "nan"],
        ["run", "--keys", "x", "--speed", "nan"],
        ["run", "--keys", "x", "--snapshot-port", "99999"],
        ["replay", "x", "--source", "cam-1", "--keys", "x", "--speed", "inf"],
    ],
)
def test_a_number_without_bounds_is_a_mistake_of_its_option(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, [*arguments, *FILES[:2]])
    assert result.exit_code == 2, result.output
    assert "Invalid value for '--" in result.output


@pytest.mark.parametrize("command", ["run", "load", "rerun", "play", "score", "replay", "sumo"])
@pytest.mark.parametrize("url", ["nonsense", "http://[::1", "ftp://ioc", "http://"])
def test_an_address_that_is_none_is_a_mistake_of_its_option(command: str, url: str) -> None:
    result = CliRunner().invoke(app, [command, "--url", url])
    assert isinstance(result.exception, SimulatorError)
    assert str(result.exception).startswith(f"--url {url}: expected an address")


def test_devices_of_which_none_speaks_are_refused(tmp_path: Path) -> None:
    for features in ([], [{"properties": {"id": "g", "kind": "gateway", "name": "g", "ward": "1"}}]):
        for each in features:
            each["geometry"] = {"coordinates": [106.6, 11.0]}  # type: ignore[assignment]
        (tmp_path / "devices.geojson").write_text(json.dumps({"features": features}))
        with pytest.raises(FleetError, match="no camera and no detector"):
            load_fleet(tmp_path / "devices.geojson")
    lost = {"properties": {"id": "c", "kind": "camera", "name": "c", "ward": None}}
    place = {"geometry": {"coordinates": [106.6, 11.0]}}
    (tmp_path / "devices.geojson").write_text(json.dumps({"features": [lost | place]}))
    with pytest.raises(FleetError, match="ward"):
        load_fleet(tmp_path / "devices.geojson")


def test_a_run_that_was_not_taken_says_so_at_its_end(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    features = json.loads((DEMO / "devices.geojson").read_text("utf-8"))["features"]
    keys.write_text(json.dumps({feature["properties"]["id"]: "key" for feature in features}), "utf-8")
    command = [sys.executable, "-m", "simulators", "run", "--keys", str(keys), "--snapshot-port", "0", *FILES]
    done = subprocess.run(
        [*command, "--duration", "1", "--url", "http://127.0.0.1:1", "--mqtt", "127.0.0.1:1"],
        timeout=120,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout.splitlines()[0].split("  ")[1]) == (1, "acked 0"), done.stderr


def test_a_picture_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        world = World(load_fleet(DEMO / "devices.geojson"), [], seed=1, start_us=0)
        told = pytest.raises(SimulatorError, match=f"--snapshot-port {port}: .*choose another")
        with told, snapshot_server(world, port):
            pass
