"""YAML with positions: what the schema reads, so that every finding can say file, line and column."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import yaml

from ioc.rules.errors import PredicateError, RuleError, did_you_mean

MAX_FILE_CHARS: Final = 200_000
MAX_ENTRIES: Final = 500
"""Entries of any list in a rule."""
MAX_DEPTH: Final = 20
"""Lists and mappings within each other."""


@dataclass
class Findings:
    """Collects the errors of one file."""

    file: str
    errors: list[RuleError] = field(default_factory=list)

    def at(self, node: yaml.Node, message: str, suggestion: str | None = None) -> None:
        """Record a finding at the beginning of `node`."""
        mark = node.start_mark
        self.errors.append(RuleError(self.file, mark.line + 1, mark.column + 1, message, suggestion))

    def in_text(self, node: yaml.ScalarNode, key: str, error: PredicateError) -> None:
        """Record a finding inside the text of `node`; exact for texts on one line, else the text's start."""
        mark, column = node.start_mark, node.start_mark.column + 1
        if node.start_mark.line == node.end_mark.line and node.style in (None, "'", '"'):
            column += error.offset + (node.style is not None)
        message = f"{key}: {error.message} in `{node.value.strip()}`"
        self.errors.append(RuleError(self.file, mark.line + 1, column, message, error.suggestion))


def documents(findings: Findings, text: str) -> list[yaml.MappingNode]:
    """Return the rules of a file: documents separated by `---`, each a mapping or a list of mappings."""
    if len(text) > MAX_FILE_CHARS:
        message = f"longer than {MAX_FILE_CHARS:,} characters"
        findings.errors.append(RuleError(findings.file, 1, 1, message, "put rules into several files"))
        return []
    try:
        if "*" in text:
            _refuse_aliases(findings, text)
        roots: list[yaml.Node] | None = [
            root for root in yaml.compose_all(text, Loader=yaml.SafeLoader) if root is not None
        ]
    except yaml.YAMLError as error:
        findings.errors.append(_syntax_error(findings.file, error))
        return []
    except RecursionError:  # the composer calls itself for each level
        roots = None
    if roots is None or _too_deep(roots):
        message = f"more than {MAX_DEPTH} lists and mappings within each other"
        findings.errors.append(RuleError(findings.file, 1, 1, message, "a rule needs three or four"))
        return []
    found: list[yaml.MappingNode] = []
    for root in roots:
        for node in root.value if isinstance(root, yaml.SequenceNode) else [root]:
            if isinstance(node, yaml.MappingNode):
                found.append(node)
            elif not _is_empty(node):
                findings.at(node, "expected a rule (a mapping of keys)", "begin with `rule: a-name`")
    return found


def _refuse_aliases(findings: Findings, text: str) -> None:
    """Report aliases: a few lines of them may stand for more than fits into memory."""
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            mark, message = event.start_mark, f"YAML aliases (*{event.anchor}) are not taken"
            line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
            findings.errors.append(RuleError(findings.file, line, column, message, "write it out"))


def _too_deep(roots: Iterable[yaml.Node]) -> bool:
    """Return whether lists and mappings lie deeper within each other than `MAX_DEPTH`."""
    level = list(roots)
    for _ in range(MAX_DEPTH):
        inner: list[yaml.Node] = []
        for node in level:
            if isinstance(node, yaml.MappingNode):
                inner += [part for pair in node.value for part in pair]
            elif isinstance(node, yaml.SequenceNode):
                inner += node.value
        level = inner
    return any(isinstance(node, yaml.CollectionNode) for node in level)


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value == ""


def _syntax_error(file: str, error: yaml.YAMLError) -> RuleError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    hint = "quote texts that hold `: ` or `#`" if "mapping values are not allowed" in problem else None
    if "cannot start any token" in problem and "\\t" in problem:
        hint = "indent with spaces"
    if mark is None:
        return RuleError(file, 1, 1, f"not YAML: {problem}", hint)
    return RuleError(file, mark.line + 1, mark.column + 1, f"not YAML: {problem}", hint)


class Form:
    """One mapping being read; keys that are not `known`, or given twice, are reported at once."""

    def __init__(self, findings: Findings, node: yaml.MappingNode, known: Iterable[str], what: str) -> None:
        self.findings = findings
        self.node = node
        self._items: dict[str, yaml.Node] = {}
        keys = tuple(known)
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name not in keys:
                hint = did_you_mean(str(name), keys) or f"known: {', '.join(keys)}"
                findings.at(key, f"unknown key {name!r} in {what}", hint)
            elif name in self._items:
                findings.at(key, f"{name!r} is given twice", "keep one of the two")
            else:
                self._items[name] = value

    def __contains__(self, key: str) -> bool:
        return key in self._items

    def get(self, key: str) -> yaml.Node | None:
        """Return the node of `key`, None where absent."""
        return self._items.get(key)

    def scalar(self, key: str, *, required: bool = False) -> yaml.ScalarNode | None:
        """Return the scalar node of `key`; reports a missing required one and one of another shape."""
        node = self._items.get(key)
        if node is None:
            if required:
                self.findings.at(self.node, f"{key!r} is missing")
            return None
        if not isinstance(node, yaml.ScalarNode):
            self.findings.at(node, f"{key}: expected one value")
            return None
        if node.tag.startswith("!"):
            self.findings.at(
                node, f"{key}: a text that begins with ! is a YAML tag", f"quote it: {key}: '!…'"
            )
            return None
        return node

    def text(self, key: str, *, required: bool = False) -> str | None:
        """Return a text."""
        node = self.scalar(key, required=required)
        return None if node is None else node.value

    def form(self, key: str, known: Iterable[str]) -> "Form | None":
        """Return the mapping under `key`."""
        node = self._items.get(key)
        if node is None:
            return None
        if not isinstance(node, yaml.MappingNode):
            self.findings.at(node, f"{key}: expected a mapping", f"as in {key}: {{{next(iter(known))}: …}}")
            return None
        return Form(self.findings, node, known, key)

    def scalars(self, key: str) -> list[yaml.ScalarNode]:
        """Return one scalar or a list of them as a list."""
        node = self._items.get(key)
        if node is None:
            return []
        found: list[yaml.ScalarNode] = []
        if isinstance(node, yaml.SequenceNode) and len(node.value) > MAX_ENTRIES:
            self.findings.at(node, f"{key}: more than {MAX_ENTRIES} entries")
            return []
        for item in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if isinstance(item, yaml.ScalarNode) and not item.tag.startswith("!"):
                found.append(item)
            else:
                self.findings.at(item, f"{key}: expected a value or a list of values")
        return found

    def truth(self, key: str, default: bool) -> bool:
        """Return true or false."""
        node = self.scalar(key)
        if node is None:
            return default
        if node.value.lower() not in ("true", "false"):
            self.findings.at(node, f"{key}: expected true or false, found {node.value!r}")
            return default
        return bool(node.value.lower() == "true")


def plain(node: yaml.Node) -> object:
    """Return a node as plain data with texts as written: the content a rule's version is a hash of."""
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [plain(item) for item in node.value]
    return str(node.value)
