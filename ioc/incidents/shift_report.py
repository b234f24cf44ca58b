"""The report of a hand-over: what was handed over, what the incoming lead said, and a page to print. Pure."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Final

import msgspec

from ioc.model.incidents import Severity
from ioc.model.shifts import Item, ItemKind, Shift, Verdict
from ioc.model.texts import Text
from ioc.model.times import format_us, parse_us

LOCAL_US: Final = 7 * 3600 * 1_000_000
"""Việt Nam is seven hours ahead of UTC, all year."""


class ReportLine(msgspec.Struct, frozen=True, kw_only=True):
    """One item. `ended`: it ended during the hand-over."""

    ref: str
    kind: ItemKind
    title: Text
    severity: Severity | None
    ward: str | None
    source: str | None
    handling: str | None
    since: str
    due: str | None
    overdue: bool
    added: str
    verdict: Verdict
    at: str | None
    reason: str | None
    note: str | None
    ended: bool


class ShiftReport(msgspec.Struct, frozen=True, kw_only=True):
    """A shift that has passed. `raised` and `resolved` count incidents of the shift."""

    shift: int
    lead: str
    incoming: str
    began: str
    started: str
    started_by: str
    absent: str | None
    passed: str
    raised: int
    resolved: int
    accepted: int
    questioned: int
    ended: int
    left_out: int
    lines: tuple[ReportLine, ...]


def build_report(shift: Shift, items: Iterable[Item], raised: int, resolved: int) -> ShiftReport:
    """Return the report of a shift that has just passed."""
    assert shift.passed_us is not None and shift.started_us is not None
    lines = tuple(_line(item, shift.passed_us) for item in items)
    counted = [line for line in lines if not line.ended]
    return ShiftReport(
        shift=shift.id,
        lead=shift.lead,
        incoming=shift.incoming or "",
        began=format_us(shift.began_us),
        started=format_us(shift.started_us),
        started_by=shift.started_by or "",
        absent=shift.absent,
        passed=format_us(shift.passed_us),
        raised=raised,
        resolved=resolved,
        accepted=sum(line.verdict is Verdict.ACCEPTED for line in counted),
        questioned=sum(line.verdict is Verdict.QUESTIONED for line in counted),
        ended=len(lines) - len(counted),
        left_out=shift.left_out,
        lines=lines,
    )


def _line(item: Item, at_us: int) -> ReportLine:
    listed = item.listed
    return ReportLine(
        ref=listed.ref,
        kind=listed.kind,
        title=listed.title,
        severity=listed.severity,
        ward=listed.ward,
        source=listed.source,
        handling=listed.handling,
        since=format_us(listed.since_us),
        due=None if listed.due_us is None else format_us(listed.due_us),
        overdue=listed.due_us is not None and listed.due_us <= at_us,
        added=format_us(item.added_us),
        verdict=item.verdict,
        at=None if item.at_us is None else format_us(item.at_us),
        reason=item.reason,
        note=item.note,
        ended=item.gone,
    )


STYLE: Final = (
    "body{font:14px/1.45 'Be Vietnam Pro',system-ui,sans-serif;color:#111;margin:2rem auto;max-width:62rem;"
    "padding:0 1rem}h1{font-size:1.5rem;margin:0 0 .25rem}p{margin:.25rem 0}dl{display:grid;"
    "grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:1rem 0}dt{color:#444}dd{margin:0}"
    "table{border-collapse:collapse;width:100%;margin-top:1rem}th,td{border:1px solid #888;padding:.3rem "
    ".5rem;text-align:left;vertical-align:top}th{background:#eee}td:first-child,td:nth-child(3),td:nth-child(5){white-space:nowrap}"
    "tr{break-inside:avoid}thead{"
    "display:table-header-group}.ended{color:#555;text-decoration:line-through}.hash{font:11px monospace;"
    "overflow-wrap:anywhere;color:#444;margin-top:1.5rem}.sign{display:flex;gap:4rem;margin-top:2.5rem}"
    ".sign p{flex:1;border-top:1px solid #111;padding-top:.3rem}@page{size:A4 landscape;margin:14mm}"
)
_WORDS: Final[dict[str, dict[str, str]]] = {
    "vi": {
        "title": "Biên bản giao ca", "shift": "Ca số", "lead": "Trưởng ca giao", "incoming": "Trưởng ca nhận",
        "began": "Bắt đầu ca", "started": "Bắt đầu giao", "passed": "Nhận ca", "absent": "Giao thay vì",
        "raised": "Sự cố phát sinh", "resolved": "Sự cố xử lý xong", "accepted": "Đã nhận",
        "questioned": "Có ý kiến", "ended": "Kết thúc trong lúc giao", "left_out": "Ngoài danh sách",
        "kind": "Loại", "what": "Nội dung", "severity": "Mức", "ward": "Phường, xã", "due": "Hạn xử lý",
        "verdict": "Ý kiến ca nhận", "note": "Ghi chú ca giao", "overdue": "quá hạn",
        "hash": "SHA-256 của biên bản",
        "none": "Không có việc nào đang mở.", "sign_out": "Ký giao", "sign_in": "Ký nhận",
        "incident": "Sự cố", "shelved": "Tạm gác", "handed_over": "Chờ phường, xã nhận",
        "outage": "Mất tín hiệu",
        "rule": "Quy tắc đang tắt", "open": "Chưa xem", "critical": "Khẩn cấp", "high": "Cao",
        "medium": "Vừa", "low": "Thấp",
    },
    "en": {
        "title": "Hand-over report", "shift": "Shift", "lead": "Outgoing lead", "incoming": "Incoming lead",
        "began": "Shift began", "started": "Hand-over began", "passed": "Taken over",
        "absent": "In place of the lead",
        "raised": "Incidents raised", "resolved": "Incidents resolved", "accepted": "Accepted",
        "questioned": "Questioned", "ended": "Ended meanwhile", "left_out": "Beyond the list",
        "kind": "Kind", "what": "What", "severity": "Severity", "ward": "Ward", "due": "Due",
        "verdict": "Incoming lead", "note": "Outgoing lead's note", "overdue": "overdue",
        "hash": "SHA-256 of the report",
        "none": "Nothing was open.", "sign_out": "Signed, outgoing", "sign_in": "Signed, incoming",
        "incident": "Incident", "shelved": "Shelved", "handed_over": "Awaiting a ward",
        "outage": "Silent equipment",
        "rule": "Disabled rule", "open": "Not seen", "critical": "Critical", "high": "High",
        "medium": "Medium", "low": "Low",
    },
}  # fmt: skip


def render_html(report: ShiftReport, sha256: str, lang: str, ward_names: Mapping[str, str]) -> str:
    """Return the report as a page of its own, ready to print; times are those of Việt Nam."""
    words = _WORDS[lang]
    facts: list[tuple[str, object]] = [
        ("lead", report.lead), ("incoming", report.incoming), ("began", _local(report.began)),
        ("started", _local(report.started)), ("passed", _local(report.passed)), ("raised", report.raised),
        ("resolved", report.resolved), ("accepted", report.accepted), ("questioned", report.questioned),
        ("ended", report.ended),
    ]  # fmt: skip
    facts += [("absent", report.absent)] if report.absent else []
    facts += [("left_out", report.left_out)] if report.left_out else []
    listed = "".join(f"<dt>{words[name]}</dt><dd>{escape(str(value))}</dd>" for name, value in facts)
    columns = ("kind", "what", "severity", "ward", "due", "note", "verdict")
    head = "".join(f'<th scope="col">{words[name]}</th>' for name in columns)
    rows = "".join(_row(line, words, lang, ward_names) for line in report.lines)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    title = f"{words['title']} · {words['shift']} {report.shift}"
    return (
        f'<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1><dl>{listed}</dl>"
        f"{table if report.lines else '<p>' + words['none'] + '</p>'}"
        f'<div class="sign"><p>{words["sign_out"]}: {escape(report.lead)}</p>'
        f"<p>{words['sign_in']}: {escape(report.incoming)}</p></div>"
        f'<p class="hash">{words["hash"]}: {sha256}</p></body></html>'
    )


def _row(line: ReportLine, words: Mapping[str, str], lang: str, ward_names: Mapping[str, str]) -> str:
    verdict = words["ended"] if line.ended else words[line.verdict.value]
    cells = (
        words[line.kind.value],
        " · ".join(filter(None, (line.title.vi if lang == "vi" else line.title.en, line.source, line.ref))),
        words[line.severity.value] if line.severity else "–",
        ward_names.get(line.ward or "", line.ward or "–"),
        (_local(line.due) + (f" ({words['overdue']})" if line.overdue else "")) if line.due else "–",
        line.note or "–",
        f"{verdict}: {line.reason}" if line.reason else verdict,
    )
    mark = ' class="ended"' if line.ended else ""
    return f"<tr{mark}>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _local(time: str) -> str:
    """Return a time of the wire as people in Việt Nam write it."""
    date, clock = format_us(parse_us(time) + LOCAL_US).split("T")
    year, month, day = date.split("-")
    return f"{clock[:5]} {day}/{month}/{year}"
