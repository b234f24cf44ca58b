"""The ward's phone: own work only, without a network too, and everything done arrives once."""

import gzip
import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.browser.city import City
from tests.browser.conftest import ROOT
from tests.browser.console import WAIT_MS, until
from tests.browser.phone import COUNT, LIST, OPENED, Phone
from tests.browser.public import street_photo
from tests.browser.test_screen import violations

WARD, FOREIGN = "25747", "25942"
MOST_SCRIPT_BYTES = 61_000
DIST = ROOT / "dashboards" / "console" / "dist"

OpenPhone = Callable[..., Phone]


@pytest.fixture
def new_phone(browser: Browser, city: City) -> Iterator[OpenPhone]:
    made: list[Phone] = []
    with ExitStack() as contexts:

        def make(user: str = "ward", theme: str = "light", width: int = 360, **options: Any) -> Phone:
            context = browser.new_context(
                viewport={"width": width, "height": 740},
                reduced_motion="reduce",
                has_touch=True,
                bypass_csp=options.pop("tools", False),
                **options,
            )
            contexts.callback(context.close)
            name, _, value = city.headers(user)["cookie"].partition("=")
            context.add_cookies([{"name": name, "value": value, "url": city.url}])
            context.add_init_script(f"localStorage.setItem('ioc.theme', '{theme}')")
            phone = Phone(context.new_page(), city.url)
            made.append(phone)
            return phone

        yield make
        assert [complaint for phone in made for complaint in phone.complaints] == []


FILL_OUTBOX = (
    "async () => { const base = 'ioc-ward';"
    + OPENED
    + """
  const outbox = db.transaction('outbox', 'readwrite').objectStore('outbox')
  for (let seq = 1; seq <= 100; seq += 1) {
    const entry = { seq, user: 'another', args: {}, photo: null, seen: {}, state: 'waiting' }
    await answer(outbox.put({ ...entry, madeMs: Date.now() }))
  }
  db.close()
}"""
)
"""As many entries as a phone keeps, of somebody else who has used it."""


def ops_of(city: City, incident: str) -> list[str]:
    return [change["op"] for change in city.get(f"/incidents/{incident}/history")["items"]]


def do_all_steps(city: City, incident: str) -> None:
    """Do every required step of an incident's procedure, so that it may be resolved."""
    while True:
        steps = city.get(f"/incidents/{incident}/procedure")["steps"]
        step = next((step for step in steps if step["required"] and step["state"] == "open"), None)
        if step is None:
            return
        if step["kind"] == "photo":
            city.command(incident, "skip", step=step["id"], note="diễn tập")
            continue
        answers = {
            "choice": {"answer": step["choices"][0]["id"]} if step["choices"] else {},
            "note": {"note": "x"},
        }
        city.command(incident, "step", step=step["id"], **answers.get(step["kind"], {}))


def test_a_ward_sees_its_own_work_and_nothing_of_others(new_phone: OpenPhone, city: City) -> None:
    own, foreign = city.raise_incident(WARD), city.raise_incident(FOREIGN)
    phone = new_phone().open()
    expect(phone.item(own)).to_be_visible(timeout=WAIT_MS)
    expect(phone.item(foreign)).to_have_count(0)
    assert (
        phone.page.evaluate("id => fetch(`/api/v1/incidents/${id}`).then(({ status }) => status)", foreign)
        == 404
    )
    city.end_all(FOREIGN)


def test_work_is_taken_and_the_list_follows(new_phone: OpenPhone, city: City) -> None:
    incident = city.raise_incident(WARD)
    phone = new_phone().open()
    phone.show(incident)
    expect(phone.at("directions")).to_have_attribute("href", re.compile(r"^geo:\d+\.\d+,\d+\.\d+"))
    phone.at("do-acknowledge").click()
    expect(phone.at("handling")).to_have_text("Đã tiếp nhận")
    phone.at("do-start").click()
    expect(phone.at("handling")).to_have_text("Đang xử lý")
    phone.at("back").click()
    expect(phone.at("section-doing").locator(f'[data-incident-id="{incident}"]')).to_be_visible()


