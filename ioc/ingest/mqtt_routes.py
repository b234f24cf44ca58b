"""Whose message it is that came from an external broker, by its topic. Pure.

Hardware of ours publishes below `ioc/v1/{its id}/`. Hardware that keeps topics of its own (a Frigate server,
cameras of another system) is named by routes: topic filters and the device that each stands for.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from aiomqtt import Topic, Wildcard

TOPIC_PREFIX: Final = "ioc/v1/"
_SHARED: Final = "$share/"


class Route(msgspec.Struct, frozen=True):
    """One filter and its device."""

    filter: str
    """Without `$share/{group}/`."""
    device_id: str
    fixed: str
    """The levels before the first wildcard, with the slash behind them; "" where there is no wildcard."""


def parse_routes(routes: Mapping[str, str]) -> tuple[Route, ...]:
    """Return the routes in their order.

    Raises:
        ValueError: a filter that MQTT does not know, or one for our own topics; it names the filter.
    """
    return tuple(_routes(routes))


def _routes(routes: Mapping[str, str]) -> Iterator[Route]:
    for written, device_id in routes.items():
        inside = (
            written.split("/", 2)[2] if written.startswith(_SHARED) and written.count("/") > 1 else written
        )
        try:
            Wildcard(inside)
        except ValueError:
            raise ValueError(f"{written} is no topic filter, e.g. frigate/# or +/onvif-ej/#") from None
        if inside.startswith(TOPIC_PREFIX):
            raise ValueError(f"{written}: topics below {TOPIC_PREFIX} name their device themselves")
        if not device_id:
            raise ValueError(f"{written} needs the id of a registered device")
        levels = inside.split("/")
        wild = next((at for at, level in enumerate(levels) if level in ("+", "#")), None)
        yield Route(inside, device_id, "".join(f"{level}/" for level in levels[:wild]) if wild else "")


def sender_of(topic: str, routes: tuple[Route, ...]) -> tuple[str | None, str]:
    """Return the id of the device that `topic` names or is routed to, and the topic told to its decoder.

    None is nobody: the broker confines devices below `ioc/v1/` only, so another topic's levels name none.

    The first route that matches counts. Its decoder is told what follows the filter's fixed levels:
    `events` for `frigate/events` through `frigate/#`, the whole topic through `+/onvif-ej/#` and through a
    filter without wildcard.
    """
    if topic.startswith(TOPIC_PREFIX):
        device_id, _, rest = topic.removeprefix(TOPIC_PREFIX).partition("/")
        return device_id, rest
    for route in routes:
        if Topic(topic).matches(route.filter):
            return route.device_id, topic.removeprefix(route.fixed)
    return None, topic
