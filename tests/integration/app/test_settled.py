"""Whoever waits for the rules is told when they have taken all, and when they do not get on."""

import pytest

from ioc.app.rules.settled import NotSettledError, rules_settled
from ioc.model.times import SECOND_US
from ioc.store.embedded import Dsns
from tests.integration.app.rule_city import ROOT, rule_city
from tests.unit.rules.scenes import START_US, flow


async def test_rules_are_settled_once_the_log_is_committed_and_not_before(database: Dsns) -> None:
    seconds = [(START_US + n * SECOND_US, [flow(n - 0.5, 9, ward="w")]) for n in range(1, 6)]
    async with rule_city(database, ROOT / "rules") as city:
        await city.append_seconds(seconds)
        with pytest.raises(NotSettledError, match=r"25 records of ioc\.events behind"):
            await rules_settled(city.log, city.pool, patience_s=0.3)
        async with city.worker():
            await rules_settled(city.log, city.pool)
        await rules_settled(city.log, city.pool, patience_s=0.0)