def test_back_from_an_incident_one_stands_where_one_was_in_the_list(new_phone: OpenPhone, city: City) -> None:
    incidents = [city.raise_incident(WARD) for _ in range(6)]
    phone = new_phone().open()
    expect(phone.item(incidents[-1])).to_be_visible(timeout=WAIT_MS)
    last = phone.at("ward-item").last
    shown = last.get_attribute("data-incident-id")
    last.click()
    expect(phone.at("ward-detail")).to_be_visible()
    assert phone.page.evaluate("() => scrollY") == 0
    phone.at("back").click()
    expect(phone.item(shown or "")).to_be_focused()
    expect(phone.item(shown or "")).to_be_in_viewport()


def test_the_next_person_is_not_told_that_the_former_ones_outbox_is_full(
    new_phone: OpenPhone, city: City
) -> None:
    incident = city.raise_incident(WARD)
    phone = new_phone("ward").open().ready()
    phone.page.route("**/commands", lambda route: route.abort())
    phone.page.evaluate(FILL_OUTBOX)
    phone.page.reload()
    phone.show(incident)
    phone.at("do-acknowledge").click()
    expect(phone.at("not-kept")).to_be_visible()
    phone.log_out()
    if phone.at("leave-anyway").count():
        phone.at("leave-anyway").click()
    city.forget("ward")
    phone.at("login-user").fill("supervisor")
    phone.at("login-pass").fill(city.password("supervisor"))
    phone.at("login-submit").click()
    expect(phone.at("ward-detail")).to_be_visible(timeout=WAIT_MS)
    expect(phone.at("not-kept")).to_have_count(0)


def test_what_is_done_without_a_network_survives_a_reload_and_arrives_once_in_order(
    new_phone: OpenPhone, city: City
) -> None:
    incident = city.raise_incident(WARD)
    phone = new_phone().open().ready()
    phone.show(incident)
    phone.keeps(incident)
    phone.cut()
    phone.at("do-acknowledge").click()
    phone.at("do-comment").click()
    phone.at("note").fill("Đang trên đường tới")
    phone.at("confirm").click()
    expect(phone.at("outbox-link")).to_contain_text("2 việc chờ gửi")
    phone.page.reload()
    expect(phone.at("ward-detail")).to_have_attribute("data-incident-id", incident, timeout=WAIT_MS)
    expect(phone.at("outbox-link")).to_contain_text("2 việc chờ gửi")
    phone.at("do-start").click()
    phone.mend()
    expect(phone.at("outbox-link")).to_have_count(0, timeout=3 * WAIT_MS)
    expect(phone.at("handling")).to_have_text("Đang xử lý")
    done = [op for op in ops_of(city, incident) if op in {"acknowledge", "comment", "start"}]
    assert done == ["acknowledge", "comment", "start"]


def test_a_photo_taken_without_a_network_outlives_the_page_and_is_there_afterwards(
    new_phone: OpenPhone, city: City
) -> None:
    incident = city.raise_incident(WARD)
    do_all_steps(city, incident)
    phone = new_phone().open(f"#{incident}").ready()
    phone.keeps(incident)
    phone.cut()
    phone.at("do-resolve").click()
    phone.at("note").fill("Đã cẩu xe, thông đường")
    phone.at("photo").set_input_files(
        [{"name": "IMG_0001.jpg", "mimeType": "image/jpeg", "buffer": street_photo()}]
    )
    expect(phone.at("preview")).to_be_visible()
    until(phone.page, f"async () => await ({COUNT})(['ioc-ward-drafts', 'drafts']) === 1")
    # A cheap phone ends the page while its camera is open: what was begun is there again, in the list too.
    phone.page.reload()
    expect(phone.at("note")).to_have_value("Đã cẩu xe, thông đường", timeout=WAIT_MS)
    expect(phone.at("preview")).to_be_visible()
    phone.at("back").click()
    expect(phone.item(incident).get_by_test_id("draft")).to_be_visible()
    phone.show(incident)
    phone.at("confirm").click()
    expect(phone.at("outbox-link")).to_be_visible()
    assert phone.page.evaluate(COUNT, ["ioc-ward-drafts", "drafts"]) == 0
    phone.mend()
    expect(phone.at("outbox-link")).to_have_count(0, timeout=3 * WAIT_MS)
    found = city.get(f"/incidents/{incident}")
    assert (found["handling"], found["note"]) == ("resolved", "Đã cẩu xe, thông đường")
    assert found["photo"]


