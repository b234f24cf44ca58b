"""Files of tables through the front door: read in pieces, judged and stored as if a device had sent them."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec
import yaml
from prometheus_client import CollectorRegistry

from ioc.app.clock import now_us
from ioc.app.core import Core
from ioc.app.retry import RETRYABLE
from ioc.app.views import StoredQuarantine
from ioc.ingest.decoders.jsonlines import NDJSON_TYPES
from ioc.ingest.decoders.tabular import (
    CSV_TYPES,
    InvalidMapping,
    decoded_text,
    delimiter_of,
    encoding_of,
    read_mapping,
)
from ioc.ingest.gateway import Gateway, RejectedEvent
from ioc.ingest.metrics import IngestMetrics
from ioc.ingest.ports import QuarantineRow
from ioc.ingest.service import IngestService
from ioc.model.events import Event, decode_event
from ioc.model.places import Device
from ioc.model.records import NewRecord
from ioc.store.quarantine import QuarantineLimits

ROWS_A_PIECE: Final = 1_000
MAX_LINE_BYTES: Final = 1 << 20
MAX_SHOWN: Final = 20


class TableError(Exception):
    """The mapping or the file cannot be used; the message names key or line."""


class ImportReport(msgspec.Struct, kw_only=True):
    """What became of a file's rows."""

    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    rules: Counter[str] = msgspec.field(default_factory=Counter)
    """Refused rows by rule."""
    shown: list[RejectedEvent] = []
    """The first refusals, `line` counting in the whole file."""


class Outcome(NamedTuple):
    """Of a record that is stored nowhere."""

    duplicate: bool = False


class Nowhere:
    """Log and quarantine of a dry run: what would be stored is looked at and let go."""

    def __init__(self, most: int) -> None:
        self.events: list[Event] = []
        self._most = most

    async def append(self, _topic: str, records: Sequence[NewRecord]) -> list[Outcome]:
        """Remember the first events."""
        for record in records[: self._most - len(self.events)]:
            self.events.append(decode_event(record.payload))
        return [Outcome()] * len(records)

    async def add(self, rows: Sequence[QuarantineRow]) -> None:
        """Store nothing."""


class Piece(msgspec.Struct, frozen=True):
    """Some rows as one body."""

    body: bytes
    media: str
    lines_before: int
    """Lines of the file before the body's first one."""
    bytes_read: int


def parse_mapping(data: bytes) -> dict[str, str]:
    """Return the options of a mapping file; keys may be nested (`field: {speed_kmh: Vận tốc}`).

    Raises:
        TableError: no YAML, or no mapping that can be used; the message lists every finding.
    """
    try:
        found = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError) as error:
        # A ValueError is a date or number that is none, such as the 45th of a month.
        raise TableError(f"the mapping is no YAML: {error}") from error
    except RecursionError as error:
        raise TableError("the mapping is nested too deeply; two levels are all there are") from error
    if not isinstance(found, dict):
        raise TableError("the mapping is no YAML mapping of keys to columns")
    options: dict[str, str] = {}
    for key, value in found.items():
        if isinstance(value, dict):
            options |= {f"{key}.{name}": str(part) for name, part in value.items()}
        else:
            options[str(key)] = str(value)
    try:
        read_mapping(options)
    except InvalidMapping as error:
        raise TableError("\n".join(f"{key}: {detail}" for key, detail in error.faults)) from error
    return options


