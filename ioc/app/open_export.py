"""Open data → a file: rows as PostgreSQL writes them, passed on in pieces, slice of time by slice."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final, Protocol

import msgspec
from psycopg import AsyncConnection

from ioc.app.recordings.columns import pyarrow
from ioc.model.times import from_us
from ioc.store.open_data import Dataset, Form, Grid, Kind, copy_statement

PIECE_BYTES: Final = 4 << 20
"""Passed on at once."""


class ExportError(Exception):
    """What was asked for cannot be written; the message says why."""


class Exported(msgspec.Struct):
    """What was written."""

    rows: int = 0
    bytes: int = 0


class Sink(Protocol):
    """Takes whole lines and writes them in its form."""

    def write(self, lines: bytes) -> None:
        """Write lines, each with its end."""

    def close(self) -> None:
        """Write what comes behind the last one."""


class CsvSink:
    """UTF-8 with the names of the columns first."""

    def __init__(self, file: IO[bytes], dataset: Dataset) -> None:
        self._file = file
        file.write(",".join(column.name for column in dataset.columns).encode() + b"\n")

    def write(self, lines: bytes) -> None:
        """Write lines as they are."""
        self._file.write(lines)

    def close(self) -> None:
        """Nothing follows."""


class GeoJsonSink:
    """One FeatureCollection, a feature a line."""

    def __init__(self, file: IO[bytes], _: Dataset) -> None:
        self._file = file
        self._separator = b"\n"
        file.write(b'{"type":"FeatureCollection","features":[')

    def write(self, lines: bytes) -> None:
        """Write lines with commas between them."""
        self._file.write(self._separator + lines[:-1].replace(b"\n", b",\n"))
        self._separator = b",\n"

    def close(self) -> None:
        """End the collection."""
        self._file.write(b"\n]}\n")


class ParquetSink:
    """Columns of their own types, compressed by zstd. Raises `ParquetUnavailable`."""

    def __init__(self, file: IO[bytes], dataset: Dataset) -> None:
        self._arrow = arrow = pyarrow()
        kinds = {
            Kind.TIME: arrow.timestamp("ms", "UTC"),
            Kind.TEXT: arrow.string(),
            Kind.FLOAT: arrow.float64(),
            Kind.INT: arrow.int64(),
            Kind.BOOL: arrow.bool_(),
        }
        self._schema = arrow.schema(
            [
                arrow.field(each.name, kinds[each.kind], metadata={"vi": each.title.vi, "en": each.title.en})
                for each in dataset.columns
            ]
        )
        self._writer = arrow.parquet.ParquetWriter(file, self._schema, compression="zstd")

    def write(self, lines: bytes) -> None:
        """Write lines of CSV as a group of rows."""
        table = self._arrow.csv.read_csv(
            self._arrow.BufferReader(lines),
            read_options=self._arrow.csv.ReadOptions(column_names=self._schema.names, use_threads=False),
            convert_options=self._arrow.csv.ConvertOptions(
                column_types=self._schema,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        self._writer.write_table(table)

    def close(self) -> None:
        """Write the index."""
        self._writer.close()


_SINKS: Final[dict[Form, Callable[[IO[bytes], Dataset], Sink]]] = {
    Form.CSV: CsvSink,
    Form.GEOJSON: GeoJsonSink,
    Form.PARQUET: ParquetSink,
}


async def export(
    connection: AsyncConnection[Any],
    dataset: Dataset,
    form: Form,
    path: Path,
    span: tuple[int, int],
    grid: Grid,
    tell: Callable[[int, int], None],
) -> Exported:
    """Write the rows of `span` (microseconds, the end excluded) to `path` and return what was written.

    All of it is of one moment. The file is there only once it is whole.

    Args:
        connection: outside a transaction.
        dataset: what is written.
        form: how.
        path: where; a file there is replaced.
        span: the time.
        grid: of the cells that stand for positions of people.
        tell: told the microseconds done, and those in all.

    Raises:
        ExportError: these rows have no position, and GeoJSON was asked for.
        ParquetUnavailable: Parquet was asked for, and pyarrow is missing.
    """
    if form is Form.GEOJSON and not dataset.has_position:
        raise ExportError(f"rows of {dataset.name} have no position: write them as csv or parquet")
    part, done = path.with_name(path.name + ".part"), Exported()
    try:
        with part.open("wb") as file:
            sink = _SINKS[form](file, dataset)
            async with connection.transaction():
                await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                for start_us in range(*span, dataset.slice_us):
                    end_us = min(start_us + dataset.slice_us, span[1])
                    done.rows += await _slice(connection, dataset, form, sink, (start_us, end_us), grid)
                    tell(end_us - span[0], span[1] - span[0])
            sink.close()
            done.bytes = file.tell()
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return done


async def _slice(
    connection: AsyncConnection[Any],
    dataset: Dataset,
    form: Form,
    sink: Sink,
    span: tuple[int, int],
    grid: Grid,
) -> int:
    statement = copy_statement(dataset, form, from_us(span[0]), from_us(span[1]), grid)
    lines: list[bytes] = []
    size = 0
    async with connection.cursor() as cursor:
        async with cursor.copy(statement) as copy:
            async for line in copy:  # the server sends each row by itself
                lines.append(bytes(line))
                size += len(line)
                if size >= PIECE_BYTES:
                    await asyncio.to_thread(sink.write, b"".join(lines))
                    lines, size = [], 0
        if lines:
            await asyncio.to_thread(sink.write, b"".join(lines))
        return cursor.rowcount
