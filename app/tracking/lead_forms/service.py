"""Verbs on lead forms: design one, open and close it, take in what people send."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select, update

from app.audit.service import record
from app.campaigns.models import Campaign
from app.campaigns.service import note_act, open_for_editing
from app.clients.models import CHANNELS, Client
from app.clients.service import grant_consent
from app.core.clock import now
from app.core.errors import AppError, Conflict
from app.core.extensions import db
from app.tracking.lead_forms.addresses import Arrival
from app.tracking.lead_forms.leads import matching_client, new_lead
from app.tracking.lead_forms.models import ASKED, LeadForm, LeadSubmission
from app.tracking.lead_forms.queries import form_of
from app.users.models import User

FIELDS = ("name", "mobile", "email", "message")
LONGEST = {"title": 120, "introduction": 2_000, "consent_text": 2_000, "thanks": 1_000, "next_url": 500}


# ---- Designing ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What a form says and asks; `fields` says of each of FIELDS whether it is required, optional or off."""

    title: str
    introduction: str
    fields: Mapping[str, str]
    consent_text: str
    consent_channels: Sequence[str]
    thanks: str
    next_url: str | None


def design_form(*, campaign: Campaign, design: Design, actor: User) -> LeadForm:
    """Say what the campaign's form says and asks. Part of what is approved: what was launched has to be revised."""
    values = _checked(design)
    form = form_of(campaign)
    changed = [key for key, value in values.items() if form is None or getattr(form, key) != value]
    if form is not None and not changed:
        return form
    open_for_editing(campaign, actor, revising=True)
    if form is None:
        form = LeadForm(campaign_id=campaign.id, consent_version=1, **values)
        db.session.add(form)
    else:
        if "consent_text" in changed or "consent_channels" in changed:
            form.consent_version += 1
        for key, value in values.items():
            setattr(form, key, value)
    form.changed_by_id, form.changed_at = actor.id, now()
    db.session.flush()
    noted = {key: [None, "changed"] for key in changed} | {"consent_version": [None, form.consent_version]}
    note_act(campaign, "lead_form_changed", actor, changes=noted)
    return form


def open_form(*, campaign: Campaign, form: LeadForm, enabled: bool, closes_on: date | None, actor: User) -> None:
    """Switch the form on or off and set its last day. Possible at any time: closing must never wait."""
    changes = {
        key: [str(getattr(form, key)), str(value)]
        for key, value in {"enabled": enabled, "closes_on": closes_on}.items()
        if getattr(form, key) != value
    }
    if not changes:
        return
    form.enabled, form.closes_on = enabled, closes_on
    form.changed_by_id, form.changed_at = actor.id, now()
    db.session.flush()
    note_act(campaign, "lead_form_changed", actor, changes=changes)


def _checked(design: Design) -> dict[str, Any]:
    values = asdict(design)
    for key, most in LONGEST.items():
        values[key] = (values[key] or "").replace("\0", "").strip()
        if len(values[key]) > most:
            raise AppError(_l("A text is too long: at most %(most)s characters.", most=most))
    if not values["title"] or not values["consent_text"]:
        raise AppError(_l("The form needs a title and the words of the consent."))
    fields = {name: design.fields.get(name, "off") for name in FIELDS}
    if not set(fields.values()) <= set(ASKED):
        raise AppError(_l("Each field is required, optional or off."))
    if "required" not in (fields["mobile"], fields["email"]) and fields["mobile"] == fields["email"] == "off":
        raise AppError(_l("Ask for a mobile number or an e-mail address: else nobody can be reached."))
    channels = [channel for channel in CHANNELS if channel in design.consent_channels]
    if not channels:
        raise AppError(_l("Choose at least one channel that the consent is for."))
    url = values["next_url"] or None
    if url is not None and (urlsplit(url).scheme != "https" or not urlsplit(url).hostname):
        raise AppError(_l("The address to go on to begins with https://."))
    return values | {"fields": fields, "consent_channels": channels, "next_url": url}


