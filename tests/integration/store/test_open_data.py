"""Open data: the rows that were asked for, in order, in every form, and nothing of any person."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest
from psycopg import AsyncConnection

from ioc.app.open_export import Exported, ExportError, export
from ioc.model.events import CameraObject, CameraPlate, FeedbackReport, TrafficFlow
from ioc.model.times import DAY_US, HOUR_US, SECOND_US
from ioc.store.incidents import write_changes
from ioc.store.open_data import DATASETS, Form, Grid
from ioc.store.pool import Pool
from ioc.store.writer import HistoryWriter
from tests.integration.store.samples import FULL_DATA, NOON_US, event
from tests.integration.store.test_incidents import change, incident

Connection = AsyncConnection[Any]
GRID = Grid.of_metres(500)
SPAN = (NOON_US - HOUR_US, NOON_US + DAY_US)
SECRETS = (
    "61A", "12345", "123.45", "0912", "345 678", "Lê Lợi", "hỏng", "Hố", "a.jpg", "Chưa xong", "t-1", "t-2",
    "r-1", "hầm chui", "mất điện", "e-1", "inc-", "zalo", "plate:1",
)  # fmt: skip


async def fill(pool: Pool) -> None:
    place = {"lon": 106.678912, "lat": 11.045678, "source": "unit"}
    events = [event(n, data, subject="plate:1", **place) for n, data in enumerate(FULL_DATA)]
    found = incident(1, key="61A-123.45", opened_us=NOON_US, lon=106.678912, lat=11.045678, note="Lê Lợi")
    async with pool.connection() as connection:
        await HistoryWriter().write(connection, events)
        await write_changes(connection, [change(found)])


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def written(pool: Pool, name: str, form: Form, path: Path, span: tuple[int, int] = SPAN) -> Exported:
    async with pool.connection() as connection:
        return await export(connection, DATASETS[name], form, path, span, GRID, lambda *_: None)


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("name", DATASETS)
async def test_no_form_of_any_dataset_holds_anything_personal(
    pool: Pool, tmp_path: Path, form: Form, name: str
) -> None:
    await fill(pool)
    path = tmp_path / "x"
    if form is Form.GEOJSON and not DATASETS[name].has_position:
        with pytest.raises(ExportError, match="no position"):
            await written(pool, name, form, path)
        assert names(tmp_path) == []
        return
    done = await written(pool, name, form, path)
    assert done.rows > 0
    assert done.bytes == path.stat().st_size
    if form is Form.PARQUET:
        table = parquet.read_table(path)
        assert table.num_rows == done.rows
        text = json.dumps(table.to_pylist(), default=str, ensure_ascii=False)
    else:
        text = path.read_text("utf-8")
    for secret in SECRETS:
        assert secret not in text, secret
    if name in ("feedback", "incidents"):
        assert "106.678912" not in text and "11.045678" not in text


async def test_all_forms_say_the_same(pool: Pool, tmp_path: Path) -> None:
    await fill(pool)
    for name in ("camera", "traffic", "feedback"):
        paths = {form: tmp_path / f"{name}.{form}" for form in Form}
        for form, path in paths.items():
            await written(pool, name, form, path)
        columns = [column.name for column in DATASETS[name].columns]
        with paths[Form.CSV].open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == columns
        table = parquet.read_table(paths[Form.PARQUET]).to_pylist()
        collection = json.loads(paths[Form.GEOJSON].read_text("utf-8"))
        assert collection["type"] == "FeatureCollection"
        for row, typed, feature in zip(rows, table, collection["features"], strict=True):
            assert feature["geometry"]["coordinates"] == [typed["lon"], typed["lat"]]
            for column in columns:
                value = typed[column]
                shown = feature["properties"].get(column, value)
                if hasattr(value, "isoformat"):
                    value = value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
                assert shown == value
                if isinstance(value, float):
                    assert float(row[column]) == value


async def test_rows_come_in_the_order_of_time_across_slices_and_only_of_the_time_asked_for(
    pool: Pool, tmp_path: Path
) -> None:
    step_us = 7 * 60 * SECOND_US
    events = [event(n, time_us=NOON_US + (n * 37 % 50) * step_us) for n in range(50)]
    async with pool.connection() as connection:
        await HistoryWriter().write(connection, events)
    path = tmp_path / "x.csv"
    span = (NOON_US + 10 * step_us, NOON_US + 40 * step_us)
    done = await written(pool, "traffic", Form.CSV, path, span)
    rows = list(csv.DictReader(path.read_text("utf-8").splitlines()))
    times = [row["time"] for row in rows]
    assert done.rows == len(rows) == 30
    assert times == sorted(times)
    wanted = sorted((e for e in events if span[0] <= e.time_us < span[1]), key=lambda e: e.time_us)
    volumes = [e.data.volume_veh for e in wanted if isinstance(e.data, TrafficFlow)]
    assert [int(row["volume_veh"]) for row in rows] == volumes


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "=cmd|' /C calc'!A0"])
async def test_no_text_in_a_csv_is_a_formula(pool: Pool, tmp_path: Path, text: str) -> None:
    events = [
        event(1, CameraObject(label="car"), source=text),
        event(2, CameraObject(label=text)),
        event(3, TrafficFlow(lane=text), source=text, ward=text),
    ]
    async with pool.connection() as connection:
        await HistoryWriter().write(connection, events)
    for name in ("camera", "traffic"):
        path = tmp_path / f"{name}.csv"
        await written(pool, name, Form.CSV, path)
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert f"'{text}" in [row["source"] for row in rows]
        cells = [cell for row in rows for column, cell in row.items() if column not in ("lon", "lat")]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


async def test_texts_that_might_be_a_sentence_or_a_number_are_left_out(pool: Pool, tmp_path: Path) -> None:
    labels = ["xe máy", "car_2", "0912345678", "gọi cho tôi theo số trong sổ", "motorbike"]
    events = [event(n, CameraObject(label=label)) for n, label in enumerate(labels)]
    events.append(event(9, CameraPlate(plate="61A-123.45")))
    reports = [
        event(10 + n, FeedbackReport(category=category, text="x"))
        for n, category in enumerate(["ổ gà", "a\nb"])
    ]
    async with pool.connection() as connection:
        await HistoryWriter().write(connection, [*events, *reports])
    await written(pool, "camera", Form.CSV, tmp_path / "c.csv")
    found = [row["label"] for row in csv.DictReader((tmp_path / "c.csv").read_text("utf-8").splitlines())]
    assert found == ["xe máy", "", "", "", "motorbike", ""]
    await written(pool, "feedback", Form.CSV, tmp_path / "f.csv")
    rows = list(csv.DictReader((tmp_path / "f.csv").read_text("utf-8").splitlines()))
    assert sorted(row["category"] for row in rows) == ["", "ổ gà"]


async def test_positions_of_people_are_the_middle_of_a_cell_and_their_times_a_minute(
    pool: Pool, tmp_path: Path
) -> None:
    places = [(106.67 + n * 0.0001, 11.01 + n * 0.0001) for n in range(40)]
    reports = [
        event(n, FeedbackReport(category="a", text="x"), lon=lon, lat=lat)
        for n, (lon, lat) in enumerate(places)
    ]
    async with pool.connection() as connection:
        await HistoryWriter().write(connection, reports)
    await written(pool, "feedback", Form.CSV, tmp_path / "f.csv")
    rows = list(csv.DictReader((tmp_path / "f.csv").read_text("utf-8").splitlines()))
    cells = {(float(row["lon"]), float(row["lat"])) for row in rows}
    assert 1 < len(cells) <= 4
    for lon, lat in cells:
        assert any(
            abs(lon - x) <= GRID.lon_step / 2 + 1e-5 and abs(lat - y) <= GRID.lat_step / 2 + 1e-5
            for x, y in places
        )
    assert all(row["time"].endswith(":00.000Z") for row in rows)


def test_a_grid_that_would_tell_of_a_house_is_refused() -> None:
    for metres in (99.9, 0.0, -5.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="at least 100 m"):
            Grid.of_metres(metres)


async def test_what_is_interrupted_leaves_no_file(pool: Pool, tmp_path: Path) -> None:
    await fill(pool)

    def stop(*_: int) -> None:
        raise ZeroDivisionError

    async with pool.connection() as connection:
        with pytest.raises(ZeroDivisionError):
            await export(connection, DATASETS["traffic"], Form.CSV, tmp_path / "x.csv", SPAN, GRID, stop)
    assert names(tmp_path) == []
