"""Rules and areas become a program: what the engine runs, indexed by event type."""

import hashlib
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from ioc.geo.index import WARD, AreaIndex, AreaSet, names
from ioc.geo.zones import Zones
from ioc.rules.errors import InvalidRules, RuleError, did_you_mean
from ioc.rules.rule import AreaChoice, Place, Rule
from ioc.rules.schema import parse_rules

MAX_RULES = 500


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule bound to its areas; `order` is its place in the program and decides ties."""

    rule: Rule
    order: int
    fence: AreaSet | None
    """Where its events must lie."""
    zones: Zones | None = None
    """The areas whose borders it watches."""
    owns: Callable[[str], bool] | None = None
    """For a wide rule on one partition of several: whether the partition answers for a key."""


@dataclass(frozen=True, slots=True)
class Program:
    """Enabled rules, bound and indexed. Immutable; `version` changes with any rule or its areas."""

    rules: tuple[CompiledRule, ...]
    by_type: Mapping[str, tuple[CompiledRule, ...]]
    version: str
    declared: tuple[Rule, ...] = field(repr=False)
    """All rules given, disabled ones too: what the rules page shows."""


def load(files: Mapping[str, str], index: AreaIndex | None = None, *, max_rules: int = MAX_RULES) -> Program:
    """Return the program of rule files.

    Args:
        files: file name → YAML text.
        index: areas in force; None where the rules use none.
        max_rules: the most rules accepted.

    Raises:
        InvalidRules: with every finding of every file.
    """
    rules: list[Rule] = []
    errors: list[RuleError] = []
    for name, text in sorted(files.items()):
        found, wrong = parse_rules(name, text)
        rules += found
        errors += wrong
    try:
        program = compile_rules(rules, index, max_rules=max_rules)
    except InvalidRules as invalid:
        raise InvalidRules([*errors, *invalid.errors]) from None
    if errors:
        raise InvalidRules(errors)
    return program


def compile_rules(
    rules: Sequence[Rule], index: AreaIndex | None = None, *, max_rules: int = MAX_RULES
) -> Program:
    """Return the program of `rules`, in name order.

    Raises:
        InvalidRules: two rules of one name, unknown areas or wards, or too many rules.
    """
    binder = _Binder(index)
    first: dict[str, Rule] = {}
    for number, rule in enumerate(rules, 1):
        if rule.name in first:
            earlier = first[rule.name]
            where = f"{earlier.file}:{_place(earlier, 'rule').line}"
            binder.report(
                rule, "rule", f"rule {rule.name!r} exists already at {where}", "choose another name"
            )
        elif number > max_rules:
            binder.report(rule, "rule", f"more than {max_rules} rules")
        first.setdefault(rule.name, rule)
    declared = tuple(sorted(first.values(), key=lambda rule: rule.name))
    bound = [(rule, binder.fence(rule, rule.area, "area"), binder.zones(rule)) for rule in declared]
    for rule in declared:
        binder.check_wards(rule)
    if binder.errors:
        raise InvalidRules(binder.errors)
    active = [item for item in bound if item[0].enabled]
    compiled = tuple(
        CompiledRule(rule, order, fence, zones) for order, (rule, fence, zones) in enumerate(active)
    )
    return Program(compiled, _by_type(compiled), _version(compiled), declared)


def shared_codes(program: Program, index: AreaIndex) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return (rule, code, names) where a rule chooses areas by a code that several kinds have.

    The rule is about all of them; `names` are what each alone is called (`ward:101`).
    """
    found = []
    for rule in program.declared:
        for choice in (rule.area, rule.fence and rule.fence.area):
            for code in (choice and choice.kind is None and choice.codes) or ():
                called = sorted({names(area)[1] for area in index.members() if area.code == code})
                if len(called) > 1:
                    found.append((rule.name, code, tuple(called)))
    return found


def split(program: Program) -> tuple[Program, Program]:
    """Return the local and the wide rules of `program`, each a program of its own."""
    local = tuple(item for item in program.rules if not item.rule.wide)
    wide = tuple(item for item in program.rules if item.rule.wide)
    return _part(program, local), _part(program, wide)


def share(program: Program, owns: Callable[[Rule, str], bool]) -> Program:
    """Return the wide `program` of a partition that answers for the keys that it `owns` only."""
    return _part(program, tuple(replace(item, owns=partial(owns, item.rule)) for item in program.rules))


def only(program: Program, names: Container[str]) -> Program:
    """Return the rules of `program` named so, as a program of its own."""
    return _part(program, tuple(item for item in program.rules if item.rule.name in names))


def _part(program: Program, rules: tuple[CompiledRule, ...]) -> Program:
    return Program(rules, _by_type(rules), _version(rules), program.declared)


class _Binder:
    """Finds the areas rules name."""

    def __init__(self, index: AreaIndex | None) -> None:
        self._index = index
        self.errors: list[RuleError] = []

    def report(self, rule: Rule, key: str, message: str, suggestion: str | None = None) -> None:
        place = _place(rule, key)
        self.errors.append(RuleError(rule.file, place.line, place.column, message, suggestion))

    def zones(self, rule: Rule) -> Zones | None:
        if rule.fence is None:
            return None
        areas = self.fence(rule, rule.fence.area, "fence")
        return None if areas is None else Zones(areas, rule.fence.margin_m)

    def fence(self, rule: Rule, choice: AreaChoice | None, key: str) -> AreaSet | None:
        if choice is None:
            return None
        if self._index is None:
            self.report(rule, key, f"{key}: no areas are loaded", "import them first: ioc areas import")
            return None
        if choice.kind is not None and choice.kind not in self._index.kinds:
            self._unknown(rule, key, "kind", choice.kind, self._index.kinds)
            return None
        members = self._index.members(choice.kind)
        known = {name for area in members for name in names(area)}
        for code in choice.codes or ():
            if code not in known:
                self._unknown(rule, key, "code", code, [area.code for area in members])
        fence = self._index.select(choice.kind, choice.codes)
        if not fence.areas and not self.errors:
            self.report(rule, key, f"{key}: the areas chosen have no surface", "lines contain no point")
        return fence

    def _unknown(self, rule: Rule, key: str, what: str, name: str, known: Iterable[str]) -> None:
        hint = did_you_mean(name, known) or f"known: {', '.join(sorted(known)[:20])}"
        self.report(rule, key, f"{key}: no area of {what} {name!r}", hint)

    def check_wards(self, rule: Rule) -> None:
        if rule.wards is None or self._index is None:
            return
        known = {area.code for area in self._index.members(WARD)}
        for code in sorted(rule.wards - known) if known else ():
            self.report(rule, "ward", f"ward: no ward {code!r}", did_you_mean(code, known))


def _place(rule: Rule, key: str) -> Place:
    return rule.places.get(key) or rule.places.get("") or Place(1, 1)


def _by_type(compiled: Sequence[CompiledRule]) -> dict[str, tuple[CompiledRule, ...]]:
    types = dict.fromkeys(name for item in compiled for name in item.rule.listens)
    return {name: tuple(item for item in compiled if name in item.rule.listens) for name in types}


def _version(compiled: Sequence[CompiledRule]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for item in compiled:
        digest.update(f"{item.rule.name}\x00{item.rule.version}\x00".encode())
        places = [*(item.fence.areas if item.fence else ()), *(item.zones.areas if item.zones else ())]
        for area in places:
            digest.update(f"{area.kind}\x00{area.code}\x00{area.valid_from}\x00{area.geometry}\x00".encode())
    return digest.hexdigest()
