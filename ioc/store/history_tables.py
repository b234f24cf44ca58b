"""The history tables as data: which column holds which field of which event type (migration 0002)."""

from typing import Final

import msgspec

from ioc.model.events import DATA_TYPES, Stream

COMMON_COLUMNS: Final = (
    "time",
    "received",
    "event_id",
    "source",
    "type",
    "ward",
    "lon",
    "lat",
    "subject",
)
"""The first columns of every history table, in the order in which rows are written."""


class Table(msgspec.Struct, frozen=True):
    """One history table. `columns` maps each typed column to `text`, `float`, `int` or `bool`."""

    name: str
    columns: dict[str, str]

    def stored_fields(self, type_name: str) -> tuple[str | None, ...]:
        """Return, per typed column, the field of `type_name` it holds, or None; both have one name."""
        fields = DATA_TYPES[type_name].__struct_fields__
        return tuple(column if column in fields else None for column in self.columns)

    def other_fields(self, type_name: str) -> tuple[str, ...]:
        """Return the fields of `type_name` without a column: they go into `data`."""
        return tuple(f for f in DATA_TYPES[type_name].__struct_fields__ if f not in self.columns)


TABLES: Final[dict[Stream, Table]] = {
    Stream.CAMERA: Table(
        "camera_event",
        {
            "kind": "text",
            "label": "text",
            "confidence": "float",
            "track_id": "text",
            "plate": "text",
            "people": "int",
            "vehicles": "int",
            "stopped_vehicles": "int",
            "online": "bool",
            "speed_kmh": "float",
        },
    ),
    Stream.TRAFFIC: Table(
        "traffic_measurement",
        {
            "lane": "text",
            "speed_kmh": "float",
            "occupancy": "float",
            "volume_veh": "int",
            "interval_s": "float",
            "duration_s": "float",
            "online": "bool",
        },
    ),
    Stream.FEEDBACK: Table(
        "feedback_report",
        {
            "category": "text",
            "title": "text",
            "text": "text",
            "address": "text",
            "contact": "text",
            "channel": "text",
            "report_id": "text",
            "satisfied": "bool",
        },
    ),
}
