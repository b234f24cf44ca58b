"""Logging in, and what each person may see."""

import base64
import json
import time

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from playwright.sync_api import expect

from tests.browser.city import City
from tests.browser.conftest import OpenConsole
from tests.browser.console import Console


def test_a_wrong_password_is_refused_with_a_message_and_the_right_one_lets_in(
    new_console: OpenConsole, city: City
) -> None:
    console = new_console(user=None)
    console.page.goto(city.url)
    console.at("login-user").fill("operator")
    console.at("login-pass").fill("not-the-password")
    console.at("login-submit").click()
    expect(console.page.get_by_role("alert")).to_contain_text("mật khẩu không đúng")
    expect(console.at("queue")).to_have_count(0)

    console.at("login-pass").fill(city.password("operator"))
    console.at("login-submit").click()
    expect(console.at("queue")).to_be_visible()
    console.wait_live()


def test_a_second_factor_is_begun_at_login_and_asked_for_ever_after(
    new_console: OpenConsole, city: City
) -> None:
    added = json.loads(city.service.ioc("users", "add", "khoa", "--role", "supervisor", "--json"))
    city.service.ioc("users", "second-factor", "khoa")
    console = new_console(user=None)
    console.forgive("status of 401")  # which asks for the code
    console.page.goto(city.url)
    enter(console, added["password"])
    expect(console.at("login-qr")).to_be_visible()
    secret = base64.b32decode(console.at("login-secret").inner_text().replace(" ", ""))
    totp = TOTP(secret, 6, SHA1(), 30)
    now_s = int(time.time())
    give(console, totp.generate(now_s + 1_000))
    expect(console.page.get_by_role("alert")).to_contain_text("Mã không đúng")
    give(console, totp.generate(now_s))
    console.wait_live()

    console.page.get_by_role("button", name="Đăng xuất").click()
    enter(console, added["password"])
    expect(console.at("login-code")).to_be_focused()
    expect(console.at("login-qr")).to_have_count(0)
    give(console, totp.generate(now_s))
    expect(console.page.get_by_role("alert")).to_contain_text("đã dùng")
    give(console, totp.generate(now_s + 30))
    console.wait_live()


def enter(console: Console, password: str) -> None:
    console.at("login-user").fill("khoa")
    console.at("login-pass").fill(password)
    console.at("login-submit").click()


def give(console: Console, code: bytes) -> None:
    console.at("login-code").fill(code.decode())
    console.at("login-submit").click()


def test_a_session_that_ends_elsewhere_leads_back_to_the_login(new_console: OpenConsole, city: City) -> None:
    console = new_console(user=None)
    console.page.goto(city.url)
    console.at("login-user").fill("leader")
    console.at("login-pass").fill(city.password("leader"))
    console.at("login-submit").click()
    console.wait_live()
    console.forgive("status of 401")  # of whatever it was still asking for
    # As if in another window of the same browser.
    answer = console.context.request.delete(f"{city.url}/api/v1/session", headers={"X-IOC": "1"})
    assert answer.status == 204

    console.page.evaluate("() => window.__ioc.feed.breakLink()")
    expect(console.at("login-user")).to_be_visible(timeout=15_000)
    expect(console.at("queue")).to_have_count(0)


def test_a_ward_user_never_sees_another_ward(new_console: OpenConsole, city: City) -> None:
    ward = new_console("ward").open()
    everyone = new_console("supervisor").open()

    foreign = city.raise_incident("25750")
    own = city.raise_incident("25747")

    # The own one came later: once it is there, the foreign one would have been.
    expect(ward.row(own)).to_be_visible()
    expect(everyone.row(foreign)).to_be_visible()
    assert ward.row(foreign).count() == 0
    assert foreign not in ward.page.content()
    incidents = [item for frame in ward.frames for item in frame.get("items", [])]
    incidents += [event["incident"] for frame in ward.frames for event in frame.get("events", [])]
    states = [state for frame in ward.frames for state in frame.get("set", [])]
    whole = [seen for seen in incidents if "ward" in seen]
    assert {seen["ward"] for seen in whole} == {"25747"}
    assert {seen["id"] for seen in incidents} == {seen["id"] for seen in whole}, (
        "patches are of what is known"
    )
    assert {seen["ward"] for seen in states} <= {"25747"}
    # The proof that the frames would show it.
    assert foreign in str(everyone.frames)


def test_a_role_is_offered_what_the_server_lets_it_do(new_console: OpenConsole, city: City) -> None:
    incident = city.incident
    offered = {}
    for user in ("leader", "ward", "operator"):
        console = new_console(user).open()
        console.show(incident)
        buttons = console.page.locator('[data-testid^="cmd-"]')
        expect(buttons.first).to_be_visible()
        offered[user] = {str(button.get_attribute("data-testid"))[4:] for button in buttons.all()}

    assert offered["leader"] == {"comment"}
    assert offered["ward"] == {"acknowledge", "assign", "start", "resolve", "comment", "reroute"}
    assert offered["operator"] == offered["ward"] | {"reject", "involve", "merge", "shelve", "pause"}
