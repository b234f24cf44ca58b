"""A clock that was ahead and is put right must not leave the rules blind.

log time   10:00 ── 11:00 (clock an hour ahead) ── 10:01 (put right) ── 10:02
alarms                 ▲                              ▲
"""

from ioc.model.events import AlarmKind, CameraAlarm, Event
from ioc.model.incidents import Raised
from ioc.model.records import Tick
from ioc.model.times import HOUR_US, MINUTE_US, SECOND_US
from ioc.rules import PartitionEngine, load

RULE = """
rule: wrong-way
title: {vi: Ngược chiều, en: Wrong way}
stream: camera
type: camera.alarm
where: kind == "wrong_way"
hold: 60s
severity: critical
route: {category: traffic}
"""
START_US = 1_700_000_000 * SECOND_US


def alarm(source: str, time_us: int) -> Event:
    data = CameraAlarm(kind=AlarmKind.WRONG_WAY)
    return Event(id=f"{source}{time_us}", source=source, time_us=time_us, received_us=time_us, data=data)


def test_alarms_after_the_clock_was_put_back_are_not_late() -> None:
    engine = PartitionEngine(load({"r.yaml": RULE}), partition=0)
    ahead_us, right_us = START_US + HOUR_US, START_US + MINUTE_US
    engine.on_batch([(0, Tick(START_US)), (1, Tick(ahead_us)), (2, alarm("cam-1", ahead_us))])
    effects = engine.on_batch([(3, Tick(right_us)), (4, alarm("cam-2", right_us)), (5, Tick(right_us + 1))])
    assert [effect.key for effect in effects if isinstance(effect, Raised)] == ["cam-2"]
    assert engine.watermark_us is not None
    assert engine.watermark_us < START_US + HOUR_US


def test_a_small_step_back_moves_nothing() -> None:
    engine = PartitionEngine(load({"r.yaml": RULE}), partition=0)
    engine.on_batch([(0, Tick(START_US))])
    before_us = engine.watermark_us
    engine.on_batch([(1, Tick(START_US - 5 * SECOND_US))])
    assert engine.watermark_us == before_us
