"""History as anybody may have it: which columns leave the house, and the COPY that writes them. Pure.

Left out: plates, contacts, texts of people, pictures, subjects, tracks, ids of events and of incidents (an
incident's id is made of its key, which may be a plate, and could be tried out). Texts that devices choose
freely come only where they look like the name of a class or a lane. What citizens report has the middle of a
grid's cell for a position and a minute for a time, and so have incidents, many of which are of them.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, LiteralString

import msgspec
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from ioc.model.texts import Text
from ioc.model.times import DAY_US, HOUR_US, MINUTE_US

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""
DEFAULT_GRID_M: Final = 500.0
MIN_GRID_M: Final = 100.0
GRID_LATITUDE: Final = 11.0
"""Degrees north, where a cell is as wide as it is high."""
_METRES_A_DEGREE: Final = 111_320.0


class Form(StrEnum):
    """How rows are written."""

    CSV = "csv"
    GEOJSON = "geojson"
    PARQUET = "parquet"


class Kind(StrEnum):
    """What a column holds."""

    TIME = "time"
    TEXT = "text"
    FLOAT = "float"
    INT = "int"
    BOOL = "bool"


class Column(msgspec.Struct, frozen=True):
    """One column. `sql` gives its value; `{lon_step}` and `{lat_step}` stand for the grid's, in degrees.

    No text may hold the end of a line.
    """

    name: str
    kind: Kind
    sql: LiteralString
    title: Text


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of rows."""

    name: str
    relation: str
    time: str
    """Column of the relation by which a time is chosen."""
    order: LiteralString
    slice_us: int
    """Read and sorted at a time, so that neither side holds more."""
    title: Text
    columns: tuple[Column, ...]

    @property
    def has_position(self) -> bool:
        """Whether its rows can stand on a map."""
        return any(column.name == "lon" for column in self.columns)


class Grid(msgspec.Struct, frozen=True):
    """Width and height of a cell in degrees."""

    lon_step: float
    lat_step: float

    @classmethod
    def of_metres(cls, metres: float) -> "Grid":
        """Return the grid whose cells are so long on each side.

        Raises:
            ValueError: below `MIN_GRID_M`, where a cell would tell of a house.
        """
        if not metres >= MIN_GRID_M or not math.isfinite(metres):
            raise ValueError(f"a cell has at least {MIN_GRID_M:.0f} m on each side, not {metres}")
        degrees = metres / _METRES_A_DEGREE
        return cls(round(degrees / math.cos(math.radians(GRID_LATITUDE)), 6), round(degrees, 6))


def _word(column: LiteralString) -> LiteralString:
    """Return the value of `column` where it is a short name without digits: no number, no sentence."""
    return "CASE WHEN " + column + " ~ '^[A-Za-zÀ-ỹ_ -]{{1,24}}$' THEN " + column + " END"


def _lane(column: LiteralString) -> LiteralString:
    """Return the value of `column` where it is as short as a lane's name."""
    return "CASE WHEN " + column + " ~ '^[A-Za-z0-9_.:-]{{1,8}}$' THEN " + column + " END"


_LON_CELL: Final = "round(((floor(lon / {lon_step}) + 0.5) * {lon_step})::numeric, 5)::float8"
_LAT_CELL: Final = "round(((floor(lat / {lat_step}) + 0.5) * {lat_step})::numeric, 5)::float8"
_SOURCE: Final = Column("source", Kind.TEXT, "source", Text("Mã thiết bị", "Device id"))
_WARD: Final = Column("ward", Kind.TEXT, "ward", Text("Mã phường", "Code of the ward"))
_LON: Final = Column("lon", Kind.FLOAT, "lon", Text("Kinh độ của thiết bị", "Longitude of the device"))
_LAT: Final = Column("lat", Kind.FLOAT, "lat", Text("Vĩ độ của thiết bị", "Latitude of the device"))
_CELLS: Final = (
    Column("lon", Kind.FLOAT, _LON_CELL, Text("Kinh độ tâm ô lưới", "Longitude of the middle of the cell")),
    Column("lat", Kind.FLOAT, _LAT_CELL, Text("Vĩ độ tâm ô lưới", "Latitude of the middle of the cell")),
)
_TYPE: Final = Column("type", Kind.TEXT, "type", Text("Loại sự kiện", "Type of the event"))
_TIME: Final = Column("time", Kind.TIME, "time", Text("Thời điểm xảy ra (UTC)", "When it happened (UTC)"))
_BUCKET: Final = Column("bucket", Kind.TIME, "bucket", Text("Đầu khoảng 5 phút", "Start of the 5 minutes"))
_ONLINE: Final = Column(
    "online", Kind.BOOL, "online", Text("Thiết bị có hoạt động", "Whether the device works")
)
_SPEED: Final = Column("speed_kmh", Kind.FLOAT, "speed_kmh", Text("Tốc độ (km/h)", "Speed (km/h)"))


