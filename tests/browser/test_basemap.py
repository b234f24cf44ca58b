"""The ground under the map: ours, an operator's file, or ours again where that file is not what it says."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.city import City
from tests.browser.conftest import OpenConsole, OpenVisit
from tests.browser.console import WAIT_MS, Console
from tests.browser.tiles import SPRATLY, write_pmtiles

OURS = ("Quần đảo Hoàng Sa (Việt Nam)", "Quần đảo Trường Sa (Việt Nam)")


@pytest.fixture
def folder(city: City) -> Iterator[Path]:
    """The folder that base maps are dropped into, empty again afterwards."""
    found = city.service.data / "basemap"
    found.mkdir(exist_ok=True)
    yield found
    for path in found.iterdir():
        path.unlink()


def bounds_of(city: City) -> tuple[float, float, float, float]:
    west, south, east, north = city.get("/city")["bounds"]
    return west, south, east, north


def layers_of(console: Console) -> list[str]:
    found: list[str] = console.page.evaluate("() => window.__ioc.map.getStyle().layers.map(({ id }) => id)")
    return found


def look_at(console: Console, lon: float, lat: float, zoom: float) -> None:
    console.page.evaluate(
        "([lon, lat, zoom]) => window.__ioc.map.jumpTo({ center: [lon, lat], zoom })", [lon, lat, zoom]
    )
    console.page.wait_for_function(
        "() => window.__ioc.map.loaded() && window.__ioc.map.areTilesLoaded()", timeout=2 * WAIT_MS
    )


def test_without_a_file_our_own_streets_are_drawn_and_both_archipelagos_named(
    new_console: OpenConsole,
) -> None:
    console = new_console(drawn=True).open().wait_map()
    assert console.rendered_ids("road-trunk", "class")
    assert not [layer for layer in layers_of(console) if layer.startswith("basemap")]
    look_at(console, 113, 13, 5)
    assert console.rendered_ids("archipelagos", "name") == set(OURS)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_a_dropped_in_file_is_the_ground_with_its_owner_named(
    new_console: OpenConsole, city: City, folder: Path, theme: str
) -> None:
    write_pmtiles(folder / "city.pmtiles", bounds_of(city))
    console = new_console(drawn=True, theme=theme).open().wait_map()
    west, south, east, north = bounds_of(city)
    look_at(console, (west + east) / 2, (south + north) / 2, 9)
    assert console.rendered_ids("basemap-main", "kind") == {"highway"}
    assert "road-trunk" not in layers_of(console), "two drawings of the same streets"
    expect(console.at("map-credit")).to_have_text("© Người đo vẽ")
    assert console.page.locator("[data-testid=map-credit] a").count() == 0, "a file's markup is not ours"


def test_borders_countries_and_foreign_names_of_the_archipelagos_are_never_drawn(
    new_console: OpenConsole, city: City, folder: Path
) -> None:
    write_pmtiles(folder / "city.pmtiles", bounds_of(city))
    console = new_console(drawn=True).open().wait_map()
    west, south, east, north = bounds_of(city)
    look_at(console, (west + east) / 2, (south + north) / 2, 13)
    assert console.rendered_ids("basemap-quarters", "name") == {"Khu phố lạ"}
    look_at(console, *SPRATLY, 13)
    assert console.rendered_ids("basemap-water", "kind") == {"lake"}, "the tile is there"
    assert console.rendered_ids("basemap-quarters", "name") == set()
    drawn = console.page.evaluate(
        "() => window.__ioc.map.getStyle().layers.map((layer) => layer['source-layer'])"
    )
    assert "boundaries" not in drawn
    look_at(console, 113, 13, 5)
    assert console.rendered_ids("archipelagos", "name") == set(OURS)


def test_pictures_of_streets_are_a_ground_too(new_console: OpenConsole, city: City, folder: Path) -> None:
    write_pmtiles(folder / "city.pmtiles", bounds_of(city), raster=True)
    console = new_console(drawn=True).open().wait_map()
    assert "basemap-raster" in layers_of(console)
    assert console.at("ground-lost").count() == 0


@pytest.mark.parametrize("wrong", ["no tiles", "other layers"])
def test_a_file_that_is_no_base_map_leaves_our_own_ground_and_says_so(
    new_console: OpenConsole, city: City, folder: Path, wrong: str
) -> None:
    if wrong == "no tiles":
        (folder / "city.pmtiles").write_bytes(b"PMTiles, but not really" * 100)
    else:
        write_pmtiles(folder / "city.pmtiles", bounds_of(city), layers=("strasse",))
    console = new_console(drawn=True).open().wait_map()
    expect(console.at("ground-lost")).to_contain_text("Không tải được nền bản đồ")
    assert console.rendered_ids("road-trunk", "class")
    assert all(complaint.startswith("basemap") for complaint in console.complaints)
    console.complaints.clear()


def test_a_citizen_finds_the_place_on_the_same_ground(visit: OpenVisit, city: City, folder: Path) -> None:
    write_pmtiles(folder / "city.pmtiles", bounds_of(city))
    page = visit().page
    page.goto(f"{city.url}/report")
    page.get_by_test_id("open-map").click()
    expect(page.get_by_test_id("place-map")).to_have_attribute("data-ready", "true", timeout=2 * WAIT_MS)
    expect(page.get_by_test_id("place-map")).to_contain_text("© Người đo vẽ")
