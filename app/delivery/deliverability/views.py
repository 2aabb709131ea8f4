"""The pages of deliverability: figures and alarms, the clients behind a figure, DNS, settings."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.delivery.accounts.queries import account_lines, account_names
from app.delivery.deliverability import charts, queries, service, words
from app.delivery.deliverability.alarms import deliverability_settings
from app.delivery.deliverability.forms import SettingsForm
from app.delivery.outcomes.queries import masked_words
from app.users.sessions import signed_in_user

deliverability = Blueprint("deliverability", __name__, url_prefix="/deliverability")
OUTCOMES = "<any(sent, delivered, deferred, refused, bounced, complained):outcome>"


def _chosen() -> queries.Chosen:
    days = request.args.get("days", 30, type=int)
    return queries.Chosen(
        days=days if days in queries.PERIODS else 30,
        account_id=request.args.get("account", type=int),
        domain=request.args.get("domain", "").strip().lower().replace("\x00", "")[:253],
    )


def _kept(chosen: queries.Chosen) -> dict[str, Any]:
    return {"days": chosen.days, "account": chosen.account_id, "domain": chosen.domain or None}


def _labels() -> dict[str, str]:
    return {
        "sent": _("Sent"),
        "delivered": _("Delivered"),
        "deferred": _("Deferred"),
        "refused": _("Refused at once"),
        "bounced": _("Bounced later"),
        "complained": _("Complaints"),
    }


@deliverability.get("")
@requires(Permission.VIEW_DELIVERABILITY)
def index() -> Any:
    queries.require_whole_firm(signed_in_user())
    chosen, figures = _chosen(), deliverability_settings()
    return render_template(
        "delivery/deliverability/index.html",
        chosen=chosen,
        kept=_kept(chosen),
        periods=queries.PERIODS,
        total=queries.totals(chosen),
        accounts=queries.by_account(chosen),
        domains=queries.by_domain(chosen),
        names=account_names(),
        labels=_labels(),
        figures=figures,
        lines=[
            line
            for line in account_lines()
            if (line.complaints and line.complaints.level) or line.account.marketing_paused_at
        ],
        option=charts.over_time(queries.by_day(chosen), figures),
    )


@deliverability.get(f"/clients/{OUTCOMES}")
@requires(Permission.VIEW_DELIVERABILITY)
def clients(outcome: str) -> Any:
    chosen = _chosen()
    return render_template(
        "delivery/deliverability/clients.html",
        page=queries.clients_page(
            signed_in_user(), outcome, chosen,
            newer=request.args.get("newer", type=int), older=request.args.get("older", type=int),
        ),
        outcome=outcome,
        labels=_labels(),
        chosen=chosen,
        kept=_kept(chosen),
        words=masked_words,
    )  # fmt: skip


@deliverability.get("/domains")
@requires(Permission.VIEW_DELIVERABILITY)
def domains() -> Any:
    return _domains_page(_filled_in())


def _filled_in() -> SettingsForm:
    figures = deliverability_settings()
    return SettingsForm(
        formdata=None,
        data={
            "alarm_rate": round(100 * figures.alarm_rate, 4),
            "pause_rate": round(100 * figures.pause_rate, 4),
            "window_days": figures.window_days,
            "minimum_sent": figures.minimum_sent,
            "sender_domains": "\n".join(figures.sender_domains),
            "dkim_selectors": "\n".join(figures.dkim_selectors),
        },
    )


def _domains_page(form: SettingsForm, status: int = 200) -> Any:
    queries.require_whole_firm(signed_in_user())
    page = render_template(
        "delivery/deliverability/domains.html",
        checks=queries.newest_checks(service.sender_domains()),
        under_way=service.check_under_way(),
        sentence=words.sentence,
        states=words.STATE_LABELS,
        tones=words.STATE_TONES,
        form=form,
    )
    return page, status


@deliverability.post("/domains/check")
@requires(Permission.VIEW_DELIVERABILITY)
def check() -> Any:
    queries.require_whole_firm(signed_in_user())
    with unit_of_work():
        service.order_check()
    flash(_("The domains are being looked up; reload the page in a moment."), "success")
    return redirect(url_for(".domains"))


@deliverability.post("/settings")
@requires(Permission.ADMINISTER)
def settings() -> Any:
    form = SettingsForm()
    if not form.validate_on_submit():
        return _domains_page(form, 422)
    try:
        with unit_of_work():
            service.change_settings(
                alarm_rate=form.alarm_rate.data / 100,
                pause_rate=form.pause_rate.data / 100,
                window_days=form.window_days.data,
                minimum_sent=form.minimum_sent.data,
                sender_domains=(form.sender_domains.data or "").replace("\x00", "").splitlines(),
                dkim_selectors=(form.dkim_selectors.data or "").replace("\x00", "").splitlines(),
                actor=signed_in_user(),
            )
    except AppError as error:
        flash(str(error), "error")
        return _domains_page(form, 422)
    flash(_("The settings are saved."), "success")
    return redirect(url_for(".domains"))
