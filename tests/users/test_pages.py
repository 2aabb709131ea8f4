"""The pages of sign-in, profile, staff, branches and keys, as a browser without script sees them."""

import re
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.core.extensions import db
from app.core.permissions import Role
from app.users.models import ApiKey, Branch, User
from app.users.queries import find_user, head_office
from tests.factories.users import PASSWORD, make_branch, make_user, sign_in

NEW_PASSWORD = "four unrelated words here"


def enter(client: FlaskClient, user: User, password: str = PASSWORD, **more: str):
    return client.post("/sign-in", data={"email": user.email, "password": password, **more})


@pytest.fixture
def administrator(app: Flask, browser_client: FlaskClient) -> User:
    """An administrator of the whole firm, signed in."""
    user = make_user(role=Role.ADMINISTRATOR)
    sign_in(browser_client, user)
    return user


# --- signing in and out


def test_the_right_password_leads_to_the_page_that_was_wanted(app: Flask, browser_client: FlaskClient) -> None:
    user = make_user()
    asked = browser_client.get("/profile?tab=1")
    assert asked.status_code == 302
    page = browser_client.get(asked.location)
    assert 'value="/profile?tab=1"' in page.text
    assert enter(browser_client, user, next="/profile?tab=1").location == "/profile?tab=1"
    assert user.email in browser_client.get("/profile").text


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil.example", "javascript:1", "x"]
)
def test_sign_in_never_leads_to_another_site(app: Flask, browser_client: FlaskClient, elsewhere: str) -> None:
    assert enter(browser_client, make_user(), next=elsewhere).location == "/"


def test_a_wrong_password_and_an_unknown_person_read_the_same(app: Flask, browser_client: FlaskClient) -> None:
    user = make_user()
    wrong = enter(browser_client, user, "not the password")
    unknown = browser_client.post("/sign-in", data={"email": "nobody@example.com", "password": "not the password"})
    assert wrong.status_code == unknown.status_code == 422
    assert "is not right" in wrong.text
    strip = re.compile(r'value="[^"]*"|content="[^"]*"')
    assert strip.sub("", wrong.text) == strip.sub("", unknown.text)


def test_five_failures_close_the_page_to_the_right_password(app: Flask, browser_client: FlaskClient) -> None:
    user = make_user()
    for _ in range(5):
        enter(browser_client, user, "not the password")
    assert enter(browser_client, user).status_code == 422
    assert browser_client.get("/profile").status_code == 302


def test_sign_in_starts_a_session_that_shares_nothing_with_the_strangers(
    app: Flask, browser_client: FlaskClient
) -> None:
    with browser_client.session_transaction() as session:
        session["planted"] = "by somebody else"
    enter(browser_client, make_user())
    with browser_client.session_transaction() as session:
        assert "planted" not in session
        assert session.permanent


def test_signing_out_needs_a_post_and_ends_the_session(app: Flask, browser_client: FlaskClient) -> None:
    enter(browser_client, make_user())
    assert browser_client.get("/sign-out").status_code == 405
    assert browser_client.get("/profile").status_code == 200
    browser_client.post("/sign-out")
    assert browser_client.get("/profile").status_code == 302


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(app: Flask, browser_client: FlaskClient) -> None:
    cookie = enter(browser_client, make_user()).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_a_form_without_its_token_is_refused(app: Flask, browser_client: FlaskClient) -> None:
    app.config["WTF_CSRF_ENABLED"] = True
    try:
        assert enter(browser_client, make_user()).status_code == 400
        assert browser_client.post("/sign-out").status_code == 400
    finally:
        app.config["WTF_CSRF_ENABLED"] = False


def test_programs_and_fragments_are_told_rather_than_redirected(app: Flask, browser_client: FlaskClient) -> None:
    assert browser_client.get("/staff", headers={"HX-Request": "true"}).status_code == 401


# --- language


def test_the_language_of_the_browser_is_kept_at_the_first_sign_in(app: Flask, browser_client: FlaskClient) -> None:
    user = make_user()
    sent = {"email": user.email, "password": PASSWORD}
    browser_client.post("/sign-in", data=sent, headers={"Accept-Language": "zh-CN,zh;q=0.9"})
    db.session.expire_all()
    assert user.locale == "zh_CN"
    browser_client.post("/sign-out")
    browser_client.post("/sign-in", data=sent, headers={"Accept-Language": "en"})
    db.session.expire_all()
    assert user.locale == "zh_CN"


def test_a_strangers_language_stays_for_the_session_and_becomes_theirs_at_sign_in(
    app: Flask, browser_client: FlaskClient
) -> None:
    user = make_user()
    changed = browser_client.post("/language", data={"language": "zh_CN", "next": "/sign-in?next=%2Fprofile"})
    assert changed.location == "/sign-in?next=%2Fprofile"
    assert '<html lang="zh-CN">' in browser_client.get("/sign-in").text
    enter(browser_client, user)
    db.session.expire_all()
    assert user.locale == "zh_CN"
    browser_client.post("/sign-out")
    assert '<html lang="zh-CN">' in browser_client.get("/sign-in").text


