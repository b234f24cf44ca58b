"""The page of rules: every rule with its state and counters, and a shadow beside the rule it may replace."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.city import City
from tests.browser.conftest import ROOT, OpenConsole
from tests.browser.console import WAIT_MS, Console
from tests.browser.test_screen import violations

RULES = sorted(path.stem for path in (ROOT / "rules").glob("*.yaml"))


def rules_command(city: City, *arguments: str) -> dict[str, object]:
    """Run `ioc rules …` beside the running service, as an engineer does."""
    command = [
        sys.executable,
        "-m",
        "ioc.app",
        "rules",
        *arguments,
        "--data",
        str(city.service.data),
        "--json",
    ]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, check=True, capture_output=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def open_rules(console: Console) -> None:
    console.at("rules-open").click()
    expect(console.at("rule-row")).to_have_count(len(RULES), timeout=WAIT_MS)


def test_every_rule_is_listed_with_its_state_and_counters(new_console: OpenConsole, city: City) -> None:
    assert city.incident
    console = new_console().open()
    open_rules(console)
    rows = console.page.get_by_test_id("rule-row")
    assert sorted(rows.evaluate_all("rows => rows.map((row) => row.dataset.rule)")) == RULES
    expect(console.at("rule-state").first).to_have_text("Đang chạy")
    row = console.page.locator('[data-rule="wrong-way"]')
    expect(row.locator("td").nth(2)).not_to_have_text("0", timeout=2 * WAIT_MS)  # raised, by the next report

    console.page.keyboard.press("Escape")
    expect(console.at("rules")).to_have_count(0)
    console.page.keyboard.press("l")
    console.page.keyboard.press("g")
    expect(console.page.get_by_role("heading", name="Detection rules")).to_be_visible()
    expect(console.at("rule-state").first).to_have_text("Running")


def test_a_shadow_is_compared_side_by_side_with_its_rule(
    new_console: OpenConsole, city: City, tmp_path: Path
) -> None:
    text = (ROOT / "rules" / "wrong-way.yaml").read_text("utf-8")
    assert "confidence >= 0.6" in text
    (tmp_path / "wrong-way.yaml").write_text(text.replace("confidence >= 0.6", "confidence >= 0.99"), "utf-8")
    rules_command(city, "push", str(tmp_path / "wrong-way.yaml"), "--shadow", "--author", "an")
    incident = city.get(f"/incidents/{city.raise_incident()}")

    console = new_console().open()
    open_rules(console)
    console.page.locator('[data-rule="wrong-way"]').get_by_test_id("rule-compare").click(timeout=2 * WAIT_MS)
    row = console.at("shadow-row").filter(has_text=incident["key"])
    expect(row).to_have_attribute("data-change", "lost", timeout=WAIT_MS)
    expect(row).to_contain_text("không báo")
    assert int(console.at("shadow-lost").locator("b").inner_text()) >= 1
    expect(console.page.get_by_role("region", name="Chạy thử", exact=True)).to_be_visible()
    assert violations(console.page) == []

    rules_command(city, "disable", "wrong-way", "--shadow", "--reason", "seen enough")
    gone = console.page.get_by_role("status").filter(has_text="Đợt chạy thử đã kết thúc")
    expect(gone).to_be_visible(timeout=2 * WAIT_MS)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing_serious_on_the_page_of_rules(
    new_console: OpenConsole, city: City, theme: str
) -> None:
    console = new_console(theme=theme).open()
    open_rules(console)
    assert violations(console.page) == []
