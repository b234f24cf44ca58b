"""Tables: CSV, or JSON objects one per line, whose columns a mapping turns into the fields of one event type.

The mapping is the device's options (or the YAML file of `ioc import`, which has the same keys):

    type: traffic.flow          # of every event
    time: Thời gian             # column; without it, the time of receipt
    time_format: "%d/%m/%Y %H:%M:%S"    # iso8601 (default), unix, or as strptime
    source: Trạm                # column; `DecodeContext.part` makes it a device; without it, the sender
    id: STT                     # column; without it, a digest of the row
    lon: X                      # columns, degrees
    lat: Y
    field.speed_kmh: Vận tốc    # column of a field of the type
    factor.occupancy: "0.01"    # what its number is multiplied by
    value.interval_s: "300"     # a field that is the same in every row
    none: "-999;NA"             # cells that say nothing, besides empty ones
    rest: keep                  # columns not named: keep (in `extra`, default) or drop
    delimiter: ";"              # default: what the header uses most of , ; tab |
    decimal: ","                # default: .
    encoding: windows-1258      # default: UTF-8, or UTF-16 with its mark
"""

import codecs
import csv
import io
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from operator import attrgetter
from typing import Any, Final

import msgspec

from ioc.ingest.decoders.base import Decode, DecodeContext, Decoded, Rejection, TooManyEvents
from ioc.ingest.decoders.data import (
    SCHEMAS,
    Refused,
    as_number,
    computable,
    refuse_nul,
    typed_data,
    unknown_type,
)
from ioc.ingest.decoders.geometry import degrees_of
from ioc.ingest.decoders.jsonlines import (
    BOM,
    JSON_ERRORS,
    JSON_TYPES,
    NDJSON_TYPES,
    parse_any,
    split_objects,
    why_unreadable,
)
from ioc.ingest.decoders.moments import epoch_us, moment_us
from ioc.ingest.decoders.wire import MAX_ID_CHARS, MAX_SUBJECT_CHARS
from ioc.model.events import DATA_TYPES
from ioc.model.times import to_us