def test_a_language_that_is_not_there_is_refused(app: Flask, browser_client: FlaskClient) -> None:
    assert browser_client.post("/language", data={"language": "tlh"}).status_code == 400


# --- profile


def test_people_change_their_own_name_and_language(app: Flask, browser_client: FlaskClient) -> None:
    user = make_user()
    sign_in(browser_client, user)
    browser_client.post("/profile", data={"name": " Ada  Byron ", "language": "zh_CN"})
    db.session.expire_all()
    assert (user.name, user.locale) == ("Ada Byron", "zh_CN")


def test_a_password_change_keeps_this_session_and_ends_the_others(app: Flask, browser_client: FlaskClient) -> None:
    user, elsewhere = make_user(), app.test_client()
    enter(browser_client, user)
    enter(elsewhere, user)
    browser_client.post("/profile/password", data={"present": PASSWORD, "new": NEW_PASSWORD, "again": NEW_PASSWORD})
    assert browser_client.get("/profile").status_code == 200
    assert elsewhere.get("/profile").status_code == 302
    assert enter(elsewhere, user, NEW_PASSWORD).status_code == 302


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"present": "wrong", "new": NEW_PASSWORD, "again": NEW_PASSWORD}, "The present password is not right."),
        ({"present": PASSWORD, "new": "short", "again": "short"}, "at least 12 characters"),
        ({"present": PASSWORD, "new": "password1234", "again": "password1234"}, "too easy to guess"),
        ({"present": PASSWORD, "new": NEW_PASSWORD, "again": "something else"}, "differs from the new password"),
    ],
)
def test_a_bad_new_password_is_refused_with_the_reason(
    app: Flask, browser_client: FlaskClient, data: dict[str, str], sentence: str
) -> None:
    user = make_user()
    sign_in(browser_client, user)
    response = browser_client.post("/profile/password", data=data)
    assert response.status_code == 422
    assert sentence in response.text
    assert enter(app.test_client(), user).status_code == 302


# --- staff


def test_a_new_person_signs_in_with_the_password_shown_once_and_must_change_it(
    app: Flask, browser_client: FlaskClient, administrator: User
) -> None:
    page = browser_client.post(
        "/staff/new",
        data={"name": "Ada", "email": "ada@example.com", "roles": ["adviser"], "branch": head_office().id},
    )
    password = re.search(r'id="secret">([a-z-]+)<', page.text).group(1)
    ada = app.test_client()
    assert enter(ada, find_user("ada@example.com"), password).status_code == 302
    assert ada.get("/profile").location == "/profile/password"
    assert ada.get("/profile", headers={"HX-Request": "true"}).headers["HX-Redirect"] == "/profile/password"
    assert ada.post("/language", data={"language": "en"}).status_code == 302
    ada.post("/profile/password", data={"present": password, "new": NEW_PASSWORD, "again": NEW_PASSWORD})
    assert ada.get("/profile").status_code == 200


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"roles": ["marketing", "compliance"]}, "Nobody can both make campaigns and check them"),
        ({"roles": []}, "at least one role"),
        ({"email": "not an address"}, "not a complete e-mail address"),
        ({"name": " "}, "A name is needed."),
    ],
)
def test_a_bad_new_person_is_refused_with_the_reason(
    app: Flask, browser_client: FlaskClient, administrator: User, changes: dict[str, object], sentence: str
) -> None:
    data = {"name": "Ada", "email": "ada@example.com", "roles": ["adviser"], "branch": head_office().id}
    response = browser_client.post("/staff/new", data=data | changes)
    assert response.status_code == 422
    assert sentence in response.text
    assert find_user("ada@example.com") is None


def test_the_last_administrator_cannot_close_their_own_account(
    app: Flask, browser_client: FlaskClient, administrator: User
) -> None:
    data = {
        "name": administrator.name,
        "email": administrator.email,
        "roles": ["administrator"],
        "branch": administrator.branch_id,
    }
    response = browser_client.post(f"/staff/{administrator.id}", data=data)
    assert response.status_code == 422
    assert "This is the last administrator" in response.text
    db.session.expire_all()
    assert administrator.active


def test_an_administrator_edits_unlocks_and_resets(
    app: Flask, browser_client: FlaskClient, administrator: User
) -> None:
    branch, user, person = make_branch(), make_user(), app.test_client()
    for _ in range(5):
        enter(person, user, "not the password")
    assert "Locked until" in browser_client.get(f"/staff/{user.id}").text
    assert user.name in browser_client.get("/staff?state=locked").text
    browser_client.post(f"/staff/{user.id}/unlock")
    assert enter(person, user).status_code == 302
    data = {"name": "Renamed", "email": user.email, "roles": ["adviser"], "branch": branch.id, "active": "y"}
    assert browser_client.post(f"/staff/{user.id}", data=data).status_code == 302
    db.session.expire_all()
    assert (user.name, user.roles, user.branch_id, user.active) == ("Renamed", ["adviser"], branch.id, True)
    page = browser_client.post(f"/staff/{user.id}/reset-password")
    password = re.search(r'id="secret">([a-z-]+)<', page.text).group(1)
    assert page.headers["Cache-Control"] == "no-store"
    assert person.get("/profile").status_code == 302
    assert enter(person, user, password).status_code == 302


