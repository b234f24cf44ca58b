"""Devices as a table: CSV that spreadsheets write, and that reads back to the same devices.

One row a device, the columns by the names of the fields of `Device`, in any order; an empty cell is not
given. `covers` is a list with semicolons, or a JSON list; `options` are NAME=VALUE with semicolons, or a JSON
object. Text that a spreadsheet would take for a formula is written behind an apostrophe, which reading takes
away.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from ioc.app.devices.description import (
    LOGIN_FIELDS,
    DeviceFile,
    DeviceFileError,
    InvalidDevice,
    given_default,
    unknown_field,
)
from ioc.model.places import Device

MAX_ROWS: Final = 200_000
MAX_SHOWN_CHARS: Final = 128
"""As long as an id may be: more of a cell stands in no finding."""
_COLUMNS: Final = tuple(field.name for field in msgspec.structs.fields(Device))
_REQUIRED: Final = tuple(field.name for field in msgspec.structs.fields(Device) if field.required)
_NUMBERS: Final = frozenset({"lon", "lat", "expected_interval_s"})
_TRUTHS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_GUARDED: Final = re.compile(r"'*[=+\-@\t\r]")
"""What a spreadsheet takes for a formula, or what was guarded against that."""


def read_csv(data: bytes) -> DeviceFile:
    """Return what a table of devices holds; findings name the row, as a spreadsheet counts, and the column.

    Raises:
        DeviceFileError: it cannot be read as a table, or its header is wrong.
    """
    rows = _rows(_text(data))
    try:
        header = [cell.strip() for cell in next(rows, [])]
        _check_header(header)
        found = DeviceFile()
        for number, row in enumerate(rows, start=2):
            if number > MAX_ROWS + 1:
                raise DeviceFileError(f"file: more than {MAX_ROWS} rows; split it")
            if any(cell.strip() for cell in row):
                found.add(_place(number, header, row), partial(_values, header, row))
    except csv.Error as error:
        raise DeviceFileError(f"file: no CSV: {error}") from error
    if not found.devices and not found.errors:
        raise DeviceFileError("file: expected at least one row below the header")
    return found


def write_csv(devices: Iterable[Device]) -> str:
    """Return `devices` as a table with a byte order mark, so that spreadsheets read its Vietnamese."""
    text = io.StringIO()
    text.write("\ufeff")
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow(_COLUMNS)
    for device in devices:
        rows.writerow([_cell(name, getattr(device, name)) for name in _COLUMNS])
    return text.getvalue()


# Reading


def _text(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        detail = f"file: not UTF-8 at byte {error.start}; save it as “CSV UTF-8”"
        raise DeviceFileError(detail) from error
    if "\0" in text:
        raise DeviceFileError("file: holds NUL characters; save it as “CSV UTF-8”")
    return text


def _rows(text: str) -> Iterator[list[str]]:
    """Return the rows, whatever sign the spreadsheet of that country puts between cells."""
    first, _, _ = text.partition("\n")
    sign = max((",", ";", "\t"), key=first.count)
    return csv.reader(io.StringIO(text, newline=""), delimiter=sign, strict=True)


def _check_header(header: list[str]) -> None:
    faults = [
        f"row 1, column {_short(name)!r}: {unknown_field(name)}"
        for name in header
        if name not in (*_COLUMNS, *LOGIN_FIELDS)
    ]
    faults += [f"row 1: the column {name!r} is missing" for name in _REQUIRED if name not in header]
    faults += [
        f"row 1: the column {n!r} stands twice" for n in sorted({n for n in header if header.count(n) > 1})
    ]
    if faults:
        raise DeviceFileError("\n".join(faults))


def _short(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + "…"


def _place(number: int, header: list[str], row: list[str]) -> str:
    device_id = dict(zip(header, row, strict=False)).get("id", "")
    return f"row {number} (id {_short(device_id)!r})" if device_id else f"row {number}"


def _values(header: list[str], row: list[str]) -> Mapping[str, object]:
    if len(row) > len(header) and any(cell.strip() for cell in row[len(header) :]):
        raise InvalidDevice("", [("row", f"has {len(row)} cells, the header has {len(header)}")])
    values: dict[str, object] = {"lon": None, "lat": None}  # given or not, they go together
    faults: list[tuple[str, str]] = []
    for name, cell in zip(header, row, strict=False):
        if not cell.strip():
            continue
        try:
            values[name] = _READERS.get(name, _text_of)(cell)
        except ValueError as error:
            faults.append((name, str(error)))
    if faults:
        raise InvalidDevice("", faults)
    return values


def _text_of(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _GUARDED.match(cell) else cell


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        comma = ", with a point and no comma" if "," in cell else ""
        raise ValueError(f"expected a number such as 106.65{comma}, found {cell!r}") from None


def _truth(cell: str) -> bool:
    found = _TRUTHS.get(cell.strip().lower())
    if found is None:
        raise ValueError(f"expected true or false, found {cell!r}")
    return found


def _covers(cell: str) -> list[str]:
    text = _text_of(cell)
    if text.startswith("["):
        found = _json(text)
        if not isinstance(found, list):
            raise ValueError(f"expected ids with semicolons between them, or a JSON list, found {cell!r}")
        return found
    return [part.strip() for part in text.split(";") if part.strip()]


def _options(cell: str) -> dict[str, str]:
    text = _text_of(cell)
    if text.startswith("{"):
        options: dict[str, str] = _json(text)
        return options
    pairs = [part.partition("=") for part in text.split(";") if part.strip()]
    if wrong := [name for name, sign, _ in pairs if not sign or not name.strip()]:
        raise ValueError(f"expected NAME=VALUE with semicolons between them, found {wrong[0].strip()!r}")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"expected JSON, found {text!r}") from None


_READERS: Final[Mapping[str, Callable[[str], object]]] = {
    **dict.fromkeys(_NUMBERS, _number),
    "kind": str.strip,
    **dict.fromkeys(("trusts_position", "tls_verify", "basic_over_http"), _truth),
    "login_password": str,  # whatever its first sign is
    "covers": _covers,
    "options": _options,
}


# Writing


def _cell(name: str, value: Any) -> str:
    if name not in _REQUIRED and value == given_default(name):
        return ""
    if name in _NUMBERS:
        return repr(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        plain = "; ".join(value)
        text = plain if _covers(plain) == list(value) else json.dumps(list(value), ensure_ascii=False)
    elif isinstance(value, dict):
        text = json.dumps(value, ensure_ascii=False)
    else:
        text = str(value)
    return "'" + text if _GUARDED.match(text) else text
