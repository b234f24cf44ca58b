"""The ground under the map: PMTiles files that an operator drops in, or tiles from elsewhere.

Without either, consoles draw the city's own areas and roads. What is named here is no secret: citizens' pages
show it too.
"""

import re
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import msgspec
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

BASEMAP_PATH: Final = "/basemap"
_NAME: Final = re.compile(r"[\w.-]+\.pmtiles", re.ASCII)
_METHODS: Final = ("GET", "HEAD")
_MOST_FILES: Final = 100
# Addresses carry the file's version, so what they name never changes.
_CACHE: Final = "public, max-age=31536000, immutable"


class BasemapKind(StrEnum):
    """What lies at a basemap's address."""

    PMTILES = "pmtiles"
    RASTER = "raster"
    VECTOR = "vector"


class TileSchema(StrEnum):
    """How vector tiles name their layers: as Protomaps or as OpenMapTiles does."""

    PROTOMAPS = "protomaps"
    OPENMAPTILES = "openmaptiles"


class Basemap(msgspec.Struct, frozen=True, kw_only=True):
    """A ground that a map can load. PMTiles say themselves what is in them; for tiles the rest counts."""

    kind: BasemapKind
    url: str
    """Of tiles a template with `{z}`, `{x}` and `{y}`."""
    attribution: str = ""
    """Text, shown on the map; of PMTiles, empty means what the file says."""
    schema: TileSchema = TileSchema.PROTOMAPS
    max_zoom: int = 14
    """The closest zoom there are tiles of."""

    @property
    def origin(self) -> str | None:
        """Scheme and host that browsers must be allowed to ask; None for our own."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}" if parts.netloc else None


def dropped_in(folder: Path) -> Basemap | None:
    """Return the newest PMTiles file of `folder`, None where there is none.

    Looks at no more than 100 names.
    """
    found: list[tuple[int, str]] = []
    try:
        for path in sorted(folder.iterdir())[:_MOST_FILES]:
            if _NAME.fullmatch(path.name) and path.is_file():
                found.append((path.stat().st_mtime_ns, path.name))
    except OSError:
        return None
    if not found:
        return None
    changed_ns, name = max(found)
    return Basemap(kind=BasemapKind.PMTILES, url=f"{BASEMAP_PATH}/{quote(name)}?v={changed_ns:x}")


class BasemapFiles:
    """Serves the PMTiles files of one folder, in ranges, and nothing else of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer GET and HEAD.

        Raises:
            HTTPException: 404, there is no such file; 405, another method; 400, a whole file is asked for.
        """
        if scope["method"] not in _METHODS:
            raise HTTPException(405, headers={"Allow": ", ".join(_METHODS)})
        name = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
        path = self._folder / name
        if not _NAME.fullmatch(name) or not path.is_file():
            raise HTTPException(404)
        if scope["method"] == "GET" and "range" not in Headers(scope=scope):
            # A province's streets are gigabytes, and whoever draws a map reads a few kilobytes at a time.
            raise HTTPException(400, "Ask for a part of the file with the header Range.")
        answer = FileResponse(path, media_type="application/vnd.pmtiles", headers={"Cache-Control": _CACHE})
        await answer(scope, receive, send)
