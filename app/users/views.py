"""Signing in, one's own profile, and the administration of staff, branches and keys."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.exceptions import BadRequest
from wtforms import SelectChoice

from app.core.errors import AppError, Forbidden
from app.core.extensions import LANGUAGES, choose_locale
from app.core.permissions import ROLE_LABELS, Permission, public, requires, signed_in
from app.core.unit_of_work import unit_of_work
from app.users import queries, service
from app.users import teams as team_verbs
from app.users.forms import (
    API_RESOURCE_LABELS,
    ApiKeyForm,
    BranchForm,
    PasswordForm,
    ProfileForm,
    SignInForm,
    StaffForm,
    TeamForm,
    branch_choices,
    show_refusal,
    team_choices,
)
from app.users.models import Branch, Team
from app.users.passwords import generate_password
from app.users.sessions import end_session, safe_path, signed_in_user, start_session

users = Blueprint("users", __name__)
staff = Blueprint("staff", __name__)


def _whole_firm() -> None:
    """Keys open the whole firm's data, so only administrators of the whole firm handle them."""
    if current_user.branch.parent_id is not None:
        raise Forbidden


# --- signing in and out -------------------------------------------------------------------------------------------


@users.route("/sign-in", methods=["GET", "POST"])
@public
def sign_in() -> Any:
    form = SignInForm()
    wanted = safe_path(form.next.data or request.args.get("next"))
    if current_user.is_authenticated:
        return redirect(wanted)
    status = 200
    if form.validate_on_submit():
        if _signed_in(form.email.data, form.password.data):
            return redirect(wanted)
        flash(
            _(
                "The e-mail address or the password is not right. "
                "After five failures in a row an account is locked for 15 minutes."
            ),
            "error",
        )
        status = 422
    form.next.data = wanted
    return render_template("users/sign_in.html", form=form), status


def _signed_in(email: str, password: str) -> bool:
    """Count, commit, verify, then record: see `service.count_attempt`."""
    with unit_of_work():
        user = service.count_attempt(email=email)
    matches = service.password_matches(user=user, password=password)
    if user is None:
        return False
    if not matches:
        with unit_of_work():
            service.note_failure(user=user)
        return False
    chosen_here = session.get("locale")
    with unit_of_work():
        service.note_sign_in(user=user, password=password)
        if chosen_here in LANGUAGES or user.locale is None:
            # The browser's too: jobs tell people in their language what they found, and know no browser.
            service.set_language(user=user, language=choose_locale())
    start_session(user)
    return True


@users.post("/sign-out")
@public
def sign_out() -> Any:
    end_session()
    return redirect(url_for("users.sign_in"))


@users.post("/language")
@public
def set_language() -> Any:
    """For staff it is kept with the person, for strangers in the session."""
    language = request.form.get("language", "")
    if language not in LANGUAGES:
        raise BadRequest
    if current_user.is_authenticated:
        with unit_of_work():
            service.set_language(user=signed_in_user(), language=language)
    else:
        session["locale"] = language
    return redirect(safe_path(request.form.get("next")))


# --- one's own profile --------------------------------------------------------------------------------------------


@users.route("/profile", methods=["GET", "POST"])
@signed_in
def profile() -> Any:
    me = signed_in_user()
    form = ProfileForm(name=me.name, language=choose_locale())
    if form.validate_on_submit():
        with unit_of_work():
            service.rename_user(user=me, name=form.name.data)
            service.set_language(user=me, language=form.language.data)
        flash(_("Your profile is saved."), "success")
        return redirect(url_for("users.profile"))
    return render_template("users/profile.html", form=form, me=me, role_labels=ROLE_LABELS), 422 if form.errors else 200


@users.route("/profile/password", methods=["GET", "POST"])
@signed_in
def change_password() -> Any:
    me, form = signed_in_user(), PasswordForm()
    if form.validate_on_submit():
        try:
            with unit_of_work():
                service.change_password(user=me, present=form.present.data, new=form.new.data)
            start_session(me)
            flash(_("Your password is changed. Everywhere else you are signed out."), "success")
            return redirect(url_for("users.profile"))
        except AppError as error:
            show_refusal(form, error)
    return render_template("users/change_password.html", form=form, me=me), 422 if form.errors else 200


# --- staff --------------------------------------------------------------------------------------------------------


@staff.get("/staff")
@requires(Permission.ADMINISTER)
def index() -> Any:
    filters = {name: request.args.get(name, "").strip() for name in ("search", "role", "state")}
    scope = current_user.branch
    page = queries.staff_page(
        scope=scope,
        before=request.args.get("before", type=int),
        after=request.args.get("after", type=int),
        **filters,
    )
    return render_template(
        "users/index.html",
        page=page,
        total=queries.staff_count(scope=scope, **filters),
        filters=filters,
        role_labels=ROLE_LABELS,
        is_locked=queries.is_locked,
    )


