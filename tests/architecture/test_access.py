"""Walks every route as every role and as a stranger. New routes are covered as they appear."""

from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.routing.converters import AnyConverter, UUIDConverter

from app.core.permissions import GRANTS, Permission, Role
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
        if call.method != "GET" or not may(role, call) or call.path.startswith(API):
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