CSV_TYPES: Final = ("text/csv", "text/plain")
_JSON_TYPES: Final = (JSON_TYPES[0], *NDJSON_TYPES)
_DELIMITERS: Final = ",;\t|"
_COLUMNS: Final = ("time", "source", "id", "lon", "lat", "subject")
_SETTINGS: Final = ("type", "time_format", "none", "rest", "delimiter", "decimal", "encoding", "prefix")
_PREFIXES: Final = ("field", "factor", "value")
_ISO: Final = "iso8601"
_UNIX: Final = "unix"
_TRUTHS: Final = {"true": True, "1": True, "false": False, "0": False}
_TRUE_OR_FALSE: Final = frozenset(
    field.name for kind in DATA_TYPES.values() for field in msgspec.structs.fields(kind) if field.type is bool
)
_NAMES: Final = (str, int)
_UNREAD: Final = "\ufffd"
"""What stands where bytes are no text of the encoding."""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping that has been checked."""

    type: str
    columns: dict[str, str]
    """Column by attribute: `time`, `source`, `id`, `lon`, `lat`, `subject`."""
    fields: dict[str, str]
    """Column by field of the type."""
    factors: dict[str, float]
    values: dict[str, Any]
    """What is the same in every row, by field of the type."""
    nothing: frozenset[str]
    time_format: str
    keeps_rest: bool
    delimiter: str | None
    decimal: str
    encoding: str | None
    named: frozenset[str]
    """The columns that the mapping names."""
    numeric: frozenset[str]
    """The fields of the type that are numbers."""


class InvalidMapping(ValueError):
    """The mapping cannot be used; `faults` holds (key, what is expected) for each finding."""

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{key}: {detail}" for key, detail in faults))


def read_mapping(options: Mapping[str, str]) -> Table:
    """Return the checked mapping of a device's options.

    Raises:
        InvalidMapping: with every finding.
    """
    return _read_mapping(tuple(sorted(options.items())))


@lru_cache(maxsize=256)
def _read_mapping(items: tuple[tuple[str, str], ...]) -> Table:
    options = dict(items)
    faults: list[tuple[str, str]] = []
    parts: dict[str, dict[str, str]] = {prefix: {} for prefix in _PREFIXES}
    for key, value in items:
        prefix, dot, name = key.partition(".")
        if dot and prefix in parts:
            parts[prefix][name] = value
        elif key not in _COLUMNS and key not in _SETTINGS:
            keys = ", ".join((*_COLUMNS, *_SETTINGS, *(f"{prefix}.…" for prefix in _PREFIXES)))
            faults.append((key, f"is no key of a mapping; known: {keys}"))
    kind = options.get("type", "")
    if kind not in DATA_TYPES:
        faults.append(("type", unknown_type(kind)))
    faults += _field_faults(kind, parts)
    factors = {}
    for name, text in parts["factor"].items():
        number = as_number(text)
        if type(number) in (int, float):
            factors[name] = float(number)
        else:
            faults.append((f"factor.{name}", f"expected a number, found {text!r}"))
    faults += _setting_faults(options)
    if faults:
        raise InvalidMapping(faults)
    columns: dict[str, str] = {name: options[name] for name in _COLUMNS if name in options}
    numeric, decimal = SCHEMAS[kind].numeric, options.get("decimal", ".")
    return Table(
        type=kind,
        columns=columns,
        fields=parts["field"],
        factors=factors,
        values={name: _typed(text, name, numeric, decimal) for name, text in parts["value"].items()},
        nothing=frozenset(options.get("none", "").split(";")) | {""},
        time_format=options.get("time_format", _ISO),
        keeps_rest=options.get("rest", "keep") == "keep",
        delimiter=options.get("delimiter"),
        decimal=decimal,
        encoding=options.get("encoding"),
        named=frozenset((*columns.values(), *parts["field"].values())),
        numeric=numeric,
    )


def _field_faults(kind: str, parts: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    structure = DATA_TYPES.get(kind)
    if structure is None:
        return
    known = [field.name for field in msgspec.structs.fields(structure) if field.name != "extra"]
    for prefix, named in parts.items():
        for name in named:
            if name not in known:
                yield f"{prefix}.{name}", f"is no field of {kind}; known: {', '.join(known)}"
    for name in parts["factor"].keys() - parts["field"].keys():
        yield f"factor.{name}", f"needs field.{name}, the column that it is applied to"


def _setting_faults(options: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if options.get("rest", "keep") not in ("keep", "drop"):
        yield "rest", f"expected keep or drop, found {options['rest']!r}"
    if len(options.get("delimiter", ",")) != 1:
        yield "delimiter", f"expected one character, found {options['delimiter']!r}"
    if options.get("decimal", ".") not in (".", ","):
        yield "decimal", f"expected . or , and found {options['decimal']!r}"
    if "encoding" in options:
        try:
            b" ".decode(options["encoding"])
        except LookupError:
            yield "encoding", f"no encoding of that name: {options['encoding']!r}"


class Tabular:
    """Decoder of tables by the mapping in the device's options."""

    content_types = (*CSV_TYPES, *_JSON_TYPES)

    def decode(self, body: bytes, context: DecodeContext) -> Decode:
        """Return one event per row; each is refused by itself. See `Decoder`."""
        try:
            table = read_mapping(context.options)
        except InvalidMapping as error:
            return Decode(rejections=[_unusable(body, error)])
        result = Decode()
        json = context.content_type in _JSON_TYPES or (
            context.content_type is None and body.removeprefix(BOM).lstrip()[:1] in (b"{", b"[")
        )
        rows = _json_rows(body, context, result) if json else _csv_rows(body, table, context, result)
        for line, row, raw in rows:
            if len(result.events) + len(result.rejections) >= context.max_events:
                raise TooManyEvents(context.max_events + 1, context.max_events)
            try:
                decoded, dropped = _decoded(line, row, raw, table, context)
            except Refused as refused:
                result.rejections.append(_rejection(line, raw, refused))
                continue
            result.events.append(decoded)
            result.dropped_fields += dropped
        if result.rejections:
            result.rejections.sort(key=attrgetter("line"))
        return result


def _unusable(body: bytes, error: InvalidMapping) -> Rejection:
    key, detail = error.faults[0]
    return Rejection(line=1, rule="mapping", detail=detail[:500], raw=body, field=f"options.{key}")


def _rejection(line: int, raw: bytes, refused: Refused) -> Rejection:
    return Rejection(line=line, rule=refused.rule, detail=refused.detail[:500], raw=raw, field=refused.field)


# Rows


_Rows = Iterator[tuple[int, dict[str, Any], bytes]]
"""Line, cells by column, and the row's bytes."""


