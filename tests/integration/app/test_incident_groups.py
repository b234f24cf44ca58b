"""Grouping, escalation, policies and previews on a real PostgreSQL."""

import json
import time
from collections.abc import AsyncIterator

import msgspec
import pytest

from ioc.api.ports import NotFoundError
from ioc.app.clock import now_us
from ioc.app.directory import Directory
from ioc.app.incidents.desk import Desk
from ioc.app.incidents.effects import apply_effects
from ioc.app.incidents.keeper import IncidentKeeper
from ioc.app.incidents.policy_view import StoredPolicies
from ioc.app.incidents.service import IncidentService
from ioc.app.retry import RETRYABLE
from ioc.incidents.commands import Command, Conflict, KeyReused, Op
from ioc.incidents.policies import POLICIES as KNOWN
from ioc.incidents.policies import Policies
from ioc.model.incidents import Change, Cleared, Condition, Handling, Severity, Updated
from ioc.model.places import Area
from ioc.model.texts import Text
from ioc.model.times import MINUTE_US, SECOND_US
from ioc.store.areas import replace_areas
from ioc.store.embedded import Dsns
from ioc.store.incidents import IncidentFilter, write_changes
from ioc.store.policies import StalePolicyError
from ioc.store.pool import Pool, open_pool
from tests.integration.app.test_incident_service import NOW_US, WHY, raised

HERE = {"lon": 106.65, "lat": 11.0}
POLICIES = Policies(ward_names={"25747": "Phường Thủ Dầu Một", "25750": "Phường Phú Lợi"})


@pytest.fixture
async def pool(database: Dsns) -> AsyncIterator[Pool]:
    async with open_pool(database.app, name="test") as pool:
        yield pool


@pytest.fixture
def service(pool: Pool) -> IncidentService:
    return IncidentService(pool, lambda: POLICIES)


async def apply(pool: Pool, *effects: object) -> None:
    async with pool.connection() as connection, connection.transaction():
        await apply_effects(connection, effects, POLICIES)  # type: ignore[arg-type]


FIRST = raised(NOW_US, key="cam-1", **HERE)
SECOND = raised(NOW_US + MINUTE_US, key="cam-2", **HERE)
STORY = (
    FIRST,
    SECOND,
    raised(NOW_US + 2 * MINUTE_US, key="cam-3", **HERE),
    Cleared(incident_id=FIRST.incident_id, at_us=NOW_US + 3 * MINUTE_US, reason="hold", count=2),
    Updated(
        incident_id=SECOND.incident_id,
        at_us=NOW_US + 4 * MINUTE_US,
        severity=Severity.CRITICAL,
        why=WHY,
        count=5,
    ),
)


async def test_alarms_of_one_happening_are_one_incident_that_lists_them(
    pool: Pool, service: IncidentService
) -> None:
    await apply(pool, FIRST)
    await apply(pool, SECOND)
    page, _ = await service.page(IncidentFilter())
    assert [(item.id, item.members) for item in page] == [(FIRST.incident_id, 1)]
    (member,) = await service.members(FIRST.incident_id)
    assert (member.id, member.handling, member.merged_by) == (
        SECOND.incident_id,
        Handling.MERGED,
        "blocked-road",
    )
    assert [audit.op for audit in await service.history(FIRST.incident_id)] == ["raised", "joined"]


async def test_a_head_raised_after_its_members_in_one_transaction_is_stored_with_them(
    pool: Pool, service: IncidentService
) -> None:
    graver = msgspec.structs.replace(
        raised(NOW_US + MINUTE_US, key="cam-2", **HERE), severity=Severity.CRITICAL
    )
    await apply(pool, FIRST, graver)
    page, _ = await service.page(IncidentFilter())
    assert [(item.id, item.members) for item in page] == [(graver.incident_id, 1)]
    (member,) = await service.members(graver.incident_id)
    assert (member.id, member.merged_into) == (FIRST.incident_id, graver.incident_id)


