"""What templates name must exist: icons of the sprite, static files; and nothing that the policy forbids."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from flask import Flask
from jinja2 import nodes

from app.pages import NAVIGATION

ROOT = Path(__file__).parents[2] / "app"
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
SPRITE = (ROOT / "static/vendor/tabler-icons/sprite.svg").read_text()
ICONS = set(re.findall(r'<symbol[^>]*\bid="([^"]+)"', SPRITE))


@pytest.fixture(scope="module")
def trees(migrated_app: Flask) -> dict[str, nodes.Template]:
    return {
        str(path.relative_to(ROOT / "templates")): migrated_app.jinja_env.parse(path.read_text()) for path in TEMPLATES
    }


def words(expression: nodes.Node, tree: nodes.Template) -> Iterator[str]:
    """Every text that the expression may be: both ways of a condition, all values of a table."""
    match expression:
        case nodes.Const(value=str(word)):
            yield word
        case nodes.CondExpr(expr1=first, expr2=second):
            yield from words(first, tree)
            if second is not None:
                yield from words(second, tree)
        case nodes.Or(left=left, right=right):
            yield from words(left, tree)
            yield from words(right, tree)
        case nodes.Dict(items=pairs):
            for pair in pairs:
                yield from words(pair.value, tree)
        case nodes.Getitem(node=table) | nodes.Call(node=nodes.Getattr(node=table, attr="get")):
            yield from words(table, tree)
            if isinstance(expression, nodes.Call):
                for argument in expression.args[1:]:
                    yield from words(argument, tree)
        case nodes.Name(name=name):
            for assignment in tree.find_all(nodes.Assign):
                if isinstance(assignment.target, nodes.Name) and assignment.target.name == name:
                    yield from words(assignment.node, tree)


def icons_named(tree: nodes.Template, places: dict[str, int]) -> Iterator[str]:
    for call in tree.find_all(nodes.Call):
        name = getattr(call.node, "name", None) or getattr(call.node, "attr", None)
        if name in places and len(call.args) > places[name]:
            yield from words(call.args[places[name]], tree)
        for keyword in call.kwargs:
            if keyword.key in ("icon", "icon_name"):
                yield from words(keyword.value, tree)


def test_every_icon_exists(trees: dict[str, nodes.Template]) -> None:
    places = {"icon": 0}  # macro: which of its arguments is an icon
    for tree in trees.values():
        for macro in tree.find_all(nodes.Macro):
            names = [argument.name for argument in macro.args]
            if "icon_name" in names:
                places[macro.name] = names.index("icon_name")
    named = {(path, word) for path, tree in trees.items() for word in icons_named(tree, places)}
    named |= {("navigation", entry.icon) for entry in NAVIGATION}
    assert len(named) > 30
    assert sorted(pair for pair in named if pair[1] not in ICONS) == []


def test_every_asset_exists(trees: dict[str, nodes.Template]) -> None:
    named = {
        (path, word)
        for path, tree in trees.items()
        for call in tree.find_all(nodes.Call)
        if getattr(call.node, "name", None) == "asset" and call.args
        for word in words(call.args[0], tree)
    }
    assert len(named) > 3
    assert sorted(pair for pair in named if not (ROOT / "static" / pair[1]).is_file()) == []


class Forbidden(HTMLParser):
    """Collects what `script-src 'self'; style-src 'self'` makes browsers drop."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        kind = given.get("type") or ""
        if tag == "style" or (tag == "script" and "src" not in given and kind != "application/json"):
            self.found.append(f"inline <{tag}>")
        self.found += [f"{name}= on <{tag}>" for name in given if name == "style" or re.fullmatch("on[a-z]+", name)]
        for name in ("src", "href"):
            if tag in ("script", "link", "img", "iframe") and re.match(r"https?:|//", given.get(name) or ""):
                self.found.append(f"remote {name} on <{tag}>")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_no_template_holds_what_the_policy_forbids(path: Path) -> None:
    source = re.sub(r"\{#.*?#\}|\{%.*?%\}", "", path.read_text(), flags=re.S)
    parser = Forbidden()
    parser.feed(re.sub(r"\{\{.*?\}\}", "x", source, flags=re.S))
    assert parser.found == []
