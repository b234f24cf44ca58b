"""The city with simulated traffic: detectors and cameras say what the simulation shows them.

Everything else about the city, people, plates, heartbeats, citizens and the devices off the network, is the
city model's (`World`). The same arguments give the same events, however the time is cut.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from simulators.fleet import Fleet
from simulators.steps import Happening, Kind
from simulators.sumo.closures import Block, resolve
from simulators.sumo.demand import Demand
from simulators.sumo.jams import Watch, state_of
from simulators.sumo.measure import Loop, count, joined
from simulators.sumo.snap import REACH_M, Map, Site, View, sees, snap
from simulators.sumo.traffic import Traffic
from simulators.times import SECOND_US
from simulators.truth import Expected, expect
from simulators.world import PERIODS_S, Event, World, event_of

INTERVAL_S: Final = PERIODS_S["traffic.flow"]


class Wishes(msgspec.Struct, frozen=True):
    """What the city can be asked for.

    `trips_per_h` at the peak is None for as many as fit the network, 0 where routes are given. With
    `per_lane` a detector tells each lane by itself. With `only_simulated` nobody speaks but the devices on
    the network, and they of traffic only.
    """

    trips_per_h: float | None = None
    per_lane: bool = False
    only_simulated: bool = False
    reach_m: float = REACH_M
    blocks: tuple[Block, ...] = ()


class SumoCity:
    """A `City` over a running simulation, which it does not close.

    Args:
        world: the rest of the city; its fleet, seed, start and speed of the day are the simulation's.
        traffic: not yet stepped.
        wishes: what was asked for.

    Raises:
        SumoError: the network fits none of the fleet's devices, or a block's place is not on it.
    """

    def __init__(self, world: World, traffic: Traffic, wishes: Wishes) -> None:
        self._world = world
        self._traffic = traffic
        self._wishes = wishes
        lanes = traffic.lanes()
        network = Map(lanes)
        units = tuple(world.fleet.units.values())
        self.sites = snap(units, network, traffic.place, traffic.loops(), wishes.reach_m)
        self._sites = {site.device: site for site in self.sites.detectors}
        self._views = {view.device: view for view in self.sites.cameras}
        self.closures = [resolve(block, network, self.sites) for block in wishes.blocks]
        self._sought: set[str] = set()
        """Names of the breakdowns that are due now."""
        self._demand = Demand(lanes, world.seed, wishes.trips_per_h) if wishes.trips_per_h != 0 else None
        traffic.install([loop for site in self.sites.detectors for loop in site.loops])
        self._loops = {loop.id: Loop(INTERVAL_S + 1) for site in self.sites.detectors for loop in site.loops}
        self._jams, self._stopped = Watch(Kind.CONGESTION), Watch(Kind.STOPPED_VEHICLE)
        self._ready: deque[tuple[int, Event]] = deque()
        self._next_us = world.start_us
        self._second = 0
        """Seconds simulated so far; the last one ended at `_next_us`."""
        self.under_way = 0
        self.unroutable = 0
        """Trips without a way from their start to their end."""

    @property
    def fleet(self) -> Fleet:
        """The devices."""
        return self._world.fleet

    @property
    def start_us(self) -> int:
        """When the events begin."""
        return self._world.start_us

    @property
    def played_s(self) -> float:
        """How many seconds have been simulated since the start."""
        return (self._next_us - self.start_us) / SECOND_US

    @property
    def only_simulated(self) -> bool:
        """Whether nobody speaks but the devices on the network."""
        return self._wishes.only_simulated

    def warm_up(self, seconds: int) -> Iterator[int]:
        """Fill the roads before the start; yield after each second how many vehicles there are."""
        self._next_us = self.start_us - seconds * SECOND_US
        for _ in range(seconds):
            self._step()
            yield self.under_way

    def begin(self, start_us: int) -> None:
        """Let the events begin at another moment than was planned, since warming up takes time."""
        world = self._world
        self._world = World(world.fleet, (), seed=world.seed, start_us=start_us, speed=world.speed)
        self._next_us = start_us

    def events_between(self, t0_us: int, t1_us: int) -> list[Event]:
        """Simulate up to `t1` and return the events sent in [t0, t1), in order.

        Times rise from call to call. A stretch of time that was left out is left out of the simulation, too:
        the same vehicles are there behind it.
        """
        missed = (t0_us - self._next_us) // SECOND_US
        if missed > 0:
            self._ready.clear()
            self._next_us += missed * SECOND_US
        while self._next_us < t1_us:
            begin_us = self._next_us
            self._step()
            self._ready.extend(self._events(begin_us, begin_us + SECOND_US))
        found: list[Event] = []
        while self._ready and self._ready[0][0] < t1_us:
            at_us, event = self._ready.popleft()
            if at_us >= t0_us:
                found.append(event)
        return found

    def happenings(self) -> list[Happening]:
        """Return what has stood since the start: jams at detectors, broken-down vehicles before cameras."""
        span = self.start_us, self._next_us
        both = [*self._jams.happenings(*span), *self._stopped.happenings(*span)]
        return sorted(both, key=lambda item: (item.start_us, item.target))

    def truth(self, duration_s: float) -> list[Expected]:
        """Return the incidents to expect in `duration_s` seconds from the start on."""
        wards = {unit.id: unit.ward for unit in self.fleet.units.values()}
        return expect(self.happenings(), wards, self.start_us, duration_s)

    def _step(self) -> None:
        begin_us, end_us = self._next_us, self._next_us + SECOND_US
        if self._demand is not None:
            for trip in self._demand.trips(begin_us, self._world.fast_us(begin_us)):
                self.unroutable += not self._traffic.add(trip)
        self._open_and_close(begin_us)
        self.under_way = self._traffic.step()
        self._second += 1
        self._next_us = end_us
        for name, loop in self._loops.items():
            loop.note(self._traffic.passages(name), self._second)
        for site in self.sites.detectors:
            state = state_of([self._traffic.zone(loop.id) for loop in site.loops])
            if state is not None:
                self._jams.note(site.device, end_us, state)
        self._watch_blocks(end_us)

    def _open_and_close(self, now_us: int) -> None:
        for closure in self.closures:
            at_s = (now_us - self.start_us) / SECOND_US
            due = closure.block.at_s <= at_s < closure.block.at_s + closure.block.for_s
            for name, lane in zip(closure.names(), closure.lanes, strict=True):
                if due and name not in self._sought:
                    self._traffic.stand(name, lane, closure.at_m)
                    self._sought.add(name)
                elif not due and name in self._sought:
                    self._traffic.clear(name)
                    self._sought.remove(name)

    def _watch_blocks(self, now_us: int) -> None:
        """Note which cameras have a breakdown in view."""
        stands = [
            (lane, closure.at_m)
            for closure in self.closures
            for name, lane in zip(closure.names(), closure.lanes, strict=True)
            if name in self._sought and self._traffic.stands(name)
        ]
        for view in self.sites.cameras:
            if any(sees(stretch, *place) for stretch in view.stretches for place in stands):
                self._stopped.note(view.device, now_us)

    def _events(self, begin_us: int, end_us: int) -> Iterator[tuple[int, Event]]:
        """Yield the model's events of the second just simulated, with what the simulation knows better."""
        for at_us, event in self._world.sent_between(begin_us, end_us):
            source, kind = str(event["source"]), event["type"]
            if kind == "traffic.flow" and source in self._sites:
                yield from ((at_us, told) for told in self._flow(self._sites[source], at_us))
            elif kind == "camera.count" and source in self._views:
                yield at_us, self._counted(self._views[source], event)
            elif not self._wishes.only_simulated:
                yield at_us, event

    def _flow(self, site: Site, at_us: int) -> Sequence[Event]:
        to_s = self._second - (self._next_us - at_us) / SECOND_US
        flows = [self._loops[loop.id].flow(to_s - INTERVAL_S, to_s) for loop in site.loops]
        if not self._wishes.per_lane:
            return [event_of(site.device, "traffic.flow", at_us, joined(flows).data(INTERVAL_S))]
        return [
            event_of(site.device, "traffic.flow", at_us, flow.data(INTERVAL_S, number), f"lane{number}")
            for number, flow in enumerate(flows, 1)
        ]

    def _counted(self, view: View, event: Event) -> Event:
        seen = count(view.stretches, self._traffic.seen)
        model = event["data"]
        people = model.get("people", 0) if isinstance(model, dict) and not self._wishes.only_simulated else 0
        data = {"people": people, "vehicles": seen.vehicles, "stopped_vehicles": seen.stopped}
        return event | {"data": data | {"counts": seen.kinds}}
