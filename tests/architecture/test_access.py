"""Walks every route as every role and as a stranger. New routes are covered as they appear."""

import re
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import islice, product
from typing import NamedTuple
from urllib.parse import urlencode
from uuid import UUID
from zipfile import ZipFile

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.routing.converters import AnyConverter, IntegerConverter, UUIDConverter
from werkzeug.test import TestResponse

from app.campaigns.models import Campaign
from app.core.extensions import db
from app.core.permissions import GRANTS, Permission, Role
from tests.architecture.two_branches import COUNTS, NAME, NAMES, NUMBER, TwoBranches, make_two_branches
from tests.factories.users import make_user, sign_in

PERMISSIONS = {permission.value: permission for permission in Permission}
# Programs name themselves by a key; these views answer 401 by themselves.
API = "/api/"
DESCRIPTION = "/api/v1/openapi.json"  # holds no data: it says how to call the rest


class Call(NamedTuple):
    """One way to call a view: its URL parameters are all 1, so that things are mostly not there (404 is fine)."""

    method: str
    path: str
    access: str | None

    def __str__(self) -> str:
        return f"{self.method} {self.path} ({self.access})"

    def by(self, client: FlaskClient) -> int:
        return client.open(self.path, method=self.method).status_code


def calls(app: Flask) -> Iterator[Call]:
    """Every route and method of the app but its static files."""
    addresses = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        if rule.endpoint == "static":
            continue
        path = addresses.build(rule.endpoint, {name: _value(rule, name) for name in rule.arguments})
        access = getattr(app.view_functions[rule.endpoint], "access", None)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield Call(method, path, access)


def _value(rule: Rule, name: str) -> object:
    converter = rule._converters[name]
    if isinstance(converter, UUIDConverter):
        return UUID(int=1)
    if isinstance(converter, AnyConverter):
        return sorted(converter.items)[0]
    return (rule.defaults or {}).get(name, 1)


def may(role: Role, call: Call) -> bool:
    return call.access in ("public", "signed_in") or PERMISSIONS[call.access or ""] in GRANTS[role]


def test_every_view_says_who_may_use_it(app: Flask) -> None:
    known = {"public", "signed_in", *PERMISSIONS}
    assert [str(call) for call in calls(app) if call.access not in known] == []


def test_a_stranger_reaches_public_pages_only(app: Flask) -> None:
    client, wrong = app.test_client(), []
    for call in calls(app):
        if call.path == DESCRIPTION or (call.access == "public" and not call.path.startswith(API)):
            continue
        response = client.open(call.path, method=call.method)
        if call.path.startswith(API):
            refused = response.status_code == 401
        else:
            refused = response.status_code == 302 and response.location.startswith("/sign-in")
        if not refused:
            wrong.append(f"{call}: {response.status_code}")
    assert wrong == []


@pytest.mark.parametrize("role", list(Role))
def test_a_role_is_refused_what_it_is_not_granted(app: Flask, role: Role) -> None:
    client = sign_in(app.test_client(), make_user(role=role))
    refused = [call for call in calls(app) if not may(role, call)]
    assert [str(call) for call in refused if call.by(client) != 403] == []


@pytest.mark.parametrize("role", list(Role))
def test_a_role_opens_every_page_it_is_granted(app: Flask, role: Role) -> None:
    client = sign_in(app.test_client(), make_user(role=role))
    wrong = []
    for call in calls(app):
        # Public addresses ask for a signature, whoever is signed in.
        if call.method != "GET" or call.access == "public" or not may(role, call) or call.path.startswith(API):
            continue
        status = call.by(client)
        if status in (401, 403, 405) or status >= 500:
            wrong.append(f"{call}: {status}")
    assert wrong == []


def test_no_public_page_fails_for_a_stranger(app: Flask) -> None:
    client = app.test_client()
    public = [call for call in calls(app) if call.access == "public" and call.method == "GET"]
    assert [str(call) for call in public if call.by(client) >= 500] == []


@pytest.mark.parametrize("role", list(Role))
def test_no_view_fails_on_an_empty_form(app: Flask, role: Role) -> None:
    wrong = []
    for call in calls(app):
        if call.method == "GET" or not may(role, call):
            continue
        client = sign_in(app.test_client(), make_user(role=role))  # anew: one of the calls signs out
        if (status := call.by(client)) == 500:
            wrong.append(f"{call}: {status}")
    assert wrong == []


# ---- Scope: nobody meets a client of another part of the firm ----

