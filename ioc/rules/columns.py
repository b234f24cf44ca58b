"""Events of one type and run as columns, each built once, when a rule first asks for it."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ioc.geo.fences import Fences
from ioc.geo.index import AreaSet
from ioc.model.events import Event
from ioc.rules.predicate import Mask, Predicate
from ioc.rules.predicate.ast import Field, Kind
from ioc.rules.predicate.values import as_number, field_reader, raw_reader

FEW = 6
"""Up to so many events the closures are quicker than building columns. Both give the same answers."""


class EventColumns:
    """Columns over `events`, which all have one type. Positions count within the run."""

    def __init__(
        self, events: Sequence[Event], positions: Sequence[int], times_us: NDArray[np.int64]
    ) -> None:
        self.events = events
        self.positions = positions
        self.times_us = times_us
        self.oldest_us = int(times_us.min())
        self.broken: dict[str, dict[int, Exception]] = {}
        """By predicate text: position in the run → what evaluating it there raised."""
        self._numbers: dict[str, NDArray[np.float64]] = {}
        self._objects: dict[tuple[str, Kind], list[Any]] = {}
        self._masks: dict[str, Mask] = {}
        self._scopes: dict[tuple[int, frozenset[str] | None], Mask] = {}
        self._rows_by: dict[str, dict[str | None, list[int]]] = {}

    @property
    def size(self) -> int:
        """Events."""
        return len(self.events)

    def numbers(self, field: Field) -> NDArray[np.float64]:
        """Return the field as float64, NaN where missing."""
        column = self._numbers.get(field.name)
        if column is None:
            column = self._numbers[field.name] = self._read_numbers(field)
        return column

    def _read_numbers(self, field: Field) -> NDArray[np.float64]:
        if field.key is None:
            # declared numbers: None becomes NaN on conversion
            path = attrgetter(field.attr if field.scope == "event" else f"data.{field.attr}")
            return np.array([path(event) for event in self.events], dtype=np.float64)
        read = raw_reader(field)
        return np.array([as_number(read(event)) for event in self.events], dtype=np.float64)

    def objects(self, field: Field) -> list[Any]:
        """Return the field's texts or truths, None where missing."""
        key = (field.name, field.kind)
        column = self._objects.get(key)
        if column is None:
            read = field_reader(field) if field.key is not None else raw_reader(field)
            column = self._objects[key] = [read(event) for event in self.events]
        return column

    def holds(self, predicate: Predicate) -> Mask:
        """Return the mask of events that make `predicate` true; one evaluation per batch and text."""
        mask = self._masks.get(predicate.text)
        if mask is None:
            try:
                if self.size <= FEW:
                    mask = np.array([predicate.test(event) for event in self.events], dtype=np.bool_)
                else:
                    mask = predicate.mask(self)
            except Exception:
                mask = self._one_by_one(predicate)
            self._masks[predicate.text] = mask
        return mask

    def _one_by_one(self, predicate: Predicate) -> Mask:
        """Find the events that make the predicate raise: they count as true, so that they reach `broken`."""
        mask = np.ones(self.size, dtype=np.bool_)
        broken = self.broken.setdefault(predicate.text, {})
        for index, event in enumerate(self.events):
            try:
                mask[index] = predicate.test(event)
            except Exception as error:
                broken[self.positions[index]] = error
        return mask

    def within(self, fence: AreaSet | None, wards: frozenset[str] | None) -> Mask | None:
        """Return the mask of events in the fence and wards; None where neither is asked."""
        if fence is None and wards is None:
            return None
        key = (id(fence), wards)
        mask = self._scopes.get(key)
        if mask is None:
            mask = np.ones(self.size, dtype=np.bool_)
            if wards is not None:
                mask &= np.array([event.ward in wards for event in self.events], dtype=np.bool_)
            if fence is not None:
                mask &= fence.contains(self.numbers(LON), self.numbers(LAT))
            self._scopes[key] = mask
        return mask

    def inside(self, fence: AreaSet | None, wards: frozenset[str] | None, rows: Sequence[int]) -> list[int]:
        """Return those of `rows` (places in the columns) in the fence and wards; the same as `within`."""
        events = self.events
        if wards is not None:
            rows = [row for row in rows if events[row].ward in wards]
        if fence is None or not rows:
            return list(rows)
        if len(rows) <= FEW:
            return [row for row in rows if fence.contains_one(events[row].lon, events[row].lat)]
        hits = fence.contains(self.numbers(LON)[rows], self.numbers(LAT)[rows])
        return [row for row, hit in zip(rows, hits.tolist(), strict=True) if hit]

    def containing(self, fences: Fences, rows: Sequence[int]) -> dict[int, frozenset[int]]:
        """Return which of `fences` contain the events of `rows`; those in none are left out."""
        found = fences.containing(self.numbers(LON)[rows], self.numbers(LAT)[rows])
        return {rows[place]: numbers for place, numbers in found.items()}

    def rows_by(self, name: str, keys: Sequence[str | None]) -> dict[str | None, list[int]]:
        """Return the rows of each key; `keys` has one for each event of the run and is called `name`."""
        by_key = self._rows_by.get(name)
        if by_key is None:
            by_key = self._rows_by[name] = {}
            for row, position in enumerate(self.positions):
                key = keys[position]
                if key in by_key:
                    by_key[key].append(row)
                else:
                    by_key[key] = [row]
        return by_key


LON = Field("lon", "event", "lon", Kind.NUMBER)
LAT = Field("lat", "event", "lat", Kind.NUMBER)