def test_an_administrator_of_a_branch_keeps_to_it(app: Flask, browser_client: FlaskClient) -> None:
    branch, outside = make_branch(), make_user(name="Somebody outside")
    inside = make_user(branch=branch, name="Somebody inside")
    sign_in(browser_client, make_user(role=Role.ADMINISTRATOR, branch=branch))
    page = browser_client.get("/staff").text
    assert "Somebody inside" in page
    assert "Somebody outside" not in page
    assert browser_client.get(f"/staff/{outside.id}").status_code == 404
    assert browser_client.post(f"/staff/{outside.id}/reset-password").status_code == 404
    data = {"name": "X", "email": inside.email, "roles": ["adviser"], "branch": head_office().id, "active": "y"}
    assert browser_client.post(f"/staff/{inside.id}", data=data).status_code == 422
    assert browser_client.get("/api-keys").status_code == 403
    assert browser_client.get(f"/branches/{head_office().id}").status_code == 404


def test_the_list_pages_and_says_when_nobody_fits(app: Flask, browser_client: FlaskClient, administrator: User) -> None:
    for number in range(60):
        make_user(name=f"Person {number:02}")
    first = browser_client.get("/staff?search=person")
    assert "50 of 60 shown" in first.text
    onwards = re.search(r'rel="next" href="([^"]+)"', first.text).group(1).replace("&amp;", "&")
    assert "Person 59" in browser_client.get(onwards).text
    assert "Nobody fits these filters." in browser_client.get("/staff?search=zzz").text
    assert browser_client.get("/staff?after=99999999999999999999").status_code == 400
    assert browser_client.get("/staff?after=999999&role=emperor&state=odd").status_code == 200


# --- branches


def test_branches_are_added_renamed_and_moved(app: Flask, browser_client: FlaskClient, administrator: User) -> None:
    east, top = make_branch(name="East", code="E"), head_office().id
    assert f'<option selected value="{east.id}">' in browser_client.get(f"/branches/new?parent={east.id}").text
    browser_client.post("/branches/new", data={"name": "City", "code": "C", "parent": east.id})
    city = db.session.scalars(select(Branch).where(Branch.code == "C")).one()
    assert city.parent_id == east.id
    data = {"name": "City centre", "code": "CC", "parent": top}
    assert browser_client.post(f"/branches/{city.id}", data=data).status_code == 302
    db.session.expire_all()
    assert (city.name, city.code, city.parent_id, city.path) == ("City centre", "CC", top, f"/{top}/{city.id}/")
    assert "City centre" in browser_client.get("/branches").text
    refused = browser_client.post(f"/branches/{city.id}", data=data | {"code": "E"})
    assert "Another branch already has this code." in refused.text


def test_a_branch_is_not_offered_itself_as_parent(app: Flask, browser_client: FlaskClient, administrator: User) -> None:
    east = make_branch()
    below = make_branch(parent=east)
    page = browser_client.get(f"/branches/{east.id}").text
    assert f'value="{below.id}"' not in page
    refused = browser_client.post(f"/branches/{east.id}", data={"name": "E", "code": "E", "parent": below.id})
    assert refused.status_code == 422


def test_the_head_office_is_renamed_but_not_moved(app: Flask, browser_client: FlaskClient, administrator: User) -> None:
    top = head_office()
    former = {"name": top.name, "code": top.code}
    assert 'name="parent"' not in browser_client.get(f"/branches/{top.id}").text
    assert browser_client.post(f"/branches/{top.id}", data={"name": "Main", "code": "HO"}).status_code == 302
    browser_client.post(f"/branches/{top.id}", data=former)


# --- keys


def test_a_key_is_shown_once_and_revoked(app: Flask, browser_client: FlaskClient, administrator: User) -> None:
    page = browser_client.post("/api-keys", data={"name": "Core banking", "resources": ["account-openings"]}).text
    secret = re.search(r"bw_[\w-]{43}", page).group(0)
    listed = browser_client.get("/api-keys").text
    assert secret not in listed
    assert secret[:9] in listed
    key = db.session.scalars(select(ApiKey)).one()
    assert browser_client.post(f"/api-keys/{key.id}/revoke").status_code == 302
    assert browser_client.post(f"/api-keys/{key.id}/revoke").status_code == 404
    assert "Revoked" in browser_client.get("/api-keys").text


def test_branches_are_called_as_the_house_calls_their_level(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    north = make_branch()
    outlet = make_branch(parent=north)
    make_branch(parent=outlet)
    administrator = sign_in(app.test_client(), make_user(role=Role.ADMINISTRATOR))
    page = administrator.get("/branches").text
    assert (page.count("Head office"), page.count(">Outlet<")) >= (1, 2)
    config = replace(app.extensions["bellwether_config"], branch_levels=("总行", "分行", "支行", "分理处"))
    monkeypatch.setitem(app.extensions, "bellwether_config", config)
    page = administrator.get("/branches").text
    assert all(page.count(f">{name}<") == 1 for name in config.branch_levels)