def test_words_begun_for_what_somebody_else_did_stay_until_they_are_let_go(
    new_phone: OpenPhone, city: City
) -> None:
    incident = city.raise_incident(WARD)
    do_all_steps(city, incident)
    phone = new_phone().open(f"#{incident}")
    phone.at("do-reroute").click(timeout=WAIT_MS)
    phone.at("note").fill("Nhà ông Sáu thuộc phường bên")
    city.command(incident, "resolve", note="Đã xong")
    expect(phone.at("stray")).to_contain_text("Nhà ông Sáu thuộc phường bên", timeout=WAIT_MS)
    phone.at("stray").get_by_role("button").click()
    expect(phone.at("stray")).to_have_count(0)
    phone.at("back").click()
    expect(phone.at("draft")).to_have_count(0)


def test_what_somebody_else_did_meanwhile_is_shown_and_decided(new_phone: OpenPhone, city: City) -> None:
    incident = city.raise_incident(WARD)
    phone = new_phone().open().ready()
    phone.show(incident)
    phone.cut()
    phone.at("do-start").click()
    city.command(incident, "assign", assignee="Đội 7")
    phone.mend()
    phone.at("outbox-link").click(timeout=WAIT_MS)
    entry = phone.at("outbox-entry")
    expect(entry).to_have_attribute("data-state", "conflict", timeout=3 * WAIT_MS)
    expect(entry).to_contain_text("Đội 7")
    assert "start" not in ops_of(city, incident)
    phone.at("outbox-again").click()
    expect(entry).to_have_count(0, timeout=WAIT_MS)
    assert ops_of(city, incident).count("start") == 1


def test_what_the_service_refuses_says_why_and_waits_to_be_dropped(new_phone: OpenPhone, city: City) -> None:
    incident = city.raise_incident(WARD)
    phone = new_phone().open().ready()
    phone.show(incident)
    phone.cut()
    phone.at("do-comment").click()
    phone.at("note").fill("x" * 3_999)
    phone.page.route(
        "**/commands", lambda route: route.fulfill(status=422, json={"errors": [{"detail": "Không hợp lệ"}]})
    )
    phone.at("confirm").click()
    phone.mend()
    phone.at("outbox-link").click(timeout=WAIT_MS)
    expect(phone.at("outbox-entry")).to_have_attribute("data-state", "refused", timeout=3 * WAIT_MS)
    expect(phone.at("outbox-entry")).to_contain_text("Không hợp lệ")
    phone.at("outbox-drop").click()
    expect(phone.at("outbox-entry")).to_have_count(0)


def test_leaving_with_unsent_work_asks_first_and_then_leaves_nothing(
    new_phone: OpenPhone, city: City
) -> None:
    incident = city.raise_incident(WARD)
    phone = new_phone("ward").open().ready()
    phone.page.route("**/commands", lambda route: route.abort())
    phone.page.route(
        "**/api/v1/session",
        lambda route: route.fulfill(status=204) if route.request.method == "DELETE" else route.continue_(),
    )
    phone.show(incident)
    phone.at("do-acknowledge").click()
    expect(phone.at("outbox-link")).to_be_visible()
    phone.at("do-comment").click()
    phone.at("note").fill("Ông Ba 0903…")
    until(phone.page, f"async () => await ({COUNT})(['ioc-ward-drafts', 'drafts']) === 1")
    phone.log_out()
    expect(phone.at("leave-unsent")).to_contain_text("Còn 2 việc chưa gửi")
    phone.at("leave-anyway").click()
    expect(phone.at("login-submit")).to_be_visible()
    kept = [("ioc-ward", name) for name in ("kept", "procedures", "outbox")] + [("ioc-ward-drafts", "drafts")]
    assert [phone.page.evaluate(COUNT, place) for place in kept] == [0, 0, 0, 0]


def test_work_is_never_sent_as_somebody_else_who_logged_in_meanwhile(
    new_phone: OpenPhone, city: City
) -> None:
    incident = city.raise_incident(WARD)
    phone = new_phone().open().ready()
    phone.show(incident)
    phone.cut()
    phone.at("do-acknowledge").click()
    expect(phone.at("outbox-link")).to_be_visible()
    name, _, value = city.headers("supervisor")["cookie"].partition("=")
    phone.page.context.add_cookies([{"name": name, "value": value, "url": city.url}])
    with phone.page.expect_response("**/commands", timeout=3 * WAIT_MS) as answered:
        phone.mend()
    assert answered.value.status == 403
    assert answered.value.json()["errors"][0]["rule"] == "other_user"
    expect(phone.at("login-submit")).to_be_visible()
    assert "acknowledge" not in ops_of(city, incident)
    assert phone.page.evaluate(COUNT, ["ioc-ward", "outbox"]) == 1, "it waits for whoever did it"


