"""The audit log: who did or saw what, in chains that show every later change (migration 0081).

`record` is the one way in for everything but incidents, whose audit rows enter by a trigger. `verify` reads
the whole log and compares it with itself and with anchors: newest hashes that were written outside the
database (`ioc/app/audit_keeper.py`). What each kind of finding means:

    edited      an entry does not fit its hash: it, or the entry before it, was changed or exchanged
    content     what the entry tells was changed
    missing     entries were deleted, in the middle of an area or after its last anchor
    rewritten   an entry fits its chain but not the anchor: everything since was computed anew
                (a note masked on purpose is no finding: an entry of `retention` tells what stands there now)
    unchained   incident audit rows that no entry covers: they were slipped in
"""

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

BATCH_ENTRIES: Final = 2_000
MAX_FINDINGS: Final = 100
RECENT_ENTRIES: Final = 5_000
_ROOT: Final = bytes(32)


class Area(StrEnum):
    """The chains besides those of wards."""

    ACCESS = "access"
    CITY = "city"
    """What concerns no ward alone: incidents without one, and shifts."""
    PERSONAL = "personal"
    RETENTION = "retention"


class Anchor(msgspec.Struct, frozen=True):
    """An area's newest entry at some time. `hash` is hexadecimal."""

    area: str
    seq: int
    hash: str


class Finding(msgspec.Struct, frozen=True):
    """One place where the log is not what was written."""

    kind: str
    area: str
    seq: int | None
    detail: str


class Verified(msgspec.Struct, frozen=True):
    """Outcome of a verification. `more` findings beyond `MAX_FINDINGS` are only counted."""

    entries: int
    areas: int
    anchors: int
    findings: tuple[Finding, ...]
    more: int

    @property
    def intact(self) -> bool:
        """True when nothing was found."""
        return not self.findings


async def record(
    connection: AsyncConnection[Any],
    area: Area,
    *,
    actor: str,
    op: str,
    subject: str,
    details: Mapping[str, object] | None = None,
) -> None:
    """Append an entry. Call it late in a transaction: the area's chain stays locked until its end."""
    doc = {"actor": actor, "op": op, "subject": subject, **(details or {})}
    await connection.execute(
        "INSERT INTO audit_entry (area, actor, op, subject, doc) VALUES (%s, %s, %s, %s, %s)",
        (area.value, actor, op, subject, Jsonb(doc)),
    )


async def count_recent(connection: AsyncConnection[Any], area: Area, actor: str, ops: Sequence[str]) -> int:
    """Return how many entries of `ops` `actor` caused in the last hour, of the newest `RECENT_ENTRIES`."""
    found = await connection.execute(
        "SELECT count(*) FROM (SELECT actor, op, recorded FROM audit_entry WHERE area = %s"
        " ORDER BY seq DESC LIMIT %s) AS newest"
        " WHERE actor = %s AND op = ANY(%s) AND recorded > now() - interval '1 hour'",
        (area.value, RECENT_ENTRIES, actor, list(ops)),
    )
    row = await found.fetchone()
    assert row is not None
    return int(row[0])


async def read_heads(connection: AsyncConnection[Any]) -> list[Anchor]:
    """Return the newest entry of every area."""
    rows = await connection.execute(
        "WITH RECURSIVE area_name AS ((SELECT min(area) AS area FROM audit_entry) UNION ALL"
        " SELECT (SELECT min(e.area) FROM audit_entry e WHERE e.area > a.area) FROM area_name a"
        " WHERE a.area IS NOT NULL)"
        " SELECT e.area, e.seq, e.hash FROM area_name a CROSS JOIN LATERAL (SELECT * FROM audit_entry"
        " WHERE area = a.area ORDER BY seq DESC LIMIT 1) e"
    )
    return [Anchor(area, seq, bytes(found).hex()) async for area, seq, found in rows]


async def count_entries(connection: AsyncConnection[Any]) -> int:
    """Return how many entries there are."""
    row = await (await connection.execute("SELECT count(*) FROM audit_entry")).fetchone()
    assert row is not None
    return int(row[0])


async def verify(
    connection: AsyncConnection[Any],
    anchors: Sequence[Anchor],
    progress: Callable[[int], None] = lambda _done: None,
) -> Verified:
    """Check every entry; `progress` is told how many have been checked so far.

    The connection must serve everything and speak UTC, as those of `open_pool` do.
    """
    check = _Check(
        {(anchor.area, anchor.seq): anchor.hash for anchor in anchors}, await _masked_notes(connection)
    )
    async for batch in _batches(connection):
        for row in batch:
            check.take(row)
        progress(check.entries)
    check.end_area()
    check.report_lost_anchors()
    await _find_unchained(connection, check)
    return Verified(check.entries, len(check.areas), len(anchors), tuple(check.findings), check.more)