def _json_rows(body: bytes, context: DecodeContext, result: Decode) -> _Rows:
    pieces, uncut = split_objects(body, context)
    result.rejections += uncut
    for line, raw in pieces:
        try:
            row = parse_any(raw)
        except JSON_ERRORS as error:
            rule, detail = why_unreadable(error)
            result.rejections.append(Rejection(line=line, rule=rule, detail=detail, raw=raw))
            continue
        try:
            if not isinstance(row, dict):
                raise Refused("object", f"expected one JSON object, got {type(row).__name__}")
            refuse_nul(raw)
        except Refused as refused:
            result.rejections.append(_rejection(line, raw, refused))
        else:
            yield line, _flat(row), raw


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return `row` with what is nested under dotted names; its size bounds the work."""
    flat: dict[str, Any] = {}
    left = [("", row)]
    while left:
        prefix, part = left.pop()
        for name, value in part.items():
            if isinstance(value, dict):
                left.append((f"{prefix}{name}.", value))
            else:
                flat[prefix + name] = value
    return flat


def _csv_rows(body: bytes, table: Table, context: DecodeContext, result: Decode) -> _Rows:
    text = decoded_text(body, table.encoding)
    header_end = text.find("\n")
    first = text if header_end < 0 else text[:header_end]
    delimiter = delimiter_of(first, table)
    header: list[str] | None = None
    for _, line, cells in _cells(text, delimiter, result):
        if not any(cells):
            continue
        if header is None:
            header = [name.strip() for name in cells]
            if missing := sorted(table.named.difference(header)):
                detail = f"no such column; the header has {', '.join(header)}"
                result.rejections.append(_rejection(1, body, Refused("column", detail, missing[0])))
                return
            continue
        raw = delimiter.join(cells).encode("utf-8", "replace")
        # Spreadsheets write what was once filled as empty cells behind the last column.
        row = cells if any(cells[len(header) :]) else cells[: len(header)]
        if len(row) != len(header):
            detail = f"{len(cells)} cells, and {len(header)} columns"
            result.rejections.append(_rejection(line, raw, Refused("columns", detail)))
        elif len(raw) > context.max_event_bytes:
            detail = f"the row has {len(raw)} bytes, at most {context.max_event_bytes} are taken"
            result.rejections.append(_rejection(line, raw, Refused("max_event_bytes", detail)))
        else:
            yield line, dict(zip(header, row, strict=True)), raw
    if header is None:
        result.rejections.append(_rejection(1, b"", Refused("empty", "the body holds no row")))


_Read = Iterator[tuple[int, int, list[str]]]
"""The lines on which a row begins and ends, and its cells."""


def _cells(text: str, delimiter: str, result: Decode) -> _Read:
    """Yield the rows of a table; quoted cells may hold lines.

    A quotation mark that is not closed would take all rows behind it for its cell. Such a row goes over
    several lines and has not as many cells as the first: each line is a row then.
    """
    refused: list[Rejection] = []
    rows = list(_parsed([io.StringIO(text, newline="")], delimiter, refused))
    width = next((len(cells) for *_, cells in rows if any(cells)), 0)
    if any(first < last and len(cells) != width for first, last, cells in rows):
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        refused.clear()
        rows = list(_parsed(([line] for line in lines), delimiter, refused))
    result.rejections += refused
    yield from rows


def _parsed(texts: Iterable[Iterable[str]], delimiter: str, refused: list[Rejection]) -> _Read:
    before = 0
    for text in texts:
        reader, last = csv.reader(text, delimiter=delimiter), 0
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as error:
                refused.append(_rejection(before + reader.line_num, b"", Refused("csv", str(error))))
                last = reader.line_num
                continue
            if cells is None:
                break
            yield before + last + 1, before + reader.line_num, cells
            last = reader.line_num
        before += reader.line_num


def encoding_of(start: bytes, encoding: str | None) -> str:
    """Return the encoding of bytes that begin so: the stated one, or what their mark says."""
    if encoding is not None:
        return encoding
    return "utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def delimiter_of(header: str, table: Table) -> str:
    """Return what parts the cells: as stated, or what the header has most of."""
    return table.delimiter or max(_DELIMITERS, key=header.count)


def decoded_text(body: bytes, encoding: str | None) -> str:
    """Return the text of `body`, composed as Unicode's NFC; what is none of the encoding becomes U+FFFD."""
    text = body.decode(encoding_of(body, encoding), "replace")
    return text if text.isascii() else unicodedata.normalize("NFC", text)


# One row