def test_two_tabs_of_a_phone_keep_each_others_work(new_phone: OpenPhone, city: City) -> None:
    first, second = city.raise_incident(WARD), city.raise_incident(WARD)
    phone = new_phone().open().ready()
    other = Phone(phone.page.context.new_page(), city.url).open()
    phone.page.context.route("**/commands", lambda route: route.abort())
    for tab, incident in ((phone, first), (other, second)):
        tab.page.bring_to_front()
        tab.show(incident)
        tab.at("do-acknowledge").click()
        expect(tab.at("outbox-link")).to_be_visible()
    expect(other.at("outbox-link")).to_contain_text("2 việc chờ gửi")
    assert phone.page.evaluate(COUNT, ["ioc-ward", "outbox"]) == 2


def test_a_phone_that_cannot_keep_what_is_done_says_so(new_phone: OpenPhone, city: City) -> None:
    incident = city.raise_incident(WARD)
    phone = new_phone()
    phone.page.add_init_script(
        """const put = IDBObjectStore.prototype.put
        IDBObjectStore.prototype.put = function (...given) {
          if (this.name === 'outbox') throw new DOMException('full', 'QuotaExceededError')
          return put.apply(this, given)
        }"""
    )
    phone.open().show(incident)
    phone.at("do-acknowledge").click()
    expect(phone.at("not-kept")).to_contain_text("Máy không lưu được")
    assert "acknowledge" not in ops_of(city, incident)


def test_one_incident_that_fails_holds_up_no_other(new_phone: OpenPhone, city: City) -> None:
    failing, other = city.raise_incident(WARD), city.raise_incident(WARD)
    phone = new_phone().open()
    phone.page.route(f"**/incidents/{failing}/commands", lambda route: route.fulfill(status=500, json={}))
    for incident in (failing, other):
        phone.show(incident)
        phone.at("do-acknowledge").click()
        phone.at("back").click()
    expect(phone.at("section-doing").locator(f'[data-incident-id="{other}"]')).to_be_visible(
        timeout=2 * WAIT_MS
    )
    expect(phone.at("outbox-link")).to_contain_text("1 việc chờ gửi")


def test_logging_out_without_a_network_ends_the_session_once_there_is_one(
    new_phone: OpenPhone, city: City
) -> None:
    city.forget("ward")
    phone = new_phone()
    city.forget("ward")
    phone.open().ready()
    phone.cut()
    phone.log_out()
    expect(phone.at("login-submit")).to_be_visible(timeout=WAIT_MS)
    phone.mend()
    with phone.page.expect_response(lambda answer: answer.request.method == "DELETE"):
        phone.page.reload()
    expect(phone.at("login-submit")).to_be_visible(timeout=WAIT_MS)
    session = phone.page.request.get(f"{city.url}/api/v1/session")
    assert session.status == 401


def test_a_gateway_without_a_service_behind_it_opens_the_kept_page(new_phone: OpenPhone, city: City) -> None:
    phone = new_phone().open().ready()
    phone.page.context.route(
        "**/ward",
        lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Bad gateway</h1>"),
    )
    phone.page.goto(f"{city.url}/ward")
    expect(phone.at("section-new")).to_be_visible(timeout=WAIT_MS)


def test_large_text_needs_no_sideways_scrolling(new_phone: OpenPhone, city: City) -> None:
    phone = new_phone().open()
    expect(phone.item(city.incident)).to_be_visible(timeout=WAIT_MS)
    phone.page.evaluate("() => { document.documentElement.style.fontSize = '200%' }")
    fits = "() => document.documentElement.scrollWidth <= innerWidth"
    assert phone.page.evaluate(fits)
    phone.show(city.incident)
    expect(phone.page.locator("#why-title")).to_be_visible()
    assert phone.page.evaluate(fits)


