"""A recording as Parquet: attributes as columns, data as JSON. Needs pyarrow (`requirements/parquet.lock`).

A Parquet file has its index at its end: one that was cut off cannot be read. Where that matters, record to
`.ndjson.zst` and convert.
"""

from collections.abc import Iterator, Sequence
from typing import IO, Any, Final

import msgspec

from ioc.app.recordings import NotARecording, ParquetUnavailable
from ioc.app.recordings.entries import Entry, Line, entry_of, line_of
from ioc.app.recordings.frames import FRAME_ENTRIES, Footer, Header, Tally

HEADER_KEY: Final = b"ioc_recording"
FOOTER_KEY: Final = b"ioc_recording_end"
GROUP_ENTRIES: Final = 4 * FRAME_ENTRIES
_NAMES: Final = Line.__struct_fields__[1:]
"""`specversion` is the same everywhere."""


def pyarrow() -> Any:
    """Return the library.

    Raises:
        ParquetUnavailable: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.csv
        import pyarrow.parquet
    except ImportError as error:
        raise ParquetUnavailable("Parquet needs pyarrow, which is not installed here") from error
    return pyarrow


def _schema(arrow: Any, header: Header) -> Any:
    kinds = {"time": arrow.timestamp("us", "UTC"), "received": arrow.timestamp("us", "UTC")}
    kinds |= {"lon": arrow.float64(), "lat": arrow.float64()}
    fields = [arrow.field(name, kinds.get(name, arrow.string())) for name in _NAMES]
    return arrow.schema(fields, metadata={HEADER_KEY: msgspec.json.encode(header)})


class ColumnWriter:
    """`FrameWriter` for Parquet. The file exists only once it is closed."""

    def __init__(self, file: IO[bytes], header: Header) -> None:
        self._arrow = pyarrow()
        self._schema = _schema(self._arrow, header)
        self._writer = self._arrow.parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._tally = Tally()
        self._waiting: list[Entry] = []

    @property
    def events(self) -> int:
        """Events written so far, ticks not counted."""
        return self._tally.events

    def write(self, entries: Sequence[Entry]) -> None:
        """Add `entries`."""
        self._waiting += entries
        while len(self._waiting) >= GROUP_ENTRIES:
            self._write_group(self._waiting[:GROUP_ENTRIES])
            del self._waiting[:GROUP_ENTRIES]

    def flush(self) -> None:
        """Do nothing: small groups would make the file large, and unread until its end it is anyway."""

    def close(self, *, lost: int = 0, ended: str = "") -> Footer:
        """Finish the file and return what would be a footer elsewhere."""
        if self._waiting:
            self._write_group(self._waiting)
            self._waiting = []
        footer = self._tally.footer(lost=lost, ended=ended)
        self._writer.add_key_value_metadata({FOOTER_KEY: msgspec.json.encode(footer)})
        self._writer.close()
        return footer

    def _write_group(self, entries: Sequence[Entry]) -> None:
        lines = [line_of(entry) for entry in entries]
        columns = {name: [getattr(line, name) for line in lines] for name in _NAMES}
        columns["data"] = [bytes(raw).decode() or None for raw in columns["data"]]
        self._writer.write_table(self._arrow.table(columns, schema=self._schema))
        self._tally.add(entries)


class ColumnReader:
    """`FrameReader` for Parquet.

    Raises:
        NotARecording: it is none, or it was cut off.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        arrow = pyarrow()
        self._name = name
        self.cut_off: str | None = None
        self.position = 0
        """Bytes read so far, roughly."""
        try:
            self._file = arrow.parquet.ParquetFile(file)
        except (arrow.ArrowInvalid, OSError) as error:
            raise NotARecording(f"{name} is no Parquet file, or was cut off: {error}") from error
        metadata = self._file.schema_arrow.metadata or {}
        metadata = {**metadata, **(self._file.metadata.metadata or {})}
        try:
            self.header = msgspec.json.decode(metadata[HEADER_KEY], type=Header)
            self.footer: Footer | None = msgspec.json.decode(metadata[FOOTER_KEY], type=Footer)
        except (KeyError, msgspec.MsgspecError) as error:
            raise NotARecording(f"{name} is Parquet, but no recording") from error

    def entries(self) -> Iterator[list[Entry]]:
        """Yield the entries in groups."""
        for number in range(self._file.metadata.num_row_groups):
            self.position += self._file.metadata.row_group(number).total_byte_size
            for batch in self._file.iter_batches(batch_size=FRAME_ENTRIES, row_groups=[number]):
                yield [_entry(self._name, row) for row in batch.to_pylist()]


def _entry(name: str, row: dict[str, Any]) -> Entry:
    data = row.pop("data")
    try:
        return entry_of(Line(specversion="1.0", **row, data=msgspec.Raw((data or "").encode())))
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise NotARecording(f"{name}: a row is no entry of a recording: {error}") from error