def _minute(name: LiteralString, vi: str, en: str) -> Column:
    sql: LiteralString = "date_trunc('minute', " + name + ")"
    return Column(name, Kind.TIME, sql, Text(f"{vi}, đến phút (UTC)", f"{en}, to the minute (UTC)"))


def _count(name: LiteralString, vi: str, en: str) -> Column:
    return Column(name, Kind.INT, name, Text(vi, en))


def _number(name: LiteralString, vi: str, en: str) -> Column:
    return Column(name, Kind.FLOAT, name, Text(vi, en))


_DATASETS: Final = (
    Dataset(
        name="camera",
        relation="camera_event",
        time="time",
        order="time, source, event_id",
        slice_us=10 * MINUTE_US,
        title=Text("Sự kiện của camera", "Events of cameras"),
        columns=(
            _TIME, _SOURCE, _TYPE, _WARD, _LON, _LAT,
            Column("kind", Kind.TEXT, "kind", Text("Loại cảnh báo", "Kind of alarm")),
            Column("label", Kind.TEXT, _word("label"), Text("Loại đối tượng", "Class of the object")),
            _number("confidence", "Độ tin cậy (0–1)", "Confidence (0–1)"),
            _count("people", "Số người", "People"),
            _count("vehicles", "Số xe", "Vehicles"),
            _count("stopped_vehicles", "Số xe dừng", "Vehicles that stand"),
            _SPEED, _ONLINE,
        ),
    ),
    Dataset(
        name="traffic",
        relation="traffic_measurement",
        time="time",
        order="time, source, event_id",
        slice_us=10 * MINUTE_US,
        title=Text("Số đo giao thông", "Traffic measurements"),
        columns=(
            _TIME, _SOURCE, _TYPE, _WARD, _LON, _LAT,
            Column("lane", Kind.TEXT, _lane("lane"), Text("Làn xe", "Lane")),
            _SPEED,
            _number("occupancy", "Tỷ lệ chiếm dụng (0–1)", "Occupancy (0–1)"),
            _count("volume_veh", "Số xe trong khoảng đo", "Vehicles in the interval"),
            _number("interval_s", "Khoảng đo (giây)", "Interval (seconds)"),
            _number("duration_s", "Thời gian đi qua (giây)", "Travel time (seconds)"),
            _ONLINE,
        ),
    ),
    Dataset(
        name="feedback",
        relation="feedback_report",
        time="time",
        order="date_trunc('minute', time), ward, category, event_id",
        slice_us=DAY_US,
        title=Text("Phản ánh và đánh giá của người dân", "Citizens' reports and verdicts"),
        columns=(
            _minute("time", "Thời điểm", "When"), _TYPE, _WARD, *_CELLS,
            Column("category", Kind.TEXT, _word("category"), Text("Lĩnh vực", "Category")),
            Column("channel", Kind.TEXT, _word("channel"), Text("Kênh tiếp nhận", "Channel")),
            Column("satisfied", Kind.BOOL, "satisfied", Text("Hài lòng với kết quả", "Satisfied")),
        ),
    ),
    Dataset(
        name="incidents",
        relation="incident",
        time="opened",
        order="opened, id",
        slice_us=30 * DAY_US,
        title=Text("Sự cố", "Incidents"),
        columns=(
            _minute("opened", "Bắt đầu", "Began"), _minute("detected", "Phát hiện", "Detected"),
            Column("rule", Kind.TEXT, "rule", Text("Quy tắc", "Rule")),
            Column("category", Kind.TEXT, "category", Text("Lĩnh vực", "Category")),
            Column("severity", Kind.TEXT, "severity", Text("Mức độ", "Severity")),
            Column("condition", Kind.TEXT, "condition", Text("Còn diễn ra hay đã hết", "Active or cleared")),
            Column("handling", Kind.TEXT, "handling", Text("Trạng thái xử lý", "State of handling")),
            _WARD, *_CELLS,
            _count("count", "Số sự kiện làm căn cứ", "Events behind it"),
            _minute("acknowledged", "Tiếp nhận", "Acknowledged"), _minute("cleared", "Hết", "Cleared"),
            _minute("resolved", "Xử lý xong", "Resolved"), _minute("closed", "Đóng", "Closed"),
        ),
    ),
    Dataset(
        name="traffic_5m",
        relation="traffic_5m",
        time="bucket",
        order="bucket, source, ward",
        slice_us=6 * HOUR_US,
        title=Text("Giao thông theo 5 phút", "Traffic by 5 minutes"),
        columns=(
            _BUCKET, _SOURCE, _WARD,
            _count("measurements", "Số lần đo", "Measurements"),
            _count("volume_veh", "Tổng số xe", "Vehicles in all"),
            _number("speed_kmh", "Tốc độ trung bình (km/h)", "Mean speed (km/h)"),
            _number("speed_min_kmh", "Tốc độ thấp nhất (km/h)", "Lowest speed (km/h)"),
            _number("speed_max_kmh", "Tốc độ cao nhất (km/h)", "Highest speed (km/h)"),
            _number("occupancy", "Tỷ lệ chiếm dụng trung bình (0–1)", "Mean occupancy (0–1)"),
        ),
    ),
    Dataset(
        name="camera_5m",
        relation="camera_5m",
        time="bucket",
        order="bucket, source, ward",
        slice_us=6 * HOUR_US,
        title=Text("Camera theo 5 phút", "Cameras by 5 minutes"),
        columns=(
            _BUCKET, _SOURCE, _WARD,
            _count("views", "Số lần quan sát", "Looks"),
            _number("people", "Số người trung bình", "People, mean"),
            _count("people_max", "Số người nhiều nhất", "People, most"),
            _number("vehicles", "Số xe trung bình", "Vehicles, mean"),
            _count("vehicles_max", "Số xe nhiều nhất", "Vehicles, most"),
            _count("stopped_vehicles_max", "Số xe dừng nhiều nhất", "Standing vehicles, most"),
            _count("people_counted", "Số người đếm qua", "People counted passing"),
            _count("vehicles_counted", "Số xe đếm qua", "Vehicles counted passing"),
        ),
    ),
)  # fmt: skip
DATASETS: Final = {dataset.name: dataset for dataset in _DATASETS}

