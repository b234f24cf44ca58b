"""Many sets of areas asked at once: which of them contain a point."""

from collections.abc import Sequence

from ioc.geo.grid import Coordinates, Cover
from ioc.geo.index import AreaSet


class Fences:
    """Immutable. The answer for one set is that of `AreaSet.contains`; more sets do not cost more."""

    def __init__(self, sets: Sequence[AreaSet]) -> None:
        """Index `sets`; answers name them by their position."""
        polygons = {id(shape): shape for chosen in sets for shape in chosen.shapes}
        numbers = {key: number for number, key in enumerate(polygons)}
        members: list[list[int]] = [[] for _ in polygons]
        for position, chosen in enumerate(sets):
            for shape in chosen.shapes:
                members[numbers[id(shape)]].append(position)
        self._members = [frozenset(found) for found in members]
        self._cover = Cover(list(polygons.values()))

    def containing(self, lon: Coordinates, lat: Coordinates) -> dict[int, frozenset[int]]:
        """Return the sets that contain each point; points in none are left out.

        Args:
            lon: degrees east, shape (n,), NaN where unknown.
            lat: degrees north, shape (n,).
        """
        found: dict[int, frozenset[int]] = {}
        points, polygons = self._cover.pairs(lon, lat)
        for point, polygon in zip(points.tolist(), polygons.tolist(), strict=True):
            before = found.get(point)
            members = self._members[polygon]
            found[point] = members if before is None else before | members
        return found