def _decoded(
    line: int, row: dict[str, Any], raw: bytes, table: Table, context: DecodeContext
) -> tuple[Decoded, int]:
    """Return the event of a row and how many of its fields were dropped.

    Raises:
        Refused: what is wrong with it.
    """
    for cell in row.values():
        if isinstance(cell, str) and _UNREAD in cell:
            raise Refused("encoding", f"bytes that are no {table.encoding or 'UTF-8'}; state the `encoding`")
    if b"\0" in raw:
        raise Refused("no_nul", "the character U+0000 cannot be stored")
    at = {name: _cell(row, column, table) for name, column in table.columns.items()}
    try:
        data, dropped = typed_data(table.type, _fields(row, table))
    except Refused as refused:
        raise _by_column(refused, table) from None
    moment = _time_us(at.get("time"), table, context)
    named = at.get("id")
    identity = str(named) if isinstance(named, _NAMES) else blake2b(raw, digest_size=12).hexdigest()
    source, subject = at.get("source"), at.get("subject")
    lon, lat = at.get("lon"), at.get("lat")
    return (
        Decoded(
            line=line,
            id=_short(identity, MAX_ID_CHARS, table.columns.get("id")),
            source=context.device_id
            if source is None
            else _short(context.part(str(source)), MAX_ID_CHARS, table.columns["source"]),
            time_us=moment,
            data=data,
            raw=raw,
            lon=None if lon is None else degrees_of(_number(lon, table.decimal)),
            lat=None if lat is None else degrees_of(_number(lat, table.decimal)),
            subject=None
            if subject is None
            else _short(str(subject), MAX_SUBJECT_CHARS, table.columns["subject"]),
        ),
        dropped,
    )


def _fields(row: dict[str, Any], table: Table) -> dict[str, Any]:
    """Return what a row says of the fields of its type."""
    fields = table.values.copy()
    for name, column in table.fields.items():
        value = _cell(row, column, table)
        if value is None:
            continue
        if isinstance(value, str):
            value = _typed(value, name, table.numeric, table.decimal)
        fields[name] = _scaled(value, table.factors[name], column) if name in table.factors else value
    if table.keeps_rest and (rest := _rest(row, table)):
        fields["extra"] = rest
    return fields


def _rest(row: dict[str, Any], table: Table) -> dict[str, Any]:
    """Return the cells of columns that the mapping does not name."""
    rest: dict[str, Any] = {}
    for name, cell in row.items():
        if name not in table.named and not (isinstance(cell, str) and cell in table.nothing):
            rest[name] = cell
    return rest


def _cell(row: dict[str, Any], column: str, table: Table) -> Any:
    """Return a cell, None for one that says nothing; a number in the table's way of writing is one."""
    value = row.get(column)
    if not isinstance(value, str):
        return value
    value = value.strip()
    return None if value in table.nothing else value


def _typed(value: str, name: str, numeric: frozenset[str], decimal: str) -> Any:
    """Return a text as the number or truth value that the field holds; any other text is itself."""
    if name in numeric:
        return _number(value, decimal)
    return _TRUTHS.get(value.lower(), value) if name in _TRUE_OR_FALSE else value


def _number(value: Any, decimal: str) -> Any:
    if decimal == "," and isinstance(value, str):
        value = value.replace(".", "").replace(",", ".")
    return as_number(value)


def _scaled(value: Any, factor: float, column: str) -> Any:
    if not computable(value):
        raise Refused("type", f"expected a number, found {str(value)[:40]!r}", column)
    return value * factor


def _time_us(value: Any, table: Table, context: DecodeContext) -> int:
    column = table.columns.get("time")
    if column is None:
        return context.now_us
    if value is None:
        raise Refused("required", "this column is required", column)
    if table.time_format == _UNIX:
        number = as_number(value)
        if type(number) not in (int, float):
            raise Refused("unix_time", f"expected a number, found {str(value)[:40]!r}", column)
        return epoch_us(number, column)
    if table.time_format == _ISO:
        return moment_us(str(value), context.zone, column)
    try:
        moment = datetime.strptime(str(value), table.time_format)  # noqa: DTZ007 - its zone comes next
    except ValueError:
        detail = f"expected a time such as {table.time_format}, found {str(value)[:40]!r}"
        raise Refused("time_format", detail, column) from None
    if moment.tzinfo is None:
        if context.zone is None:
            detail = "a local time without zone; register the device with its `time_zone`"
            raise Refused("zone", detail, column)
        moment = moment.replace(tzinfo=context.zone)
    return to_us(moment)


def _by_column(refused: Refused, table: Table) -> Refused:
    """Return the refusal of a field under the name of its column."""
    name = (refused.field or "").removeprefix("data.")
    return Refused(refused.rule, refused.detail, table.fields.get(name, refused.field))


def _short(text: str, most: int, column: str | None) -> str:
    if not text or len(text) > most or not text.isprintable():
        raise Refused("printable", f"expected 1 to {most} printable characters", column)
    return text
