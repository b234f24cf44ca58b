"""`ioc import`: rows of a file are judged and stored as if a device had sent them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.integration.app.test_cli import Ioc, ioc, with_ward  # noqa: F401 - fixtures

MAPPING = """
type: traffic.flow
time: when
source: site
id: n
field: {speed_kmh: v, volume_veh: q}
value: {interval_s: 60}
"""
ROWS = 2_500
HEADER = "n,when,site,v,q,note"


def table(path: Path, bad: tuple[int, ...] = ()) -> Path:
    """Write a table whose rows `bad` have no speed that can be."""
    rows = [
        f'{n},{datetime.now(UTC).isoformat()},7,{-1 if n in bad else 40},{n % 30},"a\nb"'
        for n in range(1, ROWS + 1)
    ]
    path.write_text("\n".join([HEADER, *rows]) + "\n", "utf-8")
    return path


@pytest.fixture
def sender(with_ward: Ioc, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ioc]:  # noqa: F811
    assert with_ward("devices", "add", "counts-7", "--ward", "25747", "--kind", "detector")[0] == 0
    assert with_ward("devices", "add", "counts", "--covers", "counts-*")[0] == 0
    Path("m.yaml").write_text(MAPPING, "utf-8")
    # A process of its own would log to its standard error; this one's must outlive the test.
    monkeypatch.setattr("ioc.app.cli.import_tables.configure_logs", lambda _level: None)
    with capture_logs():
        yield with_ward


def test_rows_are_stored_once_however_often_the_file_is_imported(sender: Ioc, tmp_path: Path) -> None:
    file = str(table(tmp_path / "t.csv", bad=(3, 2_001)))
    command = ("import", file, "--device", "counts", "--mapping", "m.yaml", "--json")
    code, out, err = sender(*command)
    assert code == 0, err
    report = json.loads(out)
    assert (report["accepted"], report["duplicate"], report["rejected"]) == (ROWS - 2, 0, 2)
    # Each row is two lines of the file, for the quoted break.
    assert [(each["line"], each["field"], each["rule"]) for each in report["shown"]] == [
        (7, "v", "in_range"),
        (4003, "v", "in_range"),
    ]
    again = json.loads(sender(*command)[1])
    assert (again["accepted"], again["duplicate"], again["rejected"]) == (0, ROWS - 2, 2)


def test_a_dry_run_stores_nothing_and_shows_what_would_be(sender: Ioc, tmp_path: Path) -> None:
    file = str(table(tmp_path / "t.csv"))
    command = ("import", file, "--device", "counts", "--mapping", "m.yaml", "--dry-run")
    found = json.loads(sender(*command, "--json")[1])
    assert found["accepted"] == ROWS
    assert found["events"][0]["ward"] == "25747"
    assert "would be stored" in sender(*command)[1]
    assert json.loads(sender(*command[:-1], "--json")[1])["duplicate"] == 0, "nothing had been stored"


def test_a_file_is_read_in_the_encoding_that_the_mapping_states(sender: Ioc, tmp_path: Path) -> None:
    Path("m.yaml").write_text(MAPPING.replace("v,", "Tốc,") + "encoding: windows-1258\n", "utf-8")
    text = f"n,when,site,Tốc,q\n1,{datetime.now(UTC).isoformat()},7,40,3\n"
    # The code page has the letter and, behind it, its tone.
    (tmp_path / "t.csv").write_bytes(text.replace("ố", "ô\u0301").encode("windows-1258"))
    code, out, err = sender(
        "import", str(tmp_path / "t.csv"), "--device", "counts", "--mapping", "m.yaml", "--json"
    )
    assert code == 0, err
    assert json.loads(out)["accepted"] == 1


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ("type: trafic.flow", "did you mean traffic.flow"),
        ("- a", "no YAML mapping"),
        ("{", "no YAML"),
        ("type: traffic.flow\nspeed: v", "speed: is no key of a mapping"),
    ],
)
def test_a_mapping_that_cannot_be_used_is_refused_before_anything_is_sent(
    sender: Ioc, tmp_path: Path, mapping: str, said: str
) -> None:
    Path("m.yaml").write_text(mapping, "utf-8")
    code, _, err = sender(
        "import", str(table(tmp_path / "t.csv")), "--device", "counts", "--mapping", "m.yaml"
    )
    assert code == 1
    assert said in " ".join(err.split())


def test_a_table_without_the_columns_says_which_is_missing(sender: Ioc, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("n,when,site\n1,2,3\n", "utf-8")
    code, out, err = sender("import", str(tmp_path / "t.csv"), "--device", "counts", "--mapping", "m.yaml")
    assert code == 1
    assert "no such column" in " ".join(out.split())
    assert "--dry-run" in err
