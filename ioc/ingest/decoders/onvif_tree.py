"""ONVIF's own mapping of XML to JSON (Analytics service specification, "Metadata over MQTT").

Attributes are `@Name`, text beside attributes is `#text`, repeated elements are lists. XML is turned into it,
so that one reading serves both. zeep's dictionaries (`_value_1`, attributes without sign) pass as well.
"""

from typing import Any
from xml.etree.ElementTree import Element

from ioc.ingest.decoders.data import NUMBERS, as_number

Tree = dict[str, Any]


def tree_of(element: Element) -> Any:
    """Return an element with local names as a tree, or as its text where it has nothing else."""
    tree: Tree = {f"@{name}": value for name, value in element.attrib.items()}
    for child in element:
        value = tree_of(child)
        if child.tag not in tree:
            tree[child.tag] = value
        elif isinstance(tree[child.tag], list):
            tree[child.tag].append(value)
        else:
            tree[child.tag] = [tree[child.tag], value]
    text = (element.text or "").strip()
    if not tree:
        return text
    if text:
        tree["#text"] = text
    return tree


def each(node: Any, *path: str) -> list[Any]:
    """Return what stands at `path` below `node`, every one where it repeats."""
    for depth, name in enumerate(path):
        if isinstance(node, list):
            return [found for member in node for found in each(member, *path[depth:])]
        node = node.get(name) if isinstance(node, dict) else None
        if node is None:
            return []
    return [found for member in node for found in each(member)] if isinstance(node, list) else [node]


def first(node: Any, *path: str) -> Any:
    """Return the first at `path`, None where there is none."""
    for name in path:
        if not isinstance(node, dict) and not isinstance(node := _first_member(node), dict):
            return None
        node = node.get(name)
    return _first_member(node) if isinstance(node, list) else node


def _first_member(node: Any) -> Any:
    while isinstance(node, list):
        node = node[0] if node else None
    return node


def attribute(node: Any, name: str) -> Any:
    """Return the attribute `name` of `node`, None without."""
    if not isinstance(node, dict):
        return None
    value = node.get("@" + name)
    return node.get(name) if value is None else value


def text(node: Any) -> str:
    """Return the text of a node, "" for none."""
    if isinstance(node, dict):
        node = node.get("#text", node.get("_value_1"))
    if isinstance(node, str):
        return node.strip()
    return str(node) if isinstance(node, NUMBERS) and not isinstance(node, bool) else ""


def number(value: Any) -> float | None:
    """Return the number a value is or spells, None for anything else."""
    if value is None or type(value) is float:
        return value
    if isinstance(value, dict):
        value = value.get("#text")
    value = as_number(value.strip()) if isinstance(value, str) else value
    if isinstance(value, bool) or not isinstance(value, NUMBERS):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def items(node: Any) -> Tree:
    """Return a message's Source, Key or Data as names and values, however they were written.

    XML lists SimpleItem and ElementItem; MQTT's JSON has them as fields already.
    """
    if isinstance(node, list):
        return {name: value for member in node for name, value in items(member).items()}
    if not isinstance(node, dict):
        return {}
    if "SimpleItem" not in node and "ElementItem" not in node:
        return node
    found: Tree = {}
    for item in each(node, "SimpleItem"):
        if isinstance(name := attribute(item, "Name"), str):
            found[name] = attribute(item, "Value")
    for item in each(node, "ElementItem"):
        if isinstance(name := attribute(item, "Name"), str):
            found[name] = {key: value for key, value in item.items() if key not in ("@Name", "Name")}
    return found