def test_a_phone_without_a_network_says_how_old_its_list_is(new_phone: OpenPhone, city: City) -> None:
    incident = city.raise_incident(WARD)
    phone = new_phone().open().ready()
    expect(phone.item(incident)).to_be_visible(timeout=WAIT_MS)
    phone.keeps(incident)
    phone.cut()
    phone.page.reload()
    expect(phone.item(incident)).to_be_visible(timeout=WAIT_MS)
    expect(phone.at("link")).to_contain_text("Danh sách của")


def test_it_can_be_installed(new_phone: OpenPhone, city: City) -> None:
    phone = new_phone().open().ready()
    manifest = phone.page.evaluate(
        "() => fetch(document.querySelector('link[rel=manifest]').href).then((r) => r.json())"
    )
    assert (manifest["start_url"], manifest["scope"], manifest["display"]) == ("/ward", "/ward", "standalone")
    for icon in manifest["icons"]:
        assert (
            phone.page.evaluate("src => fetch(src).then((r) => r.headers.get('content-type'))", icon["src"])
            == "image/png"
        )
    worker = phone.page.request.get(f"{city.url}/ward-sw.js")
    assert worker.headers["cache-control"] == "no-cache"
    kept = phone.page.evaluate(
        "async () => (await (await caches.open((await caches.keys())[0])).keys()).map(({ url }) => url)"
    )
    assert kept
    assert not [url for url in kept if "/api/" in url], "what the service says is not the worker's to keep"


def test_a_phone_keeps_no_map() -> None:
    names = re.findall(r"assets/[^\"]+\.js", (DIST / "ward-sw.js").read_text())
    assert [name for name in names if "Outbox" in name]
    assert [name for name in names if "/Login-" in name]
    assert not [name for name in names if re.search("basemap|controller|maplibre|SpotMap", name)]


@pytest.mark.parametrize(("theme", "lang"), list(itertools.product(["dark", "light"], ["vi", "en"])))
def test_axe_finds_nothing_serious_and_every_target_is_large(
    new_phone: OpenPhone, city: City, theme: str, lang: str
) -> None:
    phone = new_phone(theme=theme, tools=True)
    phone.page.add_init_script(f"localStorage.setItem('ioc.lang', '{lang}')")
    phone.open()
    expect(phone.item(city.incident)).to_be_visible(timeout=WAIT_MS)
    assert violations(phone.page) == []
    phone.show(city.incident)
    phone.at("do-comment").click()
    assert violations(phone.page) == []
    small = phone.page.evaluate(
        """() => [...document.querySelectorAll('header .button, .actions .button, .item')]
          .map((element) => element.getBoundingClientRect())
          .filter(({ height, width }) => height < 44 || width < 44).length"""
    )
    assert small == 0
    assert phone.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), (
        "sideways scrolling"
    )


def scripts_of(phone: Phone) -> list[Path]:
    """Every script the page has asked for so far."""
    names = phone.page.evaluate(
        "() => performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname)"
    )
    return sorted({DIST / name[1:] for name in names if name.endswith((".js", ".mjs"))})


def test_a_detail_online_loads_no_more_script_than_the_page_may_have(
    new_phone: OpenPhone, city: City
) -> None:
    incident = city.incident
    phone = new_phone().open()
    phone.show(incident)
    expect(phone.at("show-history")).to_be_visible(timeout=WAIT_MS)
    scripts = scripts_of(phone)
    assert any("ward" in script.name for script in scripts)
    assert any("Online" in script.name for script in scripts)
    assert sum(len(gzip.compress(script.read_bytes())) for script in scripts) < MOST_SCRIPT_BYTES
    phone.at("show-history").click()
    expect(phone.page.locator("#history-title")).to_be_visible(timeout=WAIT_MS)


def test_a_map_is_drawn_when_it_is_asked_for_and_not_before(new_phone: OpenPhone, city: City) -> None:
    incident = city.incident
    phone = new_phone().open()
    phone.show(incident)
    assert not [script for script in scripts_of(phone) if "basemap" in script.name]
    phone.at("show-map").click()
    expect(phone.at("spot-map")).to_have_attribute("data-ready", "true", timeout=2 * WAIT_MS)
    expect(phone.page.locator(".spot")).to_have_count(1)
    assert [script for script in scripts_of(phone) if "basemap" in script.name]
    phone.at("show-map").click()
    expect(phone.at("spot-map")).to_have_count(0)


