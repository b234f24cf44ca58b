"""The operator's console in a browser that draws in software: first map, frames, memory, bytes of script.

Page and API are the real service's. For the load, the page's own WebSocket is pointed at `fanout_server`,
whose entities move, and the list of devices is that server's. Frames are those the page was given by
`requestAnimationFrame`: `still` while nobody touches the map, `panning` while it moves without a rest, so
that each of them is drawn. `main_thread` is the share of time that the page's thread was busy, or waited for
the drawing. Without a GPU that is done on the same cores, so the figures are a floor. Needs Chromium and a
built console.
"""

import argparse
import gzip
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
from playwright.sync_api import Browser, CDPSession, Page, Response, sync_playwright

from benchmarks.chromium import ARGUMENTS, find_chromium
from benchmarks.fanout import feed_server
from benchmarks.fanout_server import EAST, NORTH, SOUTH, WEST
from benchmarks.machine import cpu_seconds, family, percentile
from benchmarks.service import Service, running_service

WORKLOAD = ("entities", "updates", "changes", "seconds")
WAIT_MS = 60_000
SETTLE_S = 5.0
SAMPLE_S = 5.0
"""Least time between two looks at the heap."""
NEAR_ZOOM = 13.5
"""Closer than any group of devices is drawn."""
_FIRST_MAP = """
const look = () => {
  const { map, feed } = window.__ioc ?? {}
  const drawn = map && feed.connected && map.queryRenderedFeatures({ layers: ['wards'] }).length
  if (drawn) window.__firstMapMs = performance.now()
  else setTimeout(look, 10)
}
look()
"""
_OTHER_FEED = """
window.__feed = { frames: 0, chars: 0 }
window.WebSocket = class extends WebSocket {
  constructor(url, protocols) {
    const other = new URL(url)
    other.port = '%d'
    super(other, protocols)
    this.addEventListener('message', ({ data }) => {
      window.__feed.frames += 1
      window.__feed.chars += data.length
    })
  }
}
"""
_FRAMES = """
async ([seconds, panning]) => {
  const { map } = window.__ioc
  const home = map.getCenter()
  const times = []
  const began = performance.now()
  let draws = 0
  const drawn = () => (draws += 1)
  map.on('render', drawn)
  while (performance.now() - began < seconds * 1000) {
    times.push(await new Promise(requestAnimationFrame))
    if (panning) map.setCenter([home.lng + 0.02 * Math.sin((performance.now() - began) / 1000), home.lat])
  }
  map.off('render', drawn)
  map.setCenter(home)
  return { draws, ms: times.slice(1).map((time, i) => time - times[i]) }
}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--entities", type=int, default=10_000, help="cameras and detectors that move")
    parser.add_argument("--updates", type=float, default=1_000, help="state updates a second")
    parser.add_argument("--changes", type=float, default=1, help="incident changes a second")
    parser.add_argument("--seconds", type=float, default=600, help="how long the heap is watched")
    parser.add_argument(
        "--frame-seconds", type=float, default=15, help="length of each measurement of frames"
    )
    parser.add_argument(
        "--opens", type=int, default=5, help="how often the console is opened for its first map"
    )


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Measure and return the figures.

    Raises:
        RuntimeError: no Chromium is installed.
    """
    chromium = find_chromium()
    if chromium is None:
        raise RuntimeError("no Chromium is installed: apt install chromium, or name one in IOC_CHROMIUM")
    with running_service() as service, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        found = {
            "workload": {name: getattr(arguments, name) for name in WORKLOAD},
            "browser": f"Chromium {browser.version}, software rendering, 1920x1080",
            "gzipped_script_kb": {path: _script_kb(browser, service, path) for path in ("/ward", "/board")},
            "first_map_ms": _first_maps(browser, service, arguments.opens),
            **_under_load(browser, service, arguments),
            "load_average": round(os.getloadavg()[0], 1),
        }  # fmt: skip
        browser.close()
    return found


@contextmanager
def _page(browser: Browser, service: Service, user: str, *scripts: str) -> Iterator[Page]:
    """Make a page of a browser that has nothing in its cache, logged in as `user`."""
    context = browser.new_context(
        viewport={"width": 1920, "height": 1080}, reduced_motion="reduce", bypass_csp=True
    )
    name, _, value = service.login(user)["cookie"].partition("=")
    context.add_cookies([{"name": name, "value": value, "url": service.url}])
    for script in scripts:
        context.add_init_script(script)
    yield context.new_page()
    context.close()


def _script_kb(browser: Browser, service: Service, path: str) -> float:
    """Return the kB of script, gzipped, that a page loads before anybody asks for a map."""
    scripts: list[Response] = []
    with _page(browser, service, "ward") as page:
        page.on(
            "response",
            lambda answer: scripts.append(answer) if answer.request.resource_type == "script" else None,
        )
        page.goto(f"{service.url}{path}", wait_until="networkidle")
        return round(sum(len(gzip.compress(script.body())) for script in scripts) / 1000, 1)


