"""Ward polygons of our own: a power diagram of the wards' centres inside a hand-drawn outline.

A power diagram is a Voronoi partition with weights; the weights are raised or lowered until each cell has
about its ward's published area. Shared edges are then displaced once, so neighbours stay exactly aligned.
"""

from collections.abc import Sequence

import msgspec
from shapely import STRtree, line_merge, polygonize, unary_union
from shapely.geometry import LineString, MultiLineString, MultiPoint, Polygon
from shapely.geometry import Point as ShapelyPoint

from simulators.city.plane import Point, distance_m, jitter, to_plane

_ROUNDS = 60
_EDGE_SHARE = 0.16
_EDGE_MIN_M = 260.0
_OUTLINE_SHARE = 0.13
_CENTRE_M = 150.0
"""No displaced edge comes nearer to a centre."""


class Ward(msgspec.Struct, frozen=True):
    """One ward of `wards.json`; `urban` runs from 0 (rural commune) to 3 (city core)."""

    code: str
    name: str
    name_en: str
    former: tuple[str, ...]
    """Wards and communes of before July 2025 that it took over, wholly or in part."""
    center: tuple[float, float]
    area_km2: int
    urban: int

    @property
    def short(self) -> str:
        """The name without `Phường` or `Xã`."""
        return self.name.split(" ", 1)[1]

    @property
    def short_en(self) -> str:
        """The English name without `Ward` or `Commune`."""
        return self.name_en.rsplit(" ", 1)[0]


def ward_polygons(wards: Sequence[Ward], outline: Sequence[Point], seed: int) -> dict[str, Polygon]:
    """Return each ward's polygon on the metre plane, keyed by code.

    Args:
        wards: every ward, any order.
        outline: the province's outline in metres, not closed.
        seed: chooses the edges' look.

    Raises:
        ValueError: a displaced edge separated a centre from its cell (choose another seed).
    """
    centres = [to_plane(ward.center) for ward in wards]
    cells = _balanced_cells(centres, [ward.area_km2 * 1e6 for ward in wards], Polygon(outline))
    edges = unary_union([cell.boundary for cell in cells], grid_size=1.0)
    merged = line_merge(edges)
    arcs = list(merged.geoms) if isinstance(merged, MultiLineString) else [merged]
    rim = Polygon(outline).exterior.buffer(3.0)
    shares = [_OUTLINE_SHARE if rim.contains(arc) else _EDGE_SHARE for arc in arcs]
    rough = _rough_arcs(arcs, shares, MultiPoint(centres), seed)
    faces = [face for face in polygonize(rough).geoms if isinstance(face, Polygon)]
    found: dict[str, Polygon] = {}
    for ward, centre in zip(wards, centres, strict=True):
        mine = [face for face in faces if face.contains(ShapelyPoint(centre))]
        if len(mine) != 1:
            raise ValueError(f"ward {ward.code} lost its centre: {len(mine)} cells contain it")
        found[ward.code] = mine[0]
    if len({id(face) for face in found.values()}) != len(wards) or len(faces) != len(wards):
        raise ValueError(f"{len(faces)} cells for {len(wards)} wards: a displaced edge crossed another")
    return found


def _rough_arcs(
    arcs: Sequence[LineString], shares: Sequence[float], centres: MultiPoint, seed: int
) -> list[LineString]:
    """Displace every arc; those that then cross something or near a centre are calmed."""
    shares = list(shares)
    rough = [_rough_arc(arc, share, seed) for arc, share in zip(arcs, shares, strict=True)]
    for _ in range(8):
        tree = STRtree(rough)
        bad = {index for index, arc in enumerate(rough) if not arc.is_simple}
        bad |= {
            index
            for index, arc in enumerate(rough)
            if Polygon([*arcs[index].coords, *reversed(arc.coords)]).buffer(_CENTRE_M).intersects(centres)
        }
        for i, j in tree.query(rough, predicate="crosses").T:
            bad |= {int(i), int(j)}
        if not bad:
            break
        for index in sorted(bad):
            shares[index] /= 2
            rough[index] = _rough_arc(arcs[index], shares[index], seed)
    return rough


def _rough_arc(arc: LineString, share: float, seed: int) -> LineString:
    points = [(round(x, 1), round(y, 1)) for x, y in arc.coords]
    return LineString(jitter(points, share=share, min_m=_EDGE_MIN_M, seed=("edge", seed)))


def _balanced_cells(centres: Sequence[Point], targets_m2: Sequence[float], within: Polygon) -> list[Polygon]:
    weights = [0.0] * len(centres)
    scale = within.area / sum(targets_m2)
    for _ in range(_ROUNDS):
        cells = [_cell(index, centres, weights, within) for index in range(len(centres))]
        for index, (cell, target) in enumerate(zip(cells, targets_m2, strict=True)):
            weights[index] += 0.25 * (target * scale - cell.area)
        _keep_centres_inside(centres, weights)
    return [_cell(index, centres, weights, within) for index in range(len(centres))]


def _keep_centres_inside(centres: Sequence[Point], weights: list[float]) -> None:
    """Limit weight differences so that each centre keeps a margin inside its own cell."""
    pairs = [
        (i, j, 0.45 * distance_m(a, b) ** 2)
        for i, a in enumerate(centres)
        for j, b in enumerate(centres)
        if i != j
    ]
    changed = True
    while changed:
        changed = False
        for i, j, gap in pairs:
            excess = weights[i] - weights[j] - gap
            if excess > 1.0:
                weights[i] -= excess / 2
                weights[j] += excess / 2
                changed = True


def _cell(index: int, centres: Sequence[Point], weights: Sequence[float], within: Polygon) -> Polygon:
    far = 200_000.0
    ring: list[Point] = [(-far, -far), (far, -far), (far, far), (-far, far)]
    x, y = centres[index]
    for other, (ox, oy) in enumerate(centres):
        if other == index:
            continue
        # Points nearer to us: |p-a|^2 - wa <= |p-b|^2 - wb, which is a half-plane nx*px + ny*py <= limit.
        nx, ny = 2 * (ox - x), 2 * (oy - y)
        limit = ox * ox + oy * oy - x * x - y * y + weights[index] - weights[other]
        ring = _clip(ring, nx, ny, limit)
    cut = Polygon(ring).intersection(within)
    if isinstance(cut, Polygon):
        return cut
    return max((part for part in cut.geoms if isinstance(part, Polygon)), key=lambda part: float(part.area))


def _clip(ring: Sequence[Point], nx: float, ny: float, limit: float) -> list[Point]:
    out: list[Point] = []
    for a, b in zip(ring, [*ring[1:], ring[0]], strict=True):
        da, db = nx * a[0] + ny * a[1] - limit, nx * b[0] + ny * b[1] - limit
        if da <= 0:
            out.append(a)
        if (da < 0 < db) or (db < 0 < da):
            t = da / (da - db)
            out.append((a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t))
    return out
