"""`ioc devices import-sites` against a real database."""

import json
from pathlib import Path

from tests.conformance.datex2 import table
from tests.integration.app.test_cli import Ioc, ioc  # noqa: F401 - a fixture

TABLE = "sites.xml"


def test_sites_become_detectors_that_the_publisher_covers(ioc: Ioc, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / TABLE).write_bytes(table("QL13_001", "QL13_002"))
    assert ioc("devices", "add", "vn", "--decoder", "datex2", "--trusts-position")[0] == 0
    code, out, _ = ioc("devices", "import-sites", TABLE, "--publisher", "vn", "--json")
    assert (code, json.loads(out)) == (0, {"imported": 2, "without_position": 0, "covers_added": ["vn-*"]})
    assert json.loads(ioc("devices", "import-sites", TABLE, "--publisher", "vn", "--json")[1]) == {
        "imported": 2, "without_position": 0, "covers_added": [],
    }  # fmt: skip
    listed = {row["id"]: row["kind"] for row in json.loads(ioc("devices", "list", "--json")[1])}
    assert listed == {"vn": "gateway", "vn-QL13_001": "detector", "vn-QL13_002": "detector"}


def test_a_table_that_cannot_be_used_registers_nothing_and_says_what_to_do(ioc: Ioc, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / TABLE).write_bytes(table("A", "A"))
    assert (
        "devices add nobody --decoder datex2"
        in ioc("devices", "import-sites", TABLE, "--publisher", "nobody")[2]
    )
    assert ioc("devices", "add", "vn", "--decoder", "datex2")[0] == 0
    code, _, err = ioc("devices", "import-sites", TABLE, "--publisher", "vn")
    assert code == 1 and "already the id" in err
    assert [row["id"] for row in json.loads(ioc("devices", "list", "--json")[1])] == ["vn"]
