"""What decoders make of every sample and of broken ones, a line each: `python -m tests.unit.ingest.decoded`.

Compiled and interpreted decoders are each asked in a process of their own, and must print the same.
"""

import json
import random
import sys
from copy import deepcopy
from typing import Any

import ioc.ingest.decoders.axis as one
from ioc.ingest.decoders.base import TooManyEvents
from tests.conformance import Sample, samples
from tests.unit.ingest.test_hostile_input import STRANGERS

SPOILT = 30
"""Of each sample."""
MAX_BYTES = 20_000
VALUES: list[Any] = [
    *STRANGERS,
    *(False, 0, 1, 3.5, "0", "-1.5", "true", "2026-11-22T10:00:00+07:00", "10.9 106.6"),
]


def spoilt(content: bytes, dice: random.Random) -> bytes:
    """Return `content` with other values where it is JSON, else with a piece cut out or doubled."""
    try:
        root = json.loads(content)
    except (ValueError, RecursionError):
        root = None
    if isinstance(root, dict | list) and root:
        for _ in range(dice.choice((1, 1, 2, 4))):
            holder, key = dice.choice(_places(root))
            holder[key] = deepcopy(dice.choice(VALUES))
        return json.dumps(root).encode()
    at, length = dice.randrange(len(content) + 1), dice.choice((0, 1, 5, 30))
    piece = dice.choice((b"", b"<a/>", b"-1", b"x", b"&amp;", content[at : at + length] * 2))
    return content[:at] + piece + content[at + length :]


def _places(node: Any) -> list[tuple[Any, Any]]:
    keys = list(node) if isinstance(node, dict) else range(len(node))
    inner = [place for key in keys if isinstance(node[key], dict | list) for place in _places(node[key])]
    return [(node, key) for key in keys] + inner


def decoded(sample: Sample, content: bytes) -> str:
    """Return everything a decoder makes of `content`, or its one documented error."""
    try:
        return repr(sample.decode(content))
    except TooManyEvents as error:
        return repr(error)


def main() -> None:
    """Print where the decoders come from, then a line for each body."""
    print(one.__file__)
    dice = random.Random(7)
    for sample in samples():
        if sample.content is None or len(sample.content) > MAX_BYTES:
            continue
        bodies = [sample.content, *(spoilt(sample.content, dice) for _ in range(SPOILT))]
        for body in bodies:
            print(sample.format, sample.name, body[:2_000], decoded(sample, body), sep="\t")


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    main()
