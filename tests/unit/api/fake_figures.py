"""Figures and warnings in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ioc.api.figure_ports import BrakeStanding, FigureGroup, FigureQuery, FigureReport, FigureSeries
from ioc.api.ports import NotFoundError
from ioc.incidents.figure_report import FigurePoint, Material, readings
from ioc.incidents.figures import FIGURES, Part, Source
from ioc.incidents.periods import Grain, Segment, window
from ioc.model.incidents import Incident, Severity
from ioc.model.texts import Text
from ioc.model.times import from_us
from ioc.store.figures import By
from ioc.store.incidents import CursorError
from ioc.store.warnings import StoredWarning
from tests.unit.stream.samples import T0_US, incident


def a_warning(**changes: object) -> StoredWarning:
    fields: dict[str, object] = {
        "id": "wrn-1", "rev": 1, "brake": "overdue-ward", "title": Text("Quá hạn", "Overdue"),
        "figure": "overdue", "ward": "25747", "category": None, "period": "today", "severity": Severity.HIGH,
        "stage": "crossed", "opened": from_us(T0_US), "changed": from_us(T0_US), "crossed": from_us(T0_US),
        "cleared": None, "forecast": None, "value": 11.0, "threshold": 10.0, "clear_at": 5.0, "n": 40,
        "coverage": 0.8765432, "blind": False, "role": "leader",
    }  # fmt: skip
    return StoredWarning(**(fields | changes))  # type: ignore[arg-type]


@dataclass
class FakeFigures:
    """Two incidents due, one of them done, in every scope that is asked for."""

    asked: list[tuple[FigureQuery, By]] = field(default_factory=list)
    wards: list[Sequence[str] | None] = field(default_factory=list)
    names: dict[str, Text] = field(default_factory=lambda: {"25747": Text("=Phường", "Ward")})

    async def report(self, query: FigureQuery, by: By) -> FigureReport:
        self.asked.append((query, by))
        found = window(query.period, T0_US, query.first, query.last)
        counts = {Segment.COMPARED: {Part.DUE: 2, Part.DUE_DONE: 1, Part.DETECTED: 3}}
        material = Material(counts=counts, now_us=T0_US, ages_s={Source.RULES: 2.3456})
        chosen = [FIGURES[each] for each in query.figures] or list(FIGURES.values())
        groups = [FigureGroup(None, None, readings(material, found, chosen))]
        if by is not By.NOTHING:
            keys = self.names if by is By.WARD else {"@traffic": None}
            groups += [
                FigureGroup(key, name, readings(material, found, chosen)) for key, name in keys.items()
            ]
        return FigureReport(T0_US, found, groups)

    async def series(self, figure: str, query: FigureQuery) -> FigureSeries:
        found = window(query.period, T0_US, query.first, query.last)
        return FigureSeries(T0_US, found, Grain.HOUR, [FigurePoint(found.start_us, None, 0, complete=False)])

    async def incidents(
        self, figure: str, query: FigureQuery, limit: int, cursor: str | None
    ) -> tuple[Sequence[Incident], str | None]:
        if FIGURES[figure].selection is None:
            raise NotFoundError(figure)
        if cursor == "bad":
            raise CursorError("cursor: use the `next` value of the page before, unchanged")
        self.wards.append(query.wards)
        return [incident("inc-1", ward="25747")], "more"

    async def warnings(
        self, *, open_only: bool, wards: Sequence[str] | None, limit: int
    ) -> tuple[Sequence[StoredWarning], Sequence[BrakeStanding]]:
        self.wards.append(wards)
        found = [a_warning(), a_warning(id="wrn-2", ward="*", category="citizen", figure="camera_coverage")]
        return found, [BrakeStanding("overdue-ward", Text("Quá hạn", "Overdue"), 36, 2, T0_US)]
