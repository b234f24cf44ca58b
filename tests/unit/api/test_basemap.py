"""Files dropped in as a ground: found, served in parts, and nothing else of their folder."""

import os
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from ioc.api.basemap import BASEMAP_PATH, Basemap, BasemapFiles, BasemapKind, dropped_in
from ioc.api.headers import content_security_policy

PART = {"Range": "bytes=0-6"}


def client_of(folder: Path) -> httpx.AsyncClient:
    app = Starlette(routes=[Mount(BASEMAP_PATH, BasemapFiles(folder))])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://city")


def test_the_newest_file_is_the_ground_and_a_changed_one_has_another_address(tmp_path: Path) -> None:
    assert dropped_in(tmp_path / "absent") is None
    assert dropped_in(tmp_path) is None
    for name, changed_s in (("new.pmtiles", 2_000), ("old.pmtiles", 1_000), ("newest.txt", 3_000)):
        (tmp_path / name).write_bytes(b"PMTiles")
        os.utime(tmp_path / name, (changed_s, changed_s))
    (tmp_path / "folder.pmtiles").mkdir()
    found = dropped_in(tmp_path)
    assert found is not None
    assert found.url.startswith("/basemap/new.pmtiles?v=")
    assert found.origin is None
    os.utime(tmp_path / "new.pmtiles", (2_001, 2_001))
    changed = dropped_in(tmp_path)
    assert changed is not None
    assert changed.url != found.url


async def test_a_part_is_served_and_may_be_kept(tmp_path: Path) -> None:
    (tmp_path / "city.pmtiles").write_bytes(b"PMTiles" + bytes(100))
    async with client_of(tmp_path) as client:
        answer = await client.get("/basemap/city.pmtiles?v=1", headers=PART)
        assert (answer.status_code, answer.content) == (206, b"PMTiles")
        assert answer.headers["content-range"] == "bytes 0-6/107"
        assert "immutable" in answer.headers["cache-control"]
        head = await client.head("/basemap/city.pmtiles")
        assert (head.status_code, head.headers["content-length"]) == (200, "107")


async def test_a_whole_file_is_refused_with_what_to_ask_for(tmp_path: Path) -> None:
    (tmp_path / "city.pmtiles").write_bytes(b"PMTiles")
    async with client_of(tmp_path) as client:
        answer = await client.get("/basemap/city.pmtiles")
        assert answer.status_code == 400
        assert "Range" in answer.text


@pytest.mark.parametrize(
    "name", ["secret.txt", "../secret.pmtiles", "%2e%2e/secret.pmtiles", "a/b.pmtiles", "", "x.pmtiles%00"]
)
async def test_nothing_else_of_the_folder_or_beside_it_is_served(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "basemap"
    folder.mkdir()
    (folder / "secret.txt").write_text("s")
    (tmp_path / "secret.pmtiles").write_text("s")
    async with client_of(folder) as client:
        assert (await client.get(f"/basemap/{name}", headers=PART)).status_code == 404


async def test_only_reading_is_answered(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        answer = await client.post("/basemap/city.pmtiles")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_pages_may_ask_the_tiles_host_and_no_other() -> None:
    tiles = Basemap(kind=BasemapKind.RASTER, url="https://tiles.example.org:8443/{z}/{x}/{y}.png?key=1")
    assert tiles.origin == "https://tiles.example.org:8443"
    assert "connect-src 'self' https://tiles.example.org:8443;" in content_security_policy(tiles.origin)
    assert "connect-src 'self';" in content_security_policy(None)
