"""What somebody looks at, writes or stands on stays as it is, whatever arrives meanwhile and however late."""

from collections.abc import Callable

from playwright.sync_api import Route, expect

from tests.browser.city import City
from tests.browser.conftest import OpenConsole
from tests.browser.console import WAIT_MS, Console

ELSEWHERE = [106.9, 11.4]
"""In the city, and far from every camera of the ward of these tests."""
COUNT_TONES = """
  window.__tones = 0
  const start = OscillatorNode.prototype.start
  OscillatorNode.prototype.start = function (...args) { window.__tones += 1; start.apply(this, args) }
"""


def test_a_map_moved_by_hand_stays_there_whatever_arrives_and_in_another_theme(
    new_console: OpenConsole, city: City
) -> None:
    incident = city.raise_incident("25771")
    console = new_console(drawn=True).open().wait_map()
    console.show(incident)
    console.page.get_by_role("button", name="Tới vị trí trên bản đồ").click()
    console.page.wait_for_function("() => window.__ioc.map.getZoom() >= 14", timeout=WAIT_MS)
    console.wait_map()
    move_map(console)

    console.row(city.raise_incident("25771")).wait_for(timeout=WAIT_MS)
    # Had it to move it would be on its way: what arrives is shown within a second.
    console.page.wait_for_timeout(1_000)
    assert map_is_elsewhere(console)
    console.page.evaluate("() => { window.__before = window.__ioc.map }")
    console.at("theme-switch").click()
    console.page.wait_for_function(
        "() => window.__ioc.map && window.__ioc.map !== window.__before", timeout=2 * WAIT_MS
    )
    console.wait_map()
    assert map_is_elsewhere(console)


def move_map(console: Console) -> None:
    console.page.evaluate("(center) => window.__ioc.map.jumpTo({ center, zoom: 12 })", ELSEWHERE)
    assert map_is_elsewhere(console)


def map_is_elsewhere(console: Console) -> bool:
    lon, lat = console.page.evaluate("() => window.__ioc.map.getCenter().toArray()")
    return abs(lon - ELSEWHERE[0]) + abs(lat - ELSEWHERE[1]) < 0.01


def test_the_alarm_falls_silent_when_nobody_is_signed_in_any_more(
    new_console: OpenConsole, city: City
) -> None:
    city.raise_incident()
    console = new_console(None)
    console.page.add_init_script(COUNT_TONES)
    console.page.clock.install()
    console.page.goto(console.url)
    console.at("login-user").fill("operator")
    console.at("login-pass").fill(city.password("operator"))
    console.at("login-submit").click()
    console.wait_live()
    console.page.get_by_role("button", name="Âm báo").click()
    console.page.clock.run_for(10_000)
    assert tones(console) > 0

    console.page.get_by_role("button", name="Đăng xuất").click()
    expect(console.at("login-submit")).to_be_visible()
    before = tones(console)
    console.page.clock.run_for(30_000)
    assert tones(console) == before


def tones(console: Console) -> int:
    count: int = console.page.evaluate("() => window.__tones")
    return count


def held(console: Console, pattern: str) -> Callable[[], None]:
    """Hold the answers to `pattern` back; what is returned lets them go."""
    routes: list[Route] = []
    console.page.route(pattern, lambda route: routes.append(route))

    def release() -> None:
        for route in routes:
            route.continue_()
        console.page.unroute(pattern)

    return release


def test_a_happening_is_not_shown_the_alarms_of_another(new_console: OpenConsole, city: City) -> None:
    heads = []
    for ward in ("25768", "25780"):
        head, member = city.raise_incident(ward), city.raise_incident(ward)
        city.command(member, "merge", into=head)
        heads.append((head, member))
    (first, of_first), (second, of_second) = heads
    console = new_console().open()
    console.show(first)
    expect(console.at("group")).to_contain_text(camera_of(city, of_first))

    release = held(console, f"**/incidents/{second}/members")
    console.show(second)
    expect(console.at("group")).to_be_visible()
    expect(console.at("split")).to_have_count(0)
    release()
    expect(console.at("group")).to_contain_text(camera_of(city, of_second))


def camera_of(city: City, incident: str) -> str:
    source = city.get(f"/incidents/{incident}")["source"]
    name: str = next(device["name"] for device in city.get("/devices")["items"] if device["id"] == source)
    return name


def test_a_forecast_that_failed_too_late_does_not_hide_the_one_that_is_asked_for(
    new_console: OpenConsole, city: City
) -> None:
    city.raise_incident()
    console = new_console().open()
    console.forgive("ERR_FAILED .*/forecast")
    first: list[Route] = []
    console.page.route("**/forecast?hours=24", lambda route: first.append(route))
    console.at("open-forecast").click()
    expect(console.at("forecast")).to_contain_text("Đang tính")
    console.at("forecast").get_by_role("combobox").select_option(label="3 ngày tới")
    expect(console.at("will-breach").first).to_be_visible(timeout=WAIT_MS)
    first[0].abort()
    console.page.wait_for_timeout(200)
    expect(console.at("will-breach").first).to_be_visible()


def test_who_leaves_a_form_by_its_keys_goes_on_where_it_was_opened(
    new_console: OpenConsole, city: City
) -> None:
    incident = city.raise_incident()
    city.command(incident, "comment", note="Người báo: 0912 345 678")
    console = new_console().open()
    console.show(incident)

    console.page.keyboard.press("d")
    expect(console.at("assignee-input")).to_be_focused()
    console.page.keyboard.press("Escape")
    expect(console.at("panel").get_by_role("region", name="Thao tác")).to_be_focused()

    console.at("unmask").click()
    expect(console.at("unmask-words")).to_be_focused()
    console.page.keyboard.press("Escape")
    expect(console.at("unmask")).to_be_focused()


def test_a_step_that_is_done_leaves_the_form_of_another_open(new_console: OpenConsole, city: City) -> None:
    incident = city.raise_incident()
    console = new_console().open()
    console.show(incident)
    console.page.locator('[data-step="verify"] [data-answer="yes"]').click()
    expect(console.at("checklist-progress")).to_have_text("1/5")
    console.at("step").nth(4).get_by_test_id("step-do").click()
    console.at("step-words").fill("xe đã dừng")
    console.at("step").nth(2).get_by_test_id("step-do").click()
    expect(console.at("checklist-progress")).to_have_text("2/5")
    expect(console.at("step-words")).to_have_value("xe đã dừng")