@staff.route("/staff/new", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def create() -> Any:
    form = _staff_form()
    if form.validate_on_submit():
        password = generate_password()
        try:
            with unit_of_work():
                user = service.create_user(
                    email=form.email.data,
                    name=form.name.data,
                    password=password,
                    roles=form.roles.data,
                    branch=queries.branch_in_scope(form.branch.data, actor=signed_in_user()),
                    actor=signed_in_user(),
                    must_change_password=True,
                )
            return render_template("users/one_time_password.html", user=user, password=password, is_new=True)
        except AppError as error:
            show_refusal(form, error)
    return render_template("users/create.html", form=form), 422 if form.errors else 200


@staff.route("/staff/<int:user_id>", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def edit(user_id: int) -> Any:
    user, form = queries.user_in_scope(user_id, actor=signed_in_user()), _staff_form()
    if not form.is_submitted():
        form.fill(user)
    elif form.validate():
        try:
            with unit_of_work():
                service.edit_user(
                    user=user,
                    email=form.email.data,
                    name=form.name.data,
                    roles=form.roles.data,
                    branch=queries.branch_in_scope(form.branch.data, actor=signed_in_user()),
                    active=form.active.data,
                    actor=signed_in_user(),
                )
                service.set_post(
                    user=user,
                    team=_chosen_team(form.team.data) if form.team else user.team,
                    leads_team=form.leads_team.data if form.team else user.leads_team,
                    client_capacity=form.capacity.data,
                    marketing_post=form.marketing_post.data,
                    registration_number=form.registration_number.data or "",
                    registration_until=form.registration_until.data,
                    actor=signed_in_user(),
                )
            flash(_("%(name)s is saved.", name=user.name), "success")
            return redirect(url_for("staff.index"))
        except AppError as error:
            show_refusal(form, error)
    return (
        render_template("users/edit.html", form=form, user=user, locked=queries.is_locked(user)),
        422 if form.errors else 200,
    )


def _staff_form() -> StaffForm:
    form = StaffForm()
    form.branch.choices = branch_choices(queries.branch_tree(current_user.branch))
    if current_user.branch.parent_id is None:
        form.team.choices = team_choices(queries.team_tree(), _("No team"))
    else:  # a team reaches beyond the branch, so that its leader would see more than who makes them one
        del form.team, form.leads_team
    return form


def _chosen_team(team_id: int) -> Team | None:
    return queries.find_team(team_id) if team_id else None


@staff.post("/staff/<int:user_id>/reset-password")
@requires(Permission.ADMINISTER)
def reset_password(user_id: int) -> Any:
    user = queries.user_in_scope(user_id, actor=signed_in_user())
    with unit_of_work():
        password = service.reset_password(user=user, actor=signed_in_user())
    return render_template("users/one_time_password.html", user=user, password=password, is_new=False)


@staff.post("/staff/<int:user_id>/unlock")
@requires(Permission.ADMINISTER)
def unlock(user_id: int) -> Any:
    user = queries.user_in_scope(user_id, actor=signed_in_user())
    with unit_of_work():
        service.unlock_user(user=user, actor=signed_in_user())
    flash(_("%(name)s can sign in again.", name=user.name), "success")
    return redirect(url_for("staff.edit", user_id=user.id))


# --- branches -----------------------------------------------------------------------------------------------------


@staff.get("/branches")
@requires(Permission.ADMINISTER)
def branches() -> Any:
    return render_template(
        "users/branches.html", lines=queries.branch_tree(current_user.branch), level_name=queries.level_name
    )


@staff.route("/branches/new", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def create_branch() -> Any:
    form = BranchForm(parent=request.args.get("parent", current_user.branch_id, type=int))
    form.parent.choices = branch_choices(queries.branch_tree(current_user.branch))
    if form.validate_on_submit():
        try:
            with unit_of_work():
                branch = service.create_branch(
                    code=form.code.data,
                    name=form.name.data,
                    parent=queries.branch_in_scope(form.parent.data, actor=signed_in_user()),
                    actor=signed_in_user(),
                )
            flash(_("%(name)s is added.", name=branch.name), "success")
            return redirect(url_for("staff.branches"))
        except AppError as error:
            show_refusal(form, error)
    return render_template("users/branch.html", form=form, branch=None), 422 if form.errors else 200


@staff.route("/branches/<int:branch_id>", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def edit_branch(branch_id: int) -> Any:
    branch = queries.branch_in_scope(branch_id, actor=signed_in_user())
    form = BranchForm(name=branch.name, code=branch.code, parent=branch.parent_id)
    _offer_parents(form, branch)
    if form.validate_on_submit():
        try:
            with unit_of_work():
                service.edit_branch(branch=branch, code=form.code.data, name=form.name.data, actor=signed_in_user())
                if form.parent:
                    parent = queries.branch_in_scope(form.parent.data, actor=signed_in_user())
                    service.move_branch(branch=branch, parent=parent, actor=signed_in_user())
            flash(_("%(name)s is saved.", name=branch.name), "success")
            return redirect(url_for("staff.branches"))
        except AppError as error:
            show_refusal(form, error)
    return render_template("users/branch.html", form=form, branch=branch), 422 if form.errors else 200


def _offer_parents(form: BranchForm, branch: Branch) -> None:
    """Every branch but those below; none for the top of what the person administers, which stays where it is."""
    if branch.id == current_user.branch_id:
        del form.parent
        return
    lines = queries.branch_tree(current_user.branch)
    form.parent.choices = branch_choices([line for line in lines if not queries.contains(branch, line.branch)])


# --- teams --------------------------------------------------------------------------------------------------------


@staff.get("/teams")
@requires(Permission.ADMINISTER)
def teams() -> Any:
    _whole_firm()
    return render_template("users/teams.html", lines=queries.team_tree())


@staff.route("/teams/new", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def create_team() -> Any:
    _whole_firm()
    form = TeamForm(parent=request.args.get("parent", 0, type=int))
    del form.members, form.leaders
    form.parent.choices = team_choices(queries.team_tree(), _("At the top"))
    if form.validate_on_submit():
        try:
            with unit_of_work():
                team = team_verbs.create_team(
                    name=form.name.data, parent=_chosen_team(form.parent.data), actor=signed_in_user()
                )
            flash(_("%(name)s is added.", name=team.name), "success")
            return redirect(url_for("staff.edit_team", team_id=team.id))
        except AppError as error:
            show_refusal(form, error)
    return render_template("users/team.html", form=form, team=None), 422 if form.errors else 200


@staff.route("/teams/<int:team_id>", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def edit_team(team_id: int) -> Any:
    _whole_firm()
    team, people = queries.find_team(team_id), queries.possible_members()
    inside = [user for user in people if user.team_id == team.id]
    form = TeamForm(
        name=team.name,
        parent=team.parent_id or 0,
        members=[user.id for user in inside],
        leaders=[user.id for user in inside if user.leads_team],
    )
    lines = [line for line in queries.team_tree() if not line.team.path.startswith(team.path)]
    form.parent.choices = team_choices(lines, _("At the top"))
    form.members.choices = form.leaders.choices = [
        SelectChoice(user.id, f"{user.name} ({user.branch.name})") for user in people
    ]
    if form.validate_on_submit():
        try:
            with unit_of_work():
                team_verbs.rename_team(team=team, name=form.name.data, actor=signed_in_user())
                team_verbs.move_team(team=team, parent=_chosen_team(form.parent.data), actor=signed_in_user())
                team_verbs.set_members(
                    team=team,
                    members=[user for user in people if user.id in form.members.data],
                    leaders=[user for user in people if user.id in form.leaders.data],
                    actor=signed_in_user(),
                )
            flash(_("%(name)s is saved.", name=team.name), "success")
            return redirect(url_for("staff.teams"))
        except team_verbs.LeaderWithoutTeam as error:
            form.leaders.errors = [*form.leaders.errors, str(error)]
        except AppError as error:
            show_refusal(form, error)
    return render_template("users/team.html", form=form, team=team), 422 if form.errors else 200


@staff.post("/teams/<int:team_id>/delete")
@requires(Permission.ADMINISTER)
def delete_team(team_id: int) -> Any:
    _whole_firm()
    team = queries.find_team(team_id)
    name = team.name
    with unit_of_work():
        team_verbs.delete_team(team=team, actor=signed_in_user())
    flash(_("%(name)s is deleted.", name=name), "success")
    return redirect(url_for("staff.teams"))


# --- keys of the HTTP interface -----------------------------------------------------------------------------------


@staff.route("/api-keys", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def api_keys() -> Any:
    _whole_firm()
    form, secret = ApiKeyForm(), None
    if form.validate_on_submit():
        with unit_of_work():
            _key, secret = service.create_api_key(
                name=form.name.data, resources=form.resources.data or (), actor=signed_in_user()
            )
        form = ApiKeyForm(formdata=None)
    return (
        render_template(
            "users/api_keys.html", form=form, secret=secret, keys=queries.api_keys(), resources=API_RESOURCE_LABELS
        ),
        422 if form.errors else 200,
    )


@staff.post("/api-keys/<int:key_id>/revoke")
@requires(Permission.ADMINISTER)
def revoke_api_key(key_id: int) -> Any:
    _whole_firm()
    with unit_of_work():
        service.revoke_api_key(key_id=key_id, actor=signed_in_user())
    flash(_("The key is revoked. Whatever uses it is refused from now on."), "success")
    return redirect(url_for("staff.api_keys"))
