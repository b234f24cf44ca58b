"""Personal data on the screen: masked, shown for a reason, recorded."""

import psycopg
from playwright.sync_api import expect

from tests.browser.city import City
from tests.browser.conftest import OpenConsole

PHONE = "0912 345 678"
REASON = "gọi lại cho người báo tin"


def test_a_phone_number_is_masked_until_somebody_gives_a_reason(new_console: OpenConsole, city: City) -> None:
    incident = city.raise_incident()
    city.command(incident, "comment", note=f"Người báo: {PHONE}")
    console = new_console("operator").open()
    console.show(incident)
    panel = console.at("panel")
    expect(panel).to_contain_text("•••678")
    assert PHONE not in panel.inner_text()

    console.at("unmask").click()
    console.at("unmask-words").fill("gấp")
    console.at("unmask-confirm").click()
    expect(panel.get_by_role("alert")).to_contain_text("ít nhất 10 ký tự")
    console.at("unmask-words").fill(REASON)
    console.at("unmask-confirm").click()

    expect(console.at("unmasked")).to_contain_text(PHONE)
    panel.get_by_role("button", name="Che lại").click()
    expect(console.at("unmasked")).to_have_count(0)
    with psycopg.connect(
        host=str((city.service.data / "pg").absolute()), user="postgres", dbname="ioc"
    ) as admin:
        entries = admin.execute(
            "SELECT actor, op, doc ->> 'reason' FROM audit_entry WHERE area = 'personal' AND subject = %s",
            (incident,),
        ).fetchall()
    assert entries == [("operator", "incident_unmasked", REASON)]


def test_who_may_not_unmask_is_not_offered_it(new_console: OpenConsole, city: City) -> None:
    incident = city.raise_incident()
    city.command(incident, "comment", note=f"Người báo: {PHONE}")
    console = new_console("leader").open()
    console.show(incident)
    expect(console.at("panel")).to_contain_text("•••678")
    expect(console.at("unmask")).to_have_count(0)