async def test_of_two_partitions_that_raise_one_key_at_once_the_second_begins_again(
    pool: Pool, service: IncidentService, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = raised(NOW_US, key="bus-1", ward="25747")
    there = raised(NOW_US + SECOND_US, key="bus-1", ward="25750")

    async def before_the_first_has_committed(*_: object) -> list[str]:
        return []

    await apply(pool, here)
    with monkeypatch.context() as patched, pytest.raises(RETRYABLE):
        patched.setattr("ioc.store.incidents.read_active_ids", before_the_first_has_committed)
        await apply(pool, there)
    await apply(pool, there)
    found = {item.id: item.condition for item in (await service.page(IncidentFilter()))[0]}
    assert found == {here.incident_id: Condition.CLEARED, there.incident_id: Condition.ACTIVE}


@pytest.mark.parametrize("cuts", [(1, 2, 3, 4), (2,), (3,), ()])
async def test_how_batches_are_cut_changes_nothing(
    pool: Pool, service: IncidentService, cuts: tuple[int, ...]
) -> None:
    begins, ends = (0, *cuts), (*cuts, len(STORY))
    for begin, end in zip(begins, ends, strict=True):
        await apply(pool, *STORY[begin:end])
    head, grown = await service.get(FIRST.incident_id), await service.get(SECOND.incident_id)
    assert (head.rev, head.members, head.members_active) == (5, 1, 1)
    assert (grown.handling, grown.severity) == (Handling.NEW, Severity.CRITICAL), "hidden no longer"
    ops = [audit.op for audit in await service.history(FIRST.incident_id)]
    assert ops == ["raised", "joined", "joined", "cleared", "left"]


async def test_grouping_is_undone_and_redone_by_people(pool: Pool, service: IncidentService) -> None:
    await apply(pool, FIRST, SECOND)
    unmerge = Command(op=Op.UNMERGE, expect_rev=1, idem="unmerge-1", note="việc khác")
    assert (await service.command(SECOND.incident_id, unmerge, "an")).handling is Handling.NEW
    assert await service.members(FIRST.incident_id) == []
    merge = Command(op=Op.MERGE, expect_rev=2, idem="merge-1", into=FIRST.incident_id)
    assert (await service.command(SECOND.incident_id, merge, "an")).merged_by == "manual"
    head = await service.get(FIRST.incident_id)
    assert (head.members, head.rev) == (1, 4)


async def test_members_go_with_their_head_to_another_ward(pool: Pool, service: IncidentService) -> None:
    await apply(pool, FIRST, SECOND)
    reroute = Command(op=Op.REROUTE, expect_rev=2, idem="reroute-1", ward="25750", note="bên kia đường")
    await service.command(FIRST.incident_id, reroute, "an")
    assert (await service.get(SECOND.incident_id)).ward == "25750"


async def test_a_key_used_for_another_content_is_a_conflict_and_changes_nothing(
    pool: Pool, service: IncidentService
) -> None:
    await apply(pool, FIRST)
    command = Command(op=Op.COMMENT, expect_rev=1, idem="same-key", note="một")
    await service.command(FIRST.incident_id, command, "an")
    assert (await service.command(FIRST.incident_id, command, "an")).rev == 2
    with pytest.raises(KeyReused) as caught:
        await service.command(FIRST.incident_id, msgspec.structs.replace(command, note="hai"), "an")
    assert isinstance(caught.value, Conflict)
    assert (caught.value.current.rev, caught.value.current.note) == (2, "một")
    assert (await service.command(FIRST.incident_id, command, "an")).rev == 2, "the first one still answers"


async def test_the_keeper_takes_each_escalation_step_once_and_ends_shelving(
    pool: Pool, service: IncidentService
) -> None:
    await apply(pool, FIRST)
    incident = await service.get(FIRST.incident_id)
    due_us = incident.ack_due_us
    assert due_us is not None
    keeper = IncidentKeeper(pool, 600, lambda: POLICIES)
    assert await keeper.remind(due_us - 1) == []
    assert [change.audit.op for change in await keeper.remind(due_us)] == ["escalate"]
    assert await keeper.remind(due_us) == []
    assert (await service.get(FIRST.incident_id)).level == 1
    shelved_until_us = due_us + SECOND_US
    shelved = msgspec.structs.replace(
        await service.get(FIRST.incident_id), rev=3, shelved_until_us=shelved_until_us
    )
    async with pool.connection() as connection, connection.transaction():
        audit = msgspec.structs.replace((await service.history(FIRST.incident_id))[0], rev=3)
        await write_changes(connection, [Change(incident=shelved, audit=audit)])
    assert [change.audit.op for change in await keeper.remind(shelved_until_us)] == ["unshelve"]


async def test_a_forecast_is_made_of_what_is_open_and_of_the_pace_of_a_day(
    pool: Pool, service: IncidentService
) -> None:
    now = now_us()
    first, other = (raised(now, key=f"cam-{n}", ward=ward) for n, ward in ((1, "25747"), (2, "25750")))
    await apply(pool, first, other)
    resolve = Command(op=Op.RESOLVE, expect_rev=1, idem="resolve-1", note="xong", override="diễn tập")
    await service.command(first.incident_id, resolve, "an", supervises=True)
    (item,) = await service.forecast(None, 24)
    # One in the two hours of two wards: the other is as quick, and its own is due before that.
    assert (item.ward, item.open, item.will_breach, item.per_hour) == ("25750", 1, 1, 0.5)
    assert await service.forecast(["25747"], 24) == []


def ward(code: str, south: float, north: float) -> Area:
    ring = [[106.0, south], [107.0, south], [107.0, north], [106.0, north], [106.0, south]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return Area(code=code, kind="ward", name=Text(f"Phường {code}", code), geometry=geometry)


@pytest.fixture
async def policies(pool: Pool) -> StoredPolicies:
    async with pool.connection() as connection:
        await replace_areas(connection, "ward", [ward("25747", 10.5, 11.5)])
    directory = Directory(pool)
    await directory.refresh()
    desk = Desk(pool, directory)
    await desk.refresh()
    return StoredPolicies(pool, desk, directory)


async def test_every_version_of_a_policy_is_kept_and_only_the_newest_is_followed(
    policies: StoredPolicies,
) -> None:
    assert [(info.name, info.version) for info in await policies.list()] == [(name, 0) for name in KNOWN]
    put = {"author": "an", "reason": "thử"}
    await policies.put("authority", {"fallback": "Tổ A"}, **put, expect_version=0)
    with pytest.raises(StalePolicyError, match="version 1"):
        await policies.put("authority", {"fallback": "Tổ B"}, **put, expect_version=0)
    await policies.put("authority", {"fallback": "Tổ C"}, **put, expect_version=1)
    versions = await policies.versions("authority")
    assert [(info.version, info.doc.get("fallback"), info.author) for info in versions] == [
        (2, "Tổ C", "an"), (1, "Tổ A", "an"), (0, "Tổ trực trung tâm", None),
    ]  # fmt: skip
    assert policies._desk.policies().authority.fallback == "Tổ C"
    with pytest.raises(NotFoundError):
        await policies.versions("weather")


async def test_the_wards_of_the_map_name_the_teams(pool: Pool, policies: StoredPolicies) -> None:
    table = {"rows": [{"category": "traffic", "team": "Đội CSGT {ward}"}]}
    await policies.put("authority", table, author="an", reason="bảng phân công", expect_version=0)
    async with pool.connection() as connection, connection.transaction():
        await apply_effects(connection, [FIRST], policies._desk.policies())
    assert (await IncidentService(pool).get(FIRST.incident_id)).team == "Đội CSGT Phường 25747"


async def test_a_preview_of_ten_thousand_open_incidents_takes_less_than_five_seconds(
    pool: Pool, policies: StoredPolicies
) -> None:
    async with pool.connection() as connection:
        await apply(pool, FIRST)
        await connection.execute(
            "INSERT INTO incident (id, rev, rule, key, category, severity, condition, handling, title, why,"
            " opened, detected, updated, ward, lon, lat, team)"
            " SELECT 'many-' || n, 1, rule, 'k' || n, category, severity, condition, handling, title, why,"
            " opened, detected, updated, ward, 106.1 + random() * 0.8, 10.6 + n * 0.8 / 10000, team"
            " FROM incident, generate_series(1, 9999) n"
        )
    wards = [ward("25747", 10.5, 11.0), ward("25750", 11.0, 11.5)]
    features = [
        {
            "type": "Feature",
            "properties": {"code": area.code, "kind": "ward", "name": area.name.vi},
            "geometry": area.geometry,
        }
        for area in wards
    ]
    areas = json.dumps({"type": "FeatureCollection", "features": features}).encode()
    began_s = time.process_time()
    found = await policies.preview(None, areas, None)
    assert time.process_time() - began_s < 5
    assert found.looked_at == 10_000
    assert {item.ward for item in found.changed} == {"25750"}
    assert abs(len(found.changed) - 5_000) < 10