def pieces(path: Path, options: Mapping[str, str]) -> Generator[Piece]:
    """Yield a file's rows in bodies of `ROWS_A_PIECE`, each with the header where the file is CSV.

    Raises:
        TableError: a line is longer than `MAX_LINE_BYTES`, or the file holds nothing.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(4096)
        file.seek(0)
        json = decoded_text(start, options.get("encoding")).lstrip("\ufeff \t\r\n")[:1] == "{"
        yield from _json_pieces(file) if json else _csv_pieces(path, file, options)


def _json_pieces(file: BinaryIO) -> Iterator[Piece]:
    lines: list[bytes] = []
    before = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES:
            raise TableError(f"line {before + len(lines) + 1} is longer than {MAX_LINE_BYTES} bytes")
        lines.append(line)
        if len(lines) == ROWS_A_PIECE:
            yield Piece(b"".join(lines), NDJSON_TYPES[0], before, file.tell())
            before, lines = before + len(lines), []
    if lines:
        yield Piece(b"".join(lines), NDJSON_TYPES[0], before, file.tell())


def _csv_pieces(path: Path, file: BinaryIO, options: Mapping[str, str]) -> Iterator[Piece]:
    """Cut at rows, not at lines: a quoted cell may hold several."""
    table = read_mapping(options)
    encoding = encoding_of(file.read(2), table.encoding)
    file.seek(0)
    with io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="") as text:
        first = text.readline()
        delimiter = delimiter_of(first, table)
        text.seek(0)
        yield from _csv_bodies(path, file, csv.reader(text, delimiter=delimiter), delimiter)


def _csv_bodies(path: Path, file: BinaryIO, reader: Any, delimiter: str) -> Iterator[Piece]:
    header: list[str] | None = None
    rows: list[list[str]] = []
    before, cut = 0, False
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise TableError(f"{path.name}, line {reader.line_num}: {error}") from error
        if row and header is None:
            header, before = row, reader.line_num
            continue
        if row:
            rows.append(row)
        # A header alone goes as well: whether it has the mapping's columns is to be said.
        if header is not None and (len(rows) == ROWS_A_PIECE or (row is None and (rows or not cut))):
            body = io.StringIO()
            csv.writer(body, delimiter=delimiter, lineterminator="\n").writerows([header, *rows])
            yield Piece(body.getvalue().encode(), CSV_TYPES[0], before - 1, file.tell())
            before, rows, cut = reader.line_num, [], True
        if row is None:
            if header is None:
                raise TableError(f"{path.name} holds nothing")
            return


def front_door(core: Core, instead: Nowhere | None = None) -> IngestService:
    """Return an ingest service with the limits, log and quarantine of the running one; or none of the two."""
    limits = core.settings.ingest.limits
    settings = core.settings
    quarantine = StoredQuarantine(core.pool, QuarantineLimits(max_rows=settings.store.quarantine_rows))
    return IngestService(
        log=instead or core.log,
        quarantine=instead or quarantine,
        registry=core.directory.registry,
        gateway=Gateway(core.directory.registry, core.directory, settings.bounds, limits),
        metrics=IngestMetrics(CollectorRegistry()),
        clock=now_us,
        limits=limits,
        retryable=RETRYABLE,
    )


def sender_of(device: Device, options: Mapping[str, str] | None) -> Device:
    """Return the device as the sender of tables, `options` being the mapping unless it has its own.

    Raises:
        TableError: it has none, or one that cannot be used.
    """
    if options is None:
        try:
            read_mapping(device.options)
        except InvalidMapping as error:
            what = "\n".join(f"{key}: {detail}" for key, detail in error.faults)
            raise TableError(f"{device.id} has no mapping among its options:\n{what}") from error
        options = device.options
    return msgspec.structs.replace(device, decoder="tabular", options=dict(options))


async def import_table(
    service: IngestService, device: Device, found: Iterator[Piece], progress: Callable[[int], Any]
) -> ImportReport:
    """Send rows and return what became of them; `progress` is told the bytes read so far.

    Raises:
        TableError, OSError: see `pieces`.
        IngestError: what came before is stored; import the same file again, its rows are known by their ids.
    """
    report = ImportReport()
    # Pieces are UTF-8 whatever the file was.
    options = {key: value for key, value in device.options.items() if key != "encoding"}
    sender = msgspec.structs.replace(device, options=options)
    for piece in found:
        answer = await service.accept(sender, piece.body, piece.media, transport="file", wait=True)
        report.accepted += answer.accepted
        report.duplicate += answer.duplicate
        report.rejected += len(answer.rejected)
        for refused in answer.rejected:
            report.rules[refused.rule] += 1
            if len(report.shown) < MAX_SHOWN:
                line = refused.line + piece.lines_before
                report.shown.append(msgspec.structs.replace(refused, line=line))
        progress(piece.bytes_read)
    return report
