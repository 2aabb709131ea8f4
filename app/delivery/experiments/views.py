"""Who is contacted and who is not, and how the variants do: embedded in the campaign pages once it is launched."""

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from pyroaring import BitMap64
from werkzeug.wrappers import Response

from app.audiences.snapshots import client_ids
from app.campaigns.models import State
from app.campaigns.queries import campaign_by_code
from app.campaigns.step_kinds import step_of
from app.clients.queries import sees_whole_book, visible_clients
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.delivery.experiments.comparing import comparisons
from app.delivery.experiments.service import send_to_rest
from app.delivery.queries import campaign_progress
from app.delivery.views import bp
from app.users.models import User
from app.users.sessions import signed_in_user


@bp.get("/campaigns/<code>/experiment")
@requires(Permission.VIEW_CAMPAIGNS)
def experiment(code: str) -> str:
    """A fragment: control group and treated, and the variants of each step, of clients whom the reader may see."""
    user = signed_in_user()
    campaign = campaign_by_code(code, viewer=user)
    progress = campaign_progress(campaign.id)
    if progress is None or (audience := progress.run.audience) is None:
        return ""
    run, visible = progress.run, _visible(user)
    eligible = audience.client_ids if visible is None else audience.client_ids & visible
    control = run.control_ids & eligible
    return render_template(
        "delivery/_experiment.html",
        campaign=campaign,
        run=run,
        eligible=len(eligible),
        control=len(control),
        partial=visible is not None,
        comparisons=comparisons(run, campaign, visible=visible),
        running=campaign.state == State.RUNNING,
    )


def _visible(user: User) -> BitMap64 | None:
    return None if sees_whole_book(user) else client_ids(visible_clients(user))


@bp.post("/campaigns/<code>/steps/<int:step_id>/rest")
@requires(Permission.RUN_CAMPAIGNS)
def choose_for_rest(code: str, step_id: int) -> Response:
    """Send the variant in the form to those who waited for the verdict."""
    campaign = campaign_by_code(code, viewer=signed_in_user())
    with unit_of_work():
        send_to_rest(
            campaign=campaign,
            step=step_of(campaign, step_id),
            variant=request.form.get("variant", ""),
            actor=signed_in_user(),
        )
    flash(_("The rest gets this variant. Its messages are being planned."), "success")
    return redirect(url_for("campaigns.send", code=campaign.code))