def test_the_phones_place_is_asked_for_on_a_tap_and_neither_kept_nor_sent(
    new_phone: OpenPhone, city: City
) -> None:
    incident = city.incident
    found = city.get(f"/incidents/{incident}")
    phone = new_phone(
        geolocation={"longitude": found["lon"], "latitude": found["lat"] + 0.0112345},
        permissions=["geolocation"],
    )
    phone.page.add_init_script(
        """window.asked = 0
        const real = navigator.geolocation.getCurrentPosition.bind(navigator.geolocation)
        navigator.geolocation.getCurrentPosition = (...given) => { window.asked += 1; real(...given) }"""
    )
    told: list[str] = []
    phone.page.on("request", lambda request: told.append(f"{request.url} {request.post_data or ''}"))
    phone.page.on(
        "websocket", lambda socket: socket.on("framesent", lambda payload: told.append(str(payload)))
    )
    phone.open().show(incident)
    assert phone.page.evaluate("() => window.asked") == 0
    phone.at("locate").click()
    expect(phone.at("away")).to_have_text("Cách 1,2 km", timeout=WAIT_MS)
    phone.at("back").click()
    expect(phone.item(incident).get_by_test_id("away")).to_have_text("Cách 1,2 km")
    assert phone.page.evaluate("() => window.asked") == 1
    phone.keeps(incident)
    place = str(found["lat"] + 0.0112345)[:9]
    kept = phone.page.evaluate(
        "async (base) => {"
        + OPENED
        + """
          const rows = []
          for (const name of db.objectStoreNames)
            rows.push(await answer(db.transaction(name).objectStore(name).getAll()))
          db.close()
          return JSON.stringify([rows, { ...localStorage }, { ...sessionStorage }])
        }""",
        "ioc-ward",
    )
    assert incident in kept
    assert place not in kept
    assert told
    assert not [each for each in told if place in each]


def test_a_refused_place_says_what_to_do(new_phone: OpenPhone) -> None:
    phone = new_phone().open()
    phone.page.evaluate(
        """() => {
          navigator.geolocation.getCurrentPosition = (_, failed) => failed({ code: 1 })
        }"""
    )
    phone.at("locate").click()
    expect(phone.at("located")).to_contain_text("Hãy cho phép")


def test_what_ended_earlier_in_the_day_is_among_what_is_done(new_phone: OpenPhone, city: City) -> None:
    incident = city.incident
    midnight = datetime.now(ZoneInfo("Asia/Ho_Chi_Minh")).replace(hour=0, minute=0, second=0, microsecond=0)
    # The feed begins with the last hour: this one it has never told of.
    earlier = city.get(f"/incidents/{incident}") | {
        "id": "inc-earlier",
        "handling": "resolved",
        "resolved": midnight.isoformat(),
    }
    yesterday = earlier | {
        "id": "inc-yesterday",
        "resolved": (midnight - timedelta(seconds=1)).isoformat(),
    }
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(parse_qs(urlsplit(route.request.url).query)["ended_since"][0])
        route.fulfill(json={"items": [earlier, yesterday], "next": None})

    phone = new_phone()
    phone.page.route("**/api/v1/incidents?*ended_since*", answer)
    phone.open()
    done = phone.at("section-done")
    expect(done.locator('[data-incident-id="inc-earlier"]')).to_be_visible(timeout=WAIT_MS)
    expect(done.locator('[data-incident-id="inc-yesterday"]')).to_have_count(0)
    assert datetime.fromisoformat(asked[0]) == midnight
    real = city.get(f"/incidents?state=all&ended_since={midnight.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    assert all(item["resolved"] or item["closed"] for item in real["items"])


def test_without_a_network_devices_are_called_by_their_names(new_phone: OpenPhone, city: City) -> None:
    incident = city.incident
    source = city.get(f"/incidents/{incident}")["source"]
    name = next(device["name"] for device in city.get("/devices")["items"] if device["id"] == source)
    assert name != source
    phone = new_phone().open().ready()
    expect(phone.item(incident)).to_contain_text(name, timeout=WAIT_MS)
    phone.keeps(incident)
    until(
        phone.page,
        f"async (source) => (await ({LIST})('ioc-ward'))?.devices.some(({{ id }}) => id === source)",
        source,
    )
    phone.cut()
    phone.page.reload()
    expect(phone.item(incident)).to_contain_text(name, timeout=WAIT_MS)