def _first_maps(browser: Browser, service: Service, times: int) -> dict[str, float]:
    """Open the console `times` times; ms from the address to a live feed and the drawn wards.

    `browser_cpu` is what the browser's processes used meanwhile: it holds on a machine that others use too.
    """
    found: list[float] = []
    cpu_ms: list[float] = []
    for _ in range(times + 1):
        with _page(browser, service, "operator", _FIRST_MAP) as page:
            page.goto("about:blank")
            processes = [one for one in family(os.getpid()) if one.name().startswith("chrom")]
            before_s = cpu_seconds(processes)
            page.goto(service.url)
            handle = page.wait_for_function("() => window.__firstMapMs", timeout=WAIT_MS)
            cpu_ms.append((cpu_seconds(processes) - before_s) * 1000)
            found.append(handle.json_value())
    warm = found[1:]
    return {
        "median": round(statistics.median(warm)),
        "max": round(max(warm)),
        "cold": round(found[0]),
        "browser_cpu": round(statistics.median(cpu_ms[1:])),
    }


def _under_load(browser: Browser, service: Service, arguments: argparse.Namespace) -> dict[str, object]:
    with (
        feed_server(arguments.entities, "--moving", "--origin", service.url) as (_, port),
        _page(browser, service, "operator", _OTHER_FEED % port) as page,
    ):
        feed = f"http://127.0.0.1:{port}"
        devices = httpx.get(f"{feed}/devices").text
        page.route(
            "**/api/v1/devices", lambda route: route.fulfill(body=devices, content_type="application/json")
        )
        page.goto(service.url)
        page.wait_for_function(
            "() => window.__ioc?.map?.loaded() && window.__ioc.feed.connected", timeout=WAIT_MS
        )
        tools = page.context.new_cdp_session(page)
        tools.send("Performance.enable")
        offered = {"changes_per_s": arguments.changes, "states_per_s": arguments.updates}
        httpx.post(f"{feed}/load", json=offered).raise_for_status()
        views: dict[str, object] = {}
        for name, zoom in (("city", None), ("near", NEAR_ZOOM)):
            _look_at(page, zoom)
            views[name] = {
                "shown": page.evaluate("() => window.__ioc.feed.states"),
                "drawn": _drawn(page),
                "still": _frames(page, tools, arguments.frame_seconds, panning=False),
                "panning": _frames(page, tools, arguments.frame_seconds, panning=True),
            }
        _look_at(page, None)
        return {"views": views, "heap": _heap(page, tools, arguments.seconds)}


def _look_at(page: Page, zoom: float | None) -> None:
    """Show the middle of the load at `zoom`, or all of it, and wait until that is drawn."""
    if zoom is None:
        page.evaluate(
            "(box) => window.__ioc.map.fitBounds(box, { duration: 0 })", [[WEST, SOUTH], [EAST, NORTH]]
        )
    else:
        middle = [(WEST + EAST) / 2, (SOUTH + NORTH) / 2]
        page.evaluate("(to) => window.__ioc.map.jumpTo(to)", {"center": middle, "zoom": zoom})
    page.wait_for_timeout(SETTLE_S * 1000)


def _drawn(page: Page) -> dict[str, int]:
    """Return how many groups and single devices the map shows."""
    count = "(layer) => window.__ioc.map.queryRenderedFeatures({ layers: [layer] }).length"
    return {layer: page.evaluate(count, layer) for layer in ("clusters", "devices")}


def _frames(page: Page, tools: CDPSession, seconds: float, *, panning: bool) -> dict[str, float]:
    busy_s, feed, began_s = _busy_s(tools), page.evaluate("() => ({ ...window.__feed })"), time.monotonic()
    found = page.evaluate(_FRAMES, [seconds, panning])
    spent_s, ms = time.monotonic() - began_s, found["ms"]
    more = page.evaluate("() => window.__feed")
    return {
        "frames_per_s": round(len(ms) / spent_s, 1),
        "draws_per_s": round(found["draws"] / spent_s, 1),
        "p50_ms": round(percentile(ms, 0.5), 1),
        "p95_ms": round(percentile(ms, 0.95), 1),
        "p99_ms": round(percentile(ms, 0.99), 1),
        "max_ms": round(max(ms, default=0.0), 1),
        "main_thread": round((_busy_s(tools) - busy_s) / spent_s, 3),
        "feed_frames_per_s": round((more["frames"] - feed["frames"]) / spent_s, 1),
        "feed_kb_per_s": round((more["chars"] - feed["chars"]) / spent_s / 1000, 1),
    }


def _busy_s(tools: CDPSession) -> float:
    metrics = {each["name"]: each["value"] for each in tools.send("Performance.getMetrics")["metrics"]}
    busy: float = metrics["TaskDuration"]
    return busy


def _heap(page: Page, tools: CDPSession, seconds: float) -> dict[str, object]:
    """Watch what is left of the page's heap after each forced collection."""
    samples: list[tuple[float, float]] = []
    began_s = time.monotonic()
    while (at_s := time.monotonic() - began_s) < seconds or len(samples) < 2:
        tools.send("HeapProfiler.collectGarbage")
        usage: dict[str, Any] = tools.send("Runtime.getHeapUsage")
        samples.append((at_s, usage["usedSize"] / 1e6))
        page.wait_for_timeout(max(SAMPLE_S, seconds / 60) * 1000)
    settled = samples[len(samples) // 4 :]
    return {
        "start_mb": round(samples[0][1], 1),
        "end_mb": round(samples[-1][1], 1),
        "max_mb": round(max(used for _, used in samples), 1),
        "samples": len(samples),
        "slope_kb_per_min": round(slope(settled) * 60_000, 1),
    }


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the line nearest to (x, y) `samples` by least squares; 0 for fewer than two."""
    if len(samples) < 2:
        return 0.0
    found = statistics.linear_regression(*zip(*samples, strict=True))
    return found.slope