_COPY: Final[LiteralString] = "COPY (SELECT {values} FROM ({rows}) AS row) TO STDOUT (FORMAT csv{more})"
_ROWS: Final[LiteralString] = (
    "SELECT {columns} FROM {relation} WHERE {time} >= {start} AND {time} < {end} ORDER BY {order}"
)
# JSON as it stands, a line a row: it holds neither of these characters, nor a line's end.
_AS_IT_STANDS: Final[LiteralString] = ", QUOTE E'\\x01', DELIMITER E'\\x02'"


def copy_statement(dataset: Dataset, form: Form, start: datetime, end: datetime, grid: Grid) -> Composed:
    """Return the statement that writes the rows of [start, end) in order, one a line."""
    steps = {"lon_step": Literal(grid.lon_step), "lat_step": Literal(grid.lat_step)}
    rows = SQL(_ROWS).format(
        columns=SQL(", ").join(
            SQL("{} AS {}").format(SQL(column.sql).format(**steps), Identifier(column.name))
            for column in dataset.columns
        ),
        relation=Identifier(dataset.relation),
        time=Identifier(dataset.time),
        start=Literal(start),
        end=Literal(end),
        order=SQL(dataset.order),
    )
    if form is Form.GEOJSON:
        return SQL(_COPY).format(values=_feature(dataset.columns), rows=rows, more=SQL(_AS_IT_STANDS))
    values = SQL(", ").join(_cell(column, form) for column in dataset.columns)
    return SQL(_COPY).format(values=values, rows=rows, more=SQL(""))


def _cell(column: Column, form: Form) -> Composable:
    name = Identifier(column.name)
    if column.kind is Kind.TIME:
        return _time(name)
    if column.kind is Kind.BOOL:
        return SQL("{}::text").format(name)
    if column.kind is Kind.TEXT and form is Form.CSV:
        return SQL("CASE WHEN left({0}, 1) = ANY({1}) THEN '''' || {0} ELSE {0} END").format(
            name, Literal(list(FORMULA_STARTS))
        )
    return name


_POINT: Final[LiteralString] = (
    """CASE WHEN lon IS NOT NULL AND lat IS NOT NULL """
    """THEN '{"type":"Point","coordinates":[' || lon || ',' || lat || ']}' ELSE 'null' END"""
)


def _feature(columns: Sequence[Column]) -> Composable:
    """Return the JSON of a row as text: PostgreSQL's own builders of JSON take more than twice as long."""
    parts: list[Composable] = [Literal('{"type":"Feature","geometry":'), SQL(_POINT)]
    opening = ',"properties":{'
    for column in columns:
        if column.name not in ("lon", "lat"):
            parts += [Literal(f'{opening}"{column.name}":'), _json(column)]
            opening = ","
    return SQL(" || ").join([*parts, Literal("}}")])


def _json(column: Column) -> Composable:
    name = Identifier(column.name)
    match column.kind:
        case Kind.TEXT:
            value: Composable = SQL("to_json({})::text").format(name)
        case Kind.TIME:
            value = SQL("'\"' || {} || '\"'").format(_time(name))
        case _:
            # What is stored is finite, so these look the same in JSON.
            value = SQL("{}::text").format(name)
    return SQL("coalesce({}, 'null')").format(value)


def _time(name: Identifier) -> Composable:
    return SQL("""to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')""").format(name)
