"""Reads the parts of a rule that are mappings of their own: `sequence`."""

from typing import Final

import yaml

from ioc.model.times import HOUR_US, SECOND_US
from ioc.rules.errors import PredicateError, did_you_mean
from ioc.rules.having import duration_us
from ioc.rules.nodes import Findings, Form
from ioc.rules.predicate import Predicate, compile_predicate
from ioc.rules.rule import Chain, Step

MAX_STEPS: Final = 8
MAX_WITHIN_US: Final = 24 * HOUR_US


class PatternReader:
    """Reads the patterns of one rule over events of `types`."""

    def __init__(self, findings: Findings, form: Form, types: tuple[str, ...]) -> None:
        self._findings = findings
        self._form = form
        self._types = types

    def sequence(self) -> Chain | None:
        """Return the steps of `sequence`."""
        form = self._form.form("sequence", ("steps", "within"))
        if form is None:
            return None
        within_us = self.within(form, required=True)
        node = form.get("steps")
        if not isinstance(node, yaml.SequenceNode):
            hint = "as in steps: ['kind == \"motion\"', 'kind == \"intrusion\"']"
            self._findings.at(node or form.node, "steps: expected a list of conditions", hint)
            return None
        if not 2 <= len(node.value) <= MAX_STEPS:
            self._findings.at(node, f"steps: a sequence has 2 to {MAX_STEPS}, found {len(node.value)}")
        steps = [step for item in node.value if (step := self._step(item)) is not None]
        return None if within_us is None or len(steps) < len(node.value) else Chain(tuple(steps), within_us)

    def _step(self, node: yaml.Node) -> Step | None:
        if isinstance(node, yaml.ScalarNode):
            where = self.predicate(node, "steps", self._types)
            return None if where is None else Step(self._types, where)
        if not isinstance(node, yaml.MappingNode):
            self._findings.at(node, "steps: expected a condition", "or {type: camera.alarm, where: …}")
            return None
        form = Form(self._findings, node, ("type", "where"), "a step")
        types = self.types_among(form, self._types) or self._types
        text = form.scalar("where", required=True)
        where = None if text is None else self.predicate(text, "where", types)
        return None if where is None else Step(types, where)

    def types_among(self, form: Form, known: tuple[str, ...]) -> tuple[str, ...]:
        """Return the types named by `type`, which are among `known`; empty where none is."""
        found = []
        for item in form.scalars("type"):
            if item.value in known:
                found.append(str(item.value))
            else:
                hint = did_you_mean(item.value, known) or f"known: {', '.join(known)}"
                self._findings.at(item, f"type: {item.value!r} is not a type of the rule", hint)
        return tuple(dict.fromkeys(found))

    def predicate(self, node: yaml.ScalarNode, key: str, types: tuple[str, ...]) -> Predicate | None:
        """Return the predicate written at `node`."""
        if not types:
            return None
        try:
            return compile_predicate(node.value, types)
        except PredicateError as error:
            self._findings.in_text(node, key, error)
            return None

    def within(
        self, form: Form, key: str = "within", *, required: bool = False, longest_us: int = MAX_WITHIN_US
    ) -> int | None:
        """Return the duration under `key`, at least a second."""
        node = form.scalar(key, required=required)
        if node is None:
            return None
        try:
            found = duration_us(node.value)
        except ValueError as error:
            self._findings.at(node, f"{key}: {error}")
            return None
        if not SECOND_US <= found <= longest_us:
            self._findings.at(node, f"{key}: between 1 s and {longest_us // HOUR_US} h")
        return found
