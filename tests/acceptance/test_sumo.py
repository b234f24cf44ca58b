"""A road is closed in SUMO, a jam forms by itself, the shipped rules find it: `ioc-sim sumo` as it is run."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ioc.app.recordings.entries import encode_entries
from ioc.app.recordings.frames import FrameReader
from ioc.model.records import Tick
from simulators.cli.score import score_scenario
from simulators.times import parse_us
from simulators.truth import Expected
from tests.acceptance.virtual_city import ROOT
from tests.scoring import judged

pytestmark = pytest.mark.skipif(find_spec("libsumo") is None, reason="libsumo is not installed: make sumo")
DATA = ROOT / "tests" / "data" / "sumo"
DETECTOR = "det-25747-01"
START = "2026-11-23T09:00:00+07:00"
LENGTH_S = 480


def sumo(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, as its user does: SUMO keeps one simulation a process."""
    files = [
        "--devices",
        str(ROOT / "demo" / "devices.geojson"),
        "--areas",
        str(ROOT / "demo" / "areas.geojson"),
    ]
    command = [sys.executable, "-m", "simulators", "sumo", *files, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)


def blocked(out: Path, *more: str) -> dict[str, Any]:
    done = sumo(
        *("--net", str(DATA / "boulevard.net.xml"), "--routes", str(DATA / "boulevard.rou.xml")),
        *("--block", DETECTOR, "--at", "60", "--for", "300"),
        *("--only-simulated", "--start", START, "--warm-up", "120", "--duration", str(LENGTH_S)),
        *("--out", str(out), "--json", *more),
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert isinstance(summary, dict)
    return summary


@pytest.fixture(scope="module")
def jam(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("sumo") / "jam.ndjson.zst"
    return out, blocked(out)


def events_of(path: Path) -> list[dict[str, Any]]:
    """Return the events of a recording as the devices sent them, read by the service's own reader."""
    found = []
    with path.open("rb") as file:
        reader = FrameReader(file, path.name)
        for entries in reader.entries():
            lines = encode_entries([entry for entry in entries if not isinstance(entry, Tick)])
            found += [json.loads(line) for line in lines.splitlines()]
        assert reader.footer is not None
        assert (reader.footer.events, reader.footer.ticks) == (len(found), LENGTH_S)
    sent = ("specversion", "id", "source", "type", "time", "data")
    return [{name: event[name] for name in sent} for event in found]


def test_the_rules_find_the_jam_that_formed_and_nothing_else(jam: tuple[Path, dict[str, Any]]) -> None:
    out, summary = jam
    truth = json.loads(out.with_name("jam.truth.json").read_text())
    expected = [Expected(**item) for item in truth["expected"]]
    assert [(item.rule, item.source) for item in expected] == [("congestion", DETECTOR)]
    assert summary["expected"] == 1
    assert 60 < expected[0].began_s < 240, "a queue takes its time to grow back to the detector"
    (block,) = truth["blocks"]
    assert (block["from_s"], block["until_s"], len(block["lanes"])) == (60, 360, 3)
    sent = [(parse_us(event["time"]), event) for event in events_of(out)]
    start_us = parse_us(START)
    result = judged(
        "sumo",
        lambda t0_us, t1_us: [item for item in sent if t0_us <= item[0] < t1_us],
        expected,
        start_us,
        LENGTH_S,
        silence=False,
    )
    assert result.refused == 0
    assert result.score.missed == []
    assert result.score.false == []
    assert result.score.total.detected == 1
    assert result.score.total.repeated == 0


def test_ioc_sim_score_judges_by_the_truth_that_was_measured(
    jam: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = jam
    truth = out.with_name("jam.truth.json")
    at_us = parse_us(START) + 250 * 1_000_000
    raised = tmp_path / "raised.ndjson"
    raised.write_text(json.dumps({"rule": "congestion", "source": DETECTOR, "detected_us": at_us}))
    options: dict[str, Any] = {"devices": Path("gone"), "areas": Path("gone"), "as_json": True}
    score_scenario(str(truth), incidents=raised, min_detection=0.95, **options)
    shown = json.loads(capsys.readouterr().out)
    assert (shown["scenario"], shown["detection"], shown["duration_s"]) == ("sumo", 1.0, LENGTH_S)


def test_the_same_arguments_give_the_same_bytes(jam: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    out, summary = jam
    again = blocked(tmp_path / "again.ndjson.zst")
    assert (tmp_path / "again.ndjson.zst").read_bytes() == out.read_bytes()
    assert again["traffic"] == summary["traffic"]


@pytest.mark.skipif(find_spec("sumo") is None, reason="SUMO's programs are not installed: make sumo")
def test_sumo_as_a_process_of_its_own_gives_the_same_bytes(
    jam: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    blocked(tmp_path / "traci.ndjson.zst", "--driver", "traci")
    assert (tmp_path / "traci.ndjson.zst").read_bytes() == jam[0].read_bytes()


@pytest.mark.skipif(find_spec("sumo") is None, reason="SUMO's netconvert is not installed: make sumo")
def test_without_a_network_one_is_made_of_the_citys_roads(tmp_path: Path) -> None:
    out = tmp_path / "city.ndjson"
    done = sumo(
        *("--ward", "25747", "--warm-up", "60", "--duration", "30", "--only-simulated", "--start", START),
        *("--out", str(out), "--json", "--work", str(tmp_path / "work")),
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["detectors"] >= 5
    assert summary["cameras"] >= 10
    assert summary["traffic"]["departed"] > 50
    assert (tmp_path / "work" / "city.net.xml").stat().st_size > 10_000
    sources = {json.loads(line)["source"] for line in out.read_text().splitlines()}
    assert "det-25747-01" in sources
    assert sources.isdisjoint(summary["left_out"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--block", "nowhere", "--at", "1", "--for", "9"], "--block nowhere: there is none on the network"),
        (["--reach", "1", "--origin", "100,5"], "no lane within 1 m of any detector or camera"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(tmp_path: Path, arguments: list[str], words: str) -> None:
    net = ["--net", str(DATA / "boulevard.net.xml"), "--out", str(tmp_path / "x.ndjson"), "--duration", "9"]
    done = sumo(*net, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("ioc-sim: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
