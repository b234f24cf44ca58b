"""The list of rules shows what the workers measured."""

from datetime import UTC, datetime

from ioc.app.rule_sets import build_set
from ioc.app.rule_view import describe
from ioc.store.rule_state import PartitionStatus, RuleReport
from ioc.store.rule_versions import RuleItem

TEXT = """
rule: it
title: {vi: a, en: a}
stream: traffic
type: traffic.flow
where: speed_kmh < 9
hold: 9s
severity: low
"""


def item() -> RuleItem:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return RuleItem(
        rule="it", lane="active", version=1, source="d", hash="h", enabled=True, file="it.yaml", text=TEXT,
        op="import", at=at, author="an",
    )  # fmt: skip


def test_a_rule_that_took_microseconds_does_not_look_as_if_it_had_not_run() -> None:
    report = RuleReport(hash="h", seconds=0.000_1)
    status = {number: PartitionStatus(version=1, active={"it": report}) for number in range(4)}
    (shown,) = describe(build_set(1, [item()]), status, {})
    assert shown.seconds == 0.000_4
