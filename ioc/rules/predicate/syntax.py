"""Raw syntax tree and recursive-descent parser. Precedence as in CEL: || && relation + * unary member."""

from dataclasses import dataclass

from ioc.rules.errors import PredicateError
from ioc.rules.predicate.lexer import Token, tokens

MAX_DEPTH = 50
"""Nesting allowed; beyond it a predicate is a mistake, and recursion must end somewhere stated."""
MAX_LENGTH = 4_000
"""Characters allowed in one predicate."""

_RELATIONS = frozenset({"==", "!=", "<", "<=", ">", ">="})


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, a text, true or false."""

    value: float | str | bool
    offset: int


@dataclass(frozen=True, slots=True)
class Null:
    """`null`, beside == or != only."""

    offset: int


@dataclass(frozen=True, slots=True)
class Name:
    """A dotted name: `speed_kmh`, `extra.lane`."""

    parts: tuple[str, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Unary:
    """`!x` or `-x`."""

    op: str
    inner: "Node"
    offset: int


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands and the operator's offset."""

    op: str
    left: "Node"
    right: "Node"
    offset: int


@dataclass(frozen=True, slots=True)
class Items:
    """`[a, b]`, allowed right of `in` only."""

    items: tuple[Literal, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Call:
    """`has(x)` (no receiver) or `x.startsWith("…")`."""

    function: str
    receiver: "Node | None"
    arguments: tuple["Node", ...]
    offset: int


Node = Literal | Null | Name | Unary | Binary | Items | Call


def parse(source: str) -> Node:
    """Return the tree of `source`.

    Raises:
        PredicateError: not a predicate, at the offset where reading failed.
    """
    if len(source) > MAX_LENGTH:
        raise PredicateError(f"longer than {MAX_LENGTH} characters", MAX_LENGTH)
    parser = _Parser(tokens(source))
    node = parser.disjunction()
    parser.expect_end()
    return node


def start_of(node: Node) -> int:
    """Return where `node` begins in the source, for a message about the whole of it."""
    if isinstance(node, Binary):
        return start_of(node.left)
    if isinstance(node, Call) and node.receiver is not None:
        return start_of(node.receiver)
    return node.offset


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._at = 0
        self._depth = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _is(self, *signs: str) -> bool:
        return self._next.kind == "sign" and self._next.text in signs

    def _expect(self, sign: str, after: str) -> None:
        if not self._is(sign):
            raise PredicateError(f"expected {sign!r} {after}{self._found()}", self._next.offset)
        self._take()

    def _found(self) -> str:
        return ", found the end" if self._next.kind == "end" else f", found {self._next.text!r}"

    def expect_end(self) -> None:
        if self._next.kind == "end":
            return
        if self._is("==", "!=", "<", "<=", ">", ">=") or (self._next.kind, self._next.text) == ("name", "in"):
            raise PredicateError("comparisons do not chain", self._next.offset, "join two with &&")
        raise PredicateError(f"expected && or ||{self._found()}", self._next.offset)

    def disjunction(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise PredicateError(f"nested deeper than {MAX_DEPTH}", self._next.offset)
        node = self._conjunction()
        while self._is("||"):
            sign = self._take()
            node = Binary(sign.text, node, self._conjunction(), sign.offset)
        self._depth -= 1
        return node

    def _conjunction(self) -> Node:
        node = self._relation()
        while self._is("&&"):
            sign = self._take()
            node = Binary(sign.text, node, self._relation(), sign.offset)
        return node

    def _relation(self) -> Node:
        node = self._sum()
        if self._next.kind == "sign" and self._next.text in _RELATIONS:
            sign = self._take()
            return Binary(sign.text, node, self._sum(), sign.offset)
        if (self._next.kind, self._next.text) == ("name", "in"):
            sign = self._take()
            if self._next.kind == "name":
                word = self._take()
                return Binary("in", node, Name((word.text,), word.offset), sign.offset)
            return Binary("in", node, self._items(), sign.offset)
        return node

    def _sum(self) -> Node:
        node = self._product()
        while self._is("+", "-"):
            sign = self._take()
            node = Binary(sign.text, node, self._product(), sign.offset)
        return node

    def _product(self) -> Node:
        node = self._unary()
        while self._is("*", "/"):
            sign = self._take()
            node = Binary(sign.text, node, self._unary(), sign.offset)
        return node

    def _unary(self) -> Node:
        if not self._is("!", "-"):
            return self._member()
        sign = self._take()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise PredicateError(f"nested deeper than {MAX_DEPTH}", sign.offset)
        node = Unary(sign.text, self._unary(), sign.offset)
        self._depth -= 1
        return node

    def _member(self) -> Node:
        node = self._primary()
        while self._is("."):
            dot = self._take()
            if self._next.kind != "name":
                raise PredicateError(f"expected a name after '.'{self._found()}", self._next.offset)
            name = self._take()
            if self._is("("):
                node = Call(name.text, node, self._arguments(), name.offset)
            elif isinstance(node, Name):
                node = Name((*node.parts, name.text), node.offset)
            else:
                raise PredicateError("only a name has parts", dot.offset)
        return node

    def _primary(self) -> Node:
        token = self._next
        if token.kind == "sign" and token.text == "(":
            self._take()
            node = self.disjunction()
            self._expect(")", "to close the parenthesis")
            return node
        if token.kind in ("number", "text"):
            return self._literal()
        if token.kind == "name":
            self._take()
            if token.text in ("true", "false"):
                return Literal(token.text == "true", token.offset)
            if token.text == "null":
                return Null(token.offset)
            if self._is("("):
                return Call(token.text, None, self._arguments(), token.offset)
            return Name((token.text,), token.offset)
        hint = "`in` needs a value before its list" if token.text == "[" else None
        raise PredicateError(f"expected a value{self._found()}", token.offset, hint)

    def _literal(self) -> Literal:
        token = self._take()
        return Literal(float(token.text) if token.kind == "number" else token.text, token.offset)

    def _arguments(self) -> tuple[Node, ...]:
        self._expect("(", "before arguments")
        arguments: list[Node] = []
        while not self._is(")"):
            if arguments:
                self._expect(",", "between arguments")
            arguments.append(self.disjunction())
        self._take()
        return tuple(arguments)

    def _items(self) -> Items:
        start = self._next.offset
        self._expect("[", "after in")
        items: list[Literal] = []
        while not self._is("]"):
            if items:
                self._expect(",", "between the values of a list")
            items.append(self._item())
        self._take()
        return Items(tuple(items), start)

    def _item(self) -> Literal:
        negative = self._take() if self._is("-") else None
        if self._next.kind == "number":
            literal = self._literal()
            assert isinstance(literal.value, float)
            return Literal(-literal.value, negative.offset) if negative else literal
        if self._next.kind == "text" and negative is None:
            return self._literal()
        raise PredicateError(f"a list holds numbers or texts{self._found()}", self._next.offset)