PEOPLE = ("adviser", "team leader", *(role.value for role in Role if role != Role.ADVISER))
MOST_ADDRESSES = 40  # of one route
# Addresses of a client are typed by the person: a page that repeats what was typed tells nothing.
TYPED = tuple(marker for marker in NAMES if marker not in (NUMBER, "SOUTH-"))


def addresses(app: Flask, firm: TwoBranches, method: str) -> Iterator[str]:
    """Each route with the ids, numbers and codes of things of both branches, and once more with every usual filter."""
    codes = list(db.session.scalars(db.select(Campaign.code)))
    bound = app.url_map.bind("localhost")
    filters = {
        "search": NAME[:3], "adviser": firm.southern_adviser.id, "branch": firm.south.id, "client": NUMBER,
        "number": NUMBER, "segment": 1, "segments": 1, "a": 1, "b": 2, "state": "all", "outcome": "targeted",
    }  # fmt: skip
    for rule in app.url_map.iter_rules():
        if rule.endpoint == "static" or method not in (rule.methods or ()) or rule.endpoint == "users.sign_out":
            continue
        values = [_values(rule, name, codes) for name in sorted(rule.arguments)]
        for chosen in islice(product(*values), MOST_ADDRESSES):
            path = bound.build(rule.endpoint, dict(zip(sorted(rule.arguments), chosen, strict=True)))
            yield path
            if method == "GET" and set(map(str, chosen)) <= {"1", NUMBER, *codes}:
                yield f"{path}?{urlencode(filters)}"


def _values(rule: Rule, name: str, codes: list[str]) -> list[object]:
    converter = rule._converters[name]
    if isinstance(converter, IntegerConverter):
        return [1, 2, 4]
    if isinstance(converter, AnyConverter):
        return list(converter.items)
    if isinstance(converter, UUIDConverter):
        return [UUID(int=1)]
    return list({"number": [NUMBER, "NORTH-1"], "code": codes}.get(name, ["1"]))


def words_of(response: TestResponse) -> str:
    """What a reader would find in the answer, also inside a workbook."""
    body = response.get_data()
    if body.startswith(b"PK"):
        with ZipFile(BytesIO(body)) as workbook:
            body = b"\n".join(workbook.read(name) for name in workbook.namelist())
    return body.decode(errors="replace")


def leaks(path: str, body: str, markers: Iterable[str]) -> list[str]:
    return [f"{path}: {marker}" for marker in markers if shows(body, marker)]


def shows(body: str, marker: str) -> bool:
    """A count counts where it stands alone: the 1733 of a telephone number is none."""
    return marker in body and (marker not in COUNTS or re.search(rf"(?<!\w){marker}(?!\w)", body) is not None)


@pytest.mark.parametrize("person", PEOPLE)
def test_no_page_list_count_or_export_shows_a_client_outside_the_scope(app: Flask, person: str) -> None:
    firm = make_two_branches()
    client, found = sign_in(app.test_client(), firm.people[person]), []
    for path in list(addresses(app, firm, "GET")):
        typed = "?" in path or NUMBER in path
        response = client.get(path)
        found += leaks(path, words_of(response), (*(TYPED if typed else NAMES), *COUNTS))
    assert found == []


@pytest.mark.parametrize("person", PEOPLE)
def test_no_preview_or_form_shows_a_client_outside_the_scope(app: Flask, person: str) -> None:
    firm = make_two_branches()
    everyone = {"all": []}
    typed = {
        "rule": '{"all": []}', "name": "Typed", "search": NAME[:3], "client": NUMBER, "client_number": NUMBER,
        "number": NUMBER, "numbers": NUMBER, "reason": "because", "include": "1", "segment": "1",
    }  # fmt: skip
    found = []
    for path in list(addresses(app, firm, "POST")):
        for sent in ({"data": typed}, {"json": {"rule": everyone, "name": "Typed"}}):
            client = sign_in(app.test_client(), db.session.merge(firm.people[person]))
            response = client.post(path, **sent)
            found += leaks(path, words_of(response), (*TYPED, *COUNTS))
    assert found == []


def test_the_walk_would_find_a_leak(app: Flask) -> None:
    """The head office meets everything of the south on the same walk."""
    firm = make_two_branches()
    client, found = sign_in(app.test_client(), make_user(role=Role.ADMINISTRATOR)), set()
    for path in list(addresses(app, firm, "GET")):
        words = words_of(client.get(path))
        found |= {marker for marker in (*NAMES, *COUNTS) if shows(words, marker)}
    assert set(NAMES) <= found
    assert set(COUNTS) & found
