"""`--block`: lanes that broken-down vehicles close for a while, so that a jam forms by itself. Pure."""

import difflib
from collections.abc import Sequence
from typing import Final

import msgspec

from simulators.sumo import SumoError
from simulators.sumo.snap import Map, Sites, within

AHEAD_M: Final = 40.0
"""How far behind a detector, in driving direction, the road is closed when the detector is named."""
MAX_BLOCKS: Final = 100


class Block(msgspec.Struct, frozen=True):
    """What was asked for: an edge, one lane or a detector's carriageway; seconds from the start."""

    place: str
    at_s: float
    for_s: float


class Closure(msgspec.Struct, frozen=True):
    """A block on the network: something stands at `at_m` of each of `lanes`."""

    block: Block
    lanes: tuple[str, ...]
    at_m: float

    def names(self) -> list[str]:
        """Return the names of what stands there, one a lane."""
        return [f"block-{self.block.at_s:g}-{lane}" for lane in self.lanes]


def blocks(places: Sequence[str], at_s: Sequence[float], for_s: Sequence[float]) -> list[Block]:
    """Return the blocks of the command line: the first place with the first time, and so on.

    Raises:
        SumoError: not as many of one as of the others, or a time that is none.
    """
    if not len(places) == len(at_s) == len(for_s):
        raise SumoError(
            f"{len(places)} --block, {len(at_s)} --at and {len(for_s)} --for: give each block both times"
        )
    if len(places) > MAX_BLOCKS:
        raise SumoError(f"--block: {MAX_BLOCKS} at most, not {len(places)}")
    for name, values, least in (("--at", at_s, 0.0), ("--for", for_s, 1.0)):
        for value in values:
            if value < least:
                raise SumoError(f"{name} {value:g}: seconds, {least:g} or more")
    return [Block(*item) for item in zip(places, at_s, for_s, strict=True)]


def resolve(block: Block, network: Map, sites: Sites) -> Closure:
    """Return where `block` is.

    Raises:
        SumoError: the network has no such edge or lane, and the fleet no such detector on it.
    """
    place = block.place
    if place in network.lanes:
        lane = network.lanes[place]
        return Closure(block, (place,), round(lane.length_m / 2, 2))
    if place in network.edges:
        lanes = network.edges[place]
        return Closure(block, tuple(lane.id for lane in lanes), round(lanes[0].length_m / 2, 2))
    site = next((site for site in sites.detectors if site.device == place), None)
    if site is not None:
        lanes = network.edges[site.edge]
        at_m = within(site.at_m + AHEAD_M, min(lane.length_m for lane in lanes))
        if at_m <= site.at_m:
            raise SumoError(
                f"--block {place}: its edge {site.edge} ends right behind it; name an edge instead"
            )
        return Closure(block, tuple(lane.id for lane in lanes), round(at_m, 2))
    known = [*network.edges, *(site.device for site in sites.detectors)]
    near = difflib.get_close_matches(place, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "name an edge, a lane or a detector of the network"
    raise SumoError(f"--block {place}: there is none on the network; {hint}")
