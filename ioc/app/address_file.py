"""Addresses as a table: `code,address,lon,lat[,ward,old_wards]`, UTF-8, semicolons between old names."""

import csv
import io
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from ioc.geo.gazetteer import MAX_TEXT_CHARS, Address

MAX_ADDRESSES: Final = 500_000
MAX_ERRORS: Final = 1_000
_REQUIRED: Final = ("code", "address", "lon", "lat")
_COLUMNS: Final = (*_REQUIRED, "ward", "old_wards")
Bounds = tuple[float, float, float, float]


class AddressFileError(Exception):
    """The file cannot be used; the message lists row, column and what is expected."""


class AddressFile(msgspec.Struct):
    """The addresses that are right, and a line for each finding about the others."""

    addresses: list[Address] = []
    errors: list[str] = []
    more: int = 0
    """Findings beyond `MAX_ERRORS`."""


def read_address_file(
    data: bytes, bounds: Bounds, ward_of: Callable[[float, float], str | None]
) -> AddressFile:
    """Return what a table of addresses holds; a ward that is not given is found by position.

    Raises:
        AddressFileError: it cannot be read as a table, or its header is wrong.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AddressFileError(f"not UTF-8 at byte {error.start}; save it as “CSV UTF-8”") from error
    found = AddressFile()
    first = text.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=";" if first.count(";") > 2 else ",")
    try:
        header = [name.strip() for name in rows.fieldnames or ()]
        if missing := [name for name in _REQUIRED if name not in header]:
            raise AddressFileError(f"row 1: missing: {', '.join(missing)}; known: {', '.join(_COLUMNS)}")
        rows.fieldnames = header
        for number, row in enumerate(rows, start=2):
            if len(found.addresses) >= MAX_ADDRESSES:
                raise AddressFileError(f"more than {MAX_ADDRESSES} addresses")
            _take(found, number, row, bounds, ward_of)
    except csv.Error as error:
        raise AddressFileError(f"no CSV: {error}") from error
    if not found.addresses and not found.errors:
        raise AddressFileError("expected at least one row below the header")
    return found


def _take(
    found: AddressFile,
    number: int,
    row: dict[str, str | None],
    bounds: Bounds,
    ward_of: Callable[[float, float], str | None],
) -> None:
    cells = {name: (row.get(name) or "").strip() for name in _COLUMNS}
    faults = list(_faults(cells, bounds))
    if faults:
        for column, detail in faults:
            if len(found.errors) < MAX_ERRORS:
                found.errors.append(f"row {number}: {column}: {detail}")
            else:
                found.more += 1
        return
    lon, lat = float(cells["lon"]), float(cells["lat"])
    found.addresses.append(
        Address(
            code=cells["code"],
            address=cells["address"],
            lon=lon,
            lat=lat,
            ward=cells["ward"] or ward_of(lon, lat),
            old_wards=tuple(name.strip() for name in cells["old_wards"].split(";") if name.strip()),
        )
    )


def _faults(cells: dict[str, str], bounds: Bounds) -> Iterator[tuple[str, str]]:
    for name in ("address", "code", "ward", "old_wards"):
        if len(cells[name]) > MAX_TEXT_CHARS:
            yield name, f"expected at most {MAX_TEXT_CHARS} characters"
        if "\0" in cells[name]:
            yield name, "the character NUL is not allowed"
    if not cells["address"]:
        yield "address", "is missing"
    place: dict[str, float] = {}
    for name in ("lon", "lat"):
        try:
            place[name] = float(cells[name])
        except ValueError:
            yield name, f"expected degrees such as 106.65, found {cells[name]!r}"
    if len(place) == 2:
        west, south, east, north = bounds
        lon, lat = place["lon"], place["lat"]
        if not (west <= lon <= east and south <= lat <= north):
            swapped = west <= lat <= east and south <= lon <= north
            hint = "longitude and latitude are swapped" if swapped else "is outside the city's bounds"
            yield "lon", f"{lon}, {lat}: {hint}"
