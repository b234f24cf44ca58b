"""The rule engine: rule files → program → effects. Pure: no clock, no I/O, no asyncio.

    program = load({"congestion.yaml": text}, index)           InvalidRules lists every finding
    engine = PartitionEngine(program, partition=0)             or PartitionEngine.restore(program, 0, rows)
    effects = engine.on_batch([(offset, event_or_tick), …])
    rows = engine.drain_changes()                              to store together with the effects

The way of a record: `engine` cuts a batch into runs of events between ticks; `columns` holds a run by type;
`predicate` and areas give masks; survivors reach the `spell` or `silence` machine of the rule, key by key.
"""

from ioc.rules.compile import Program, compile_rules, load
from ioc.rules.engine import PartitionEngine
from ioc.rules.errors import InvalidRules, RuleError
from ioc.rules.rule import Rule
from ioc.rules.schema import parse_rules
from ioc.rules.silence import ExpectedSource
from ioc.rules.state import StateChange

__all__ = [
    "ExpectedSource",
    "InvalidRules",
    "PartitionEngine",
    "Program",
    "Rule",
    "RuleError",
    "StateChange",
    "compile_rules",
    "load",
    "parse_rules",
]
