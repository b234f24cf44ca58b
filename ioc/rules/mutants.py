"""Rules changed by the smallest step: what the tests of a rule must notice. Pure.

Every number of a rule's conditions is made one step larger and one smaller; every bound that takes what
equals it leaves it out, and the other way round:

    speed_kmh < 15 → 14, 16, <=        occupancy > 0.35 → 0.34, 0.36, >=        for: 20s → 19s, 21s

What no longer is a rule after the change is left out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import yaml

from ioc.rules.nodes import Findings, documents
from ioc.rules.schema import parse_rules

CONDITIONS: Final = (
    "where",
    "having",
    "for",
    "clear_when",
    "hold",
    "cooldown",
    "absence",
    "sequence",
    "fence",
    "near",
    "severity",
)
"""Keys whose numbers decide when a rule fires, clears, and how severe it is."""
_NAMES: Final = frozenset({"area", "stream", "type", "level", "initial"})
"""Keys within them that name something: digits there measure nothing."""

_TOKEN = re.compile(
    r"""(?P<text>\\?"(?:[^"\\]|\\[^"])*\\?"|'[^']*')
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<number>\d+(?:\.\d+)?)(?:\s*(?P<unit>ms|s|m|h)(?![A-Za-z0-9_]))?
      | (?P<bound><=|>=|<|>)""",
    re.VERBOSE,
)
_OTHER_BOUND: Final = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
_SECONDS: Final = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One rule with one change. `line` and `column` of the change count from 1."""

    rule: str
    line: int
    column: int
    condition: str
    """The condition as written."""
    written: str
    changed: str
    text: str
    """The whole file with the change."""

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.changed} for {self.written} in `{self.condition}`"


def mutants(file: str, text: str) -> Iterator[Mutant]:
    """Yield the rules of a file's `text`, which compiles, with one change each, in the order of the file."""
    for node in documents(Findings(file), text):
        name = next((str(value.value) for key, value in node.value if key.value == "rule"), "")
        for scalar in _scalars(node, CONDITIONS):
            for at, written, changed in _changes(text, scalar):
                whole = text[:at] + changed + text[at + len(written) :]
                if parse_rules(file, whole)[1]:
                    continue
                line = text.count("\n", 0, at) + 1
                column = at - text.rfind("\n", 0, at)
                yield Mutant(name, line, column, str(scalar.value).strip(), written, changed, whole)


def _scalars(node: yaml.Node, keys: tuple[str, ...] | None) -> Iterator[yaml.ScalarNode]:
    """Yield the texts under a mapping's `keys`, under all but names where None."""
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _scalars(item, keys)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value in _NAMES or (keys is not None and key.value not in keys):
                continue
            # The level of severity's first step is that of everything that fires, whatever its `at`.
            steps = key.value == "severity" and isinstance(value, yaml.SequenceNode)
            yield from _scalars(yaml.SequenceNode(value.tag, value.value[1:]) if steps else value, None)


def _changes(text: str, node: yaml.ScalarNode) -> Iterator[tuple[int, str, str]]:
    """Yield (offset in the file, written, changed)."""
    quoted = node.style in ("'", '"')
    start, end = node.start_mark.index + quoted, node.end_mark.index - quoted
    for token in _TOKEN.finditer(text, start, end):
        if token["bound"]:
            yield token.start(), token["bound"], _OTHER_BOUND[token["bound"]]
        elif token["number"]:
            for changed in _stepped(token["number"], token["unit"]):
                yield token.start(), token[0], changed


def _stepped(number: str, unit: str | None) -> Iterator[str]:
    """Yield the number one step larger and smaller: a second of time, else a one in its last place."""
    value = Decimal(number)
    if unit is not None:
        value, step, ending = value * _SECONDS[unit], Decimal(1), "s"
    else:
        step, ending = Decimal((0, (1,), int(value.as_tuple().exponent))), ""
    for changed in (value + step, value - step):
        if changed >= 0:
            yield f"{changed:f}{ending}"