class _Row(msgspec.Struct, frozen=True):
    area: str
    seq: int
    recorded_us: int
    actor: str
    op: str
    subject: str
    rev: int | None
    content: bytes
    hash: bytes
    told: str | None
    """What the entry tells, as the database writes it; None where it is gone."""

    @property
    def head(self) -> bytes:
        """The columns that the hash covers, as PostgreSQL writes a JSON array."""
        columns = [self.area, self.seq, self.recorded_us, self.actor, self.op, self.subject, self.rev]
        return json.dumps(columns, ensure_ascii=False).encode()


class _Check:
    """Goes along the entries in the order of areas and numbers."""

    def __init__(
        self, anchors: dict[tuple[str, int], str], masked: Mapping[tuple[str, int | None], bytes]
    ) -> None:
        self.entries = 0
        self.areas: set[str] = set()
        self.findings: list[Finding] = []
        self.more = 0
        self._anchors = anchors
        self._masked = masked
        self._area = ""
        self._seq = 0
        self._hash = _ROOT

    def take(self, row: _Row) -> None:
        """Check the next entry."""
        if row.area != self._area:
            self.end_area()
            self._area, self._seq, self._hash = row.area, 0, _ROOT
            self.areas.add(row.area)
        self.entries += 1
        gap = row.seq - self._seq - 1
        if gap:
            self._find("missing", row.area, self._seq + 1, f"{gap} entries before number {row.seq}")
        elif row.hash != hashlib.sha256(self._hash + row.head + row.content).digest():
            self._find("edited", row.area, row.seq, f"{row.op} of {row.subject} by {row.actor}")
        self._check_content(row)
        anchored = self._anchors.pop((row.area, row.seq), None)
        if anchored not in (None, row.hash.hex()):
            self._find("rewritten", row.area, row.seq, "its hash is not the one anchored outside")
        self._seq, self._hash = row.seq, row.hash

    def _check_content(self, row: _Row) -> None:
        if row.told is None:
            self._find("content", row.area, row.seq, f"the audit row of {row.subject} rev {row.rev} is gone")
        elif hashlib.sha256(row.told.encode()).digest() != self._masked.get(
            (row.subject, row.rev), row.content
        ):
            self._find("content", row.area, row.seq, f"what {row.op} of {row.subject} tells was changed")

    def end_area(self) -> None:
        """Say which of the area's anchors stand beyond its last entry."""
        lost = [seq for area, seq in self._anchors if area == self._area and seq > self._seq]
        if lost:
            self._find("missing", self._area, self._seq + 1, f"entries up to number {max(lost)} at least")
            self._anchors = {
                key: value
                for key, value in self._anchors.items()
                if key[0] != self._area or key[1] <= self._seq
            }

    def report_lost_anchors(self) -> None:
        """Say which anchors met no entry although their area has later ones, or has none at all."""
        for area, seq in sorted(self._anchors):
            self._find("missing", area, seq, "anchored outside the database, but not there")

    def unchained(self, incident_id: str, rev: int) -> None:
        """Say that an audit row is covered by no entry."""
        self._find("unchained", "", None, f"audit row of {incident_id} rev {rev}")

    def _find(self, kind: str, area: str, seq: int | None, detail: str) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(kind, area, seq, detail))
        else:
            self.more += 1


async def _batches(connection: AsyncConnection[Any]) -> AsyncIterator[list[_Row]]:
    area, seq = "", 0
    while True:
        found = await connection.execute(
            "SELECT e.area, e.seq, (extract(epoch FROM e.recorded) * 1000000)::bigint, e.actor, e.op,"
            "  e.subject, e.rev, e.content, e.hash, jsonb_strip_nulls(coalesce(e.doc, to_jsonb(a)))::text"
            " FROM audit_entry e LEFT JOIN incident_audit a"
            "  ON e.rev IS NOT NULL AND a.incident_id = e.subject AND a.rev = e.rev"
            " WHERE (e.area, e.seq) > (%s, %s) ORDER BY e.area, e.seq LIMIT %s",
            (area, seq, BATCH_ENTRIES),
        )
        rows = [_Row(*row) for row in await found.fetchall()]
        if not rows:
            return
        yield rows
        area, seq = rows[-1].area, rows[-1].seq


async def _masked_notes(connection: AsyncConnection[Any]) -> dict[tuple[str, int | None], bytes]:
    """Return what now stands in the place of notes that were masked on purpose, by incident and revision."""
    found = await connection.execute(
        "SELECT subject, doc ->> 'rev', doc ->> 'content' FROM audit_entry"
        " WHERE area = 'retention' AND op = 'note_masked' ORDER BY seq"
    )
    return {(subject, int(rev)): bytes.fromhex(content) async for subject, rev, content in found}


async def _find_unchained(connection: AsyncConnection[Any], check: _Check) -> None:
    found = await connection.execute(
        "SELECT a.incident_id, a.rev FROM incident_audit a WHERE NOT EXISTS (SELECT FROM audit_entry e"
        " WHERE e.subject = a.incident_id AND e.rev = a.rev AND e.rev IS NOT NULL) LIMIT %s",
        (MAX_FINDINGS,),
    )
    async for incident_id, rev in found:
        check.unchained(incident_id, rev)
