"""Tables and mappings that hold nothing, or what nobody meant, are findings before a row is sent."""

from pathlib import Path

import pytest

from ioc.app.table_import import TableError, parse_mapping, pieces

OPTIONS = {"type": "traffic.flow", "time": "when"}


def test_a_mapping_within_mappings_without_end_is_a_finding() -> None:
    with pytest.raises(TableError, match="nested too deeply"):
        parse_mapping(b"type: " + b"[" * 5_000)


def test_a_date_that_is_none_in_a_mapping_is_a_finding() -> None:
    with pytest.raises(TableError, match="no YAML: month must be in"):
        parse_mapping(b"type: 2026-13-45")


def test_a_header_alone_is_sent_so_that_a_missing_column_is_said(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\nn;when\n", "utf-8")
    (piece,) = pieces(path, OPTIONS)
    assert piece.body == b"n;when\n"
    path.write_text("n;when\n1;2\n", "utf-8")
    (piece,) = pieces(path, OPTIONS)
    assert piece.body == b"n;when\n1;2\n"


def test_a_file_without_a_single_row_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbf\n\n")
    with pytest.raises(TableError, match=r"t\.csv holds nothing"):
        list(pieces(path, OPTIONS))