# ---- Taking in ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What somebody entered, parsed: the mobile number in E.164 form."""

    name: str | None
    mobile: str | None
    email: str | None
    message: str | None
    consented: bool
    nonce: str


def take_submission(*, arrival: Arrival, said: Said) -> LeadSubmission:
    """Keep what was sent in, as a known client's or as a new lead's, with the consent as evidence.

    The same form sent again (by its nonce) is the same submission. What is known of a client is never changed by it:
    anybody can type another's address.
    """
    form = arrival.form
    for key in sorted(f"lead {value.lower()}" for value in (said.nonce, said.email, said.mobile) if value):
        db.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))
    known = db.session.scalar(
        select(LeadSubmission).where(LeadSubmission.form_id == form.id, LeadSubmission.nonce == said.nonce)
    )
    if known is not None:
        return known
    campaign = db.session.get_one(Campaign, form.campaign_id)
    adviser = db.session.get(User, arrival.adviser_id) if arrival.adviser_id else None
    client, matched_by = matching_client(email=said.email, mobile=said.mobile)
    if matched_by == "new":
        client = new_lead(campaign=campaign, adviser=adviser, name=said.name, email=said.email, mobile=said.mobile)
    submission = LeadSubmission(
        form_id=form.id,
        nonce=said.nonce,
        client_id=client.id if client else None,
        adviser_id=adviser.id if adviser else None,
        message_id=arrival.message_id,
        name=said.name,
        mobile=said.mobile,
        email=said.email,
        message=said.message,
        consent="waiting" if said.consented else "not_given",
        consent_version=form.consent_version,
        consent_text=form.consent_text,
        matched_by=matched_by,
        received_at=now(),
    )
    db.session.add(submission)
    if client is not None:
        _take_consent(submission, form, client, campaign)
    db.session.flush()
    return submission


def _take_consent(submission: LeadSubmission, form: LeadForm, client: Client, campaign: Campaign) -> None:
    """Note the consent for the channels whose address was given and is the client's own.

    Who had opted out stays so: a form that anybody can send is too weak to undo a person's word.
    """
    if submission.consent != "waiting":
        return
    mail = bool(submission.email and client.email and submission.email.lower() == client.email.lower())
    phone = bool(submission.mobile and submission.mobile == client.mobile)
    reached = {"email": mail, "sms": phone, "call": phone}
    before = {"email": client.email_consent, "sms": client.sms_consent, "call": client.call_consent}
    asked = [channel for channel in form.consent_channels if reached[channel]]
    for channel in asked:
        if before[channel] is not False:
            grant_consent(
                client_ids=[client.id],
                channel=channel,
                source=f"lead form of {campaign.code}",
                wording=f"[{submission.consent_version}] {submission.consent_text}",
                at=submission.received_at,
                actor=None,
            )
    submission.consent = "opted_out_before" if any(before[one] is False for one in asked) else "granted"


def assign_submission(*, submission: LeadSubmission, form: LeadForm, client: Client, actor: User) -> None:
    """A person says whose a submission is that several clients fit."""
    assigned = db.session.execute(
        update(LeadSubmission)
        .where(LeadSubmission.id == submission.id, LeadSubmission.client_id.is_(None))
        .values(client_id=client.id)
        .execution_options(synchronize_session=False)
    )
    if assigned.rowcount != 1:  # type: ignore[attr-defined]
        raise Conflict
    db.session.refresh(submission)
    _take_consent(submission, form, client, db.session.get_one(Campaign, form.campaign_id))
    record(
        actor=actor,
        action="lead_submission.match",
        subject="lead_submission",
        subject_id=submission.id,
        changes={"client": [None, client.id]},
    )


def join_submissions(loser_id: int, survivor_id: int) -> int:
    """After a merge: what the one record's client sent in, the other's did. Returns how many."""
    moved = db.session.execute(
        update(LeadSubmission)
        .where(LeadSubmission.client_id == loser_id)
        .values(client_id=survivor_id)
        .execution_options(synchronize_session=False)
    )
    return int(moved.rowcount)  # type: ignore[attr-defined]
