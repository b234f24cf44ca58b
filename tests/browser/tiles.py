"""Base maps made for tests: PMTiles whose tiles we draw ourselves."""

import io
import math
from pathlib import Path
from typing import Any

import mapbox_vector_tile
from PIL import Image
from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer

EXTENT = 4096
LARGEST_ZOOM = 9
CREDIT = '<a href="https://example.org">© Người đo vẽ</a>'
SPRATLY = (114.2, 10.1)
"""Where foreign tiles carry a name that is not ours to show."""

_WHOLE = [[0, 0], [EXTENT, 0], [EXTENT, EXTENT], [0, EXTENT], [0, 0]]
_ACROSS = {"type": "LineString", "coordinates": [[0, 2000], [EXTENT, 2100]]}


def _tile_of(lon: float, lat: float, zoom: int) -> tuple[int, int]:
    across = (lon + 180) / 360 * 2**zoom
    down = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * 2**zoom
    return int(across), int(down)


def _protomaps_tile() -> bytes:
    """A tile full of everything, also of what must not be drawn."""
    everywhere = {
        "type": "MultiPoint",
        "coordinates": [[x, y] for x in range(64, EXTENT, 128) for y in range(64, EXTENT, 128)],
    }
    layers = {
        "roads": [(_ACROSS, {"kind": "highway", "name": "Đại lộ Bình Dương"})],
        "water": [({"type": "Polygon", "coordinates": [_WHOLE]}, {"kind": "lake"})],
        "boundaries": [(_ACROSS, {"kind": "country"})],
        "places": [
            (everywhere, {"kind": "neighbourhood", "name": "Khu phố lạ"}),
            (everywhere, {"kind": "country", "name": "Nước lạ"}),
        ],
    }
    encoded: bytes = mapbox_vector_tile.encode(
        [
            {"name": name, "features": [{"geometry": g, "properties": p} for g, p in features]}
            for name, features in layers.items()
        ]
    )
    return encoded


def _grey_tile() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (256, 256), (120, 140, 120)).save(buffer, "PNG")
    return buffer.getvalue()


def write_pmtiles(
    path: Path,
    bounds: tuple[float, float, float, float],
    *,
    raster: bool = False,
    layers: tuple[str, ...] = (),
) -> None:
    """Write a file whose tiles cover `bounds` (west, south, east, north) and the Spratly islands.

    `layers` are the names that the file says its vector tiles have.
    """
    west, south, east, north = bounds
    tile = _grey_tile() if raster else _protomaps_tile()
    wanted = set()
    for zoom in range(LARGEST_ZOOM + 1):
        left, top = _tile_of(west, north, zoom)
        right, bottom = _tile_of(east, south, zoom)
        wanted |= {(zoom, x, y) for x in range(left, right + 1) for y in range(top, bottom + 1)}
        wanted.add((zoom, *_tile_of(*SPRATLY, zoom)))
    about: dict[str, Any] = {"attribution": CREDIT}
    if not raster:
        about["vector_layers"] = [
            {"id": name, "fields": {}} for name in layers or ("roads", "water", "places")
        ]
    with path.open("wb") as file:
        writer = Writer(file)
        for tile_id in sorted(zxy_to_tileid(*each) for each in wanted):
            writer.write_tile(tile_id, tile)
        writer.finalize(
            {
                "version": 3,
                "tile_type": TileType.PNG if raster else TileType.MVT,
                "tile_compression": Compression.NONE,
                "min_zoom": 0,
                "max_zoom": LARGEST_ZOOM,
                "min_lon_e7": -1800000000,
                "min_lat_e7": -850000000,
                "max_lon_e7": 1800000000,
                "max_lat_e7": 850000000,
                "center_zoom": 0,
                "center_lon_e7": 0,
                "center_lat_e7": 0,
            },
            about,
        )
