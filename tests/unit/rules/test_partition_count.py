"""Incidents do not depend on the number of partitions: the log is cut by ward, ticks reach all of it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ioc.model.incidents import Effect, Raised
from ioc.model.records import Tick
from ioc.rules import ExpectedSource, PartitionEngine, load
from tests.unit.rules.scenes import Item, alarm, count, flow, us
from tests.unit.rules.test_engine_properties import INDEX, RULES

WARDS = ("25747", "25750", "25753", "25756", "25759", "25762")
EXPECTED = {f"cam-{ward}": ExpectedSource("camera", ward, 106.0, 11.0) for ward in WARDS}
PROGRAM = load({"rules.yaml": RULES.replace('source == "a"', 'source.startsWith("a")')}, INDEX)


@st.composite
def cities(draw: st.DrawFn) -> list[Item]:
    """Log order of a city whose devices each stand in one ward, with delays and clocks that run ahead."""
    now, items = 0.0, []
    for _ in range(draw(st.integers(1, 80))):
        now += draw(st.sampled_from([0.0, 0.1, 0.5, 1.0, 1.0, 2.0, 5.0, 30.0]))
        kind = draw(st.sampled_from("ttffcca"))
        if kind == "t":
            items.append(Tick(us(now)))
            continue
        ward = draw(st.sampled_from(WARDS[:1] * 6 + WARDS))
        more = {"source": f"{draw(st.sampled_from('ab'))}-{ward}", "ward": ward, "arrives": now}
        more |= {"lon": draw(st.sampled_from([106.0, 106.001, None])), "lat": 0.0}
        at = now - draw(st.sampled_from([0.0, 0.0, 0.0, 0.4, 3.0, 15.0, 70.0, -90.0]))
        if kind == "f":
            items.append(flow(at, draw(st.sampled_from([5.0, 10.0, 20.0, 30.0, None])), **more))
        elif kind == "c":
            items.append(count(at, draw(st.integers(0, 12)), **more))
        else:
            active = draw(st.booleans())
            items.append(alarm(at, draw(st.sampled_from(["wrong_way", "flood"])), active=active, **more))
    return items


def effects_over(partitions: int, places: dict[str, int], items: list[Item], sizes: int) -> list[Effect]:
    """Return what all partitions say, each in batches of `sizes`; `places` numbers each ward's partition."""
    found: list[Effect] = []
    for partition in range(partitions):
        here = [item for item in items if isinstance(item, Tick) or places[item.ward or ""] == partition]
        expected = {
            name: source for name, source in EXPECTED.items() if places[source.ward or ""] == partition
        }
        engine = PartitionEngine(PROGRAM, partition=partition, expected_sources=expected)
        for first in range(0, len(here), sizes):
            found += engine.on_batch(list(enumerate(here[first : first + sizes], first)))
        assert not engine.failures
    return sorted(found, key=repr)


@given(cities(), st.integers(2, 6), st.integers(1, 30), st.data())
@settings(max_examples=200, deadline=None)
def test_incidents_do_not_depend_on_the_number_of_partitions(
    items: list[Item], partitions: int, sizes: int, data: st.DataObject
) -> None:
    places = {ward: data.draw(st.integers(0, partitions - 1), label=ward) for ward in WARDS}
    one = effects_over(1, dict.fromkeys(WARDS, 0), items, len(items))
    assert effects_over(partitions, places, items, sizes) == one


def test_the_drawn_cities_raise_incidents_in_several_wards() -> None:
    """The property would prove nothing if the rules slept, or if one partition said everything."""
    wards: set[str | None] = set()
    rules: set[str] = set()

    @given(cities())
    @settings(max_examples=300, deadline=None, database=None, derandomize=True)
    def collect(items: list[Item]) -> None:
        for effect in effects_over(1, dict.fromkeys(WARDS, 0), items, len(items)):
            if isinstance(effect, Raised):
                rules.add(effect.rule)
                wards.add(effect.ward)

    collect()
    assert wards >= set(WARDS)
    # `little` listens to feedback, which nobody gives here
    assert {item.rule.name for item in PROGRAM.rules} - rules <= {"little"}
