"""`ioc kpis` and `ioc warnings` as somebody at a terminal has them."""

import json

from ioc.incidents.figures import FIGURES
from tests.integration.app.test_cli import Ioc, ioc, with_ward

__all__ = ["ioc", "with_ward"]


def test_every_figure_is_printed_with_what_it_rests_on(ioc: Ioc) -> None:
    code, out, _ = ioc("kpis", "--json", "--period", "quarter")
    assert code == 0
    (whole,) = json.loads(out)["items"]
    assert [each["figure"] for each in whole["figures"]] == list(FIGURES)
    assert all({"value", "n", "coverage", "age_s", "trend"} <= each.keys() for each in whole["figures"])
    code, out, _ = ioc("kpis", "--figure", "open", "--figure", "processing_rate")
    assert code == 0
    assert "processing_rate" in out
    assert "within_time" not in out


def test_a_ward_in_which_nothing_happened_has_a_line(with_ward: Ioc) -> None:
    found = json.loads(with_ward("kpis", "--by", "ward", "--figure", "open", "--json")[1])["items"]
    assert len(found) == 2
    assert found[1]["figures"][0]["value"] == 0.0


def test_what_cannot_be_asked_is_refused_and_says_what_can(ioc: Ioc) -> None:
    for arguments, told in (
        (("--figure", "weather"), "processing_rate"),
        (("--by", "person"), "ward, category"),
        (("--period", "custom"), "from"),
        (("--period", "custom", "--from", "2026-02-02", "--to", "2026-02-01"), "at most"),
    ):
        code, _, errors = ioc("kpis", *arguments)
        assert code == 1, arguments
        assert told in errors


def test_warnings_say_so_when_there_are_none(ioc: Ioc) -> None:
    assert json.loads(ioc("warnings", "--json")[1]) == {"items": [], "brakes": []}
    assert ioc("warnings", "--all")[0] == 0
