"""Choosing what is tried out: the control group of a campaign and of the firm, and the variants of a step."""

import math
from collections.abc import Mapping
from typing import Any

from flask_babel import lazy_gettext as _l

from app.audiences.drawing import new_salt
from app.audit.service import record
from app.campaigns.models import (
    LONGEST_TEST_HOURS,
    MOST_CONTROL,
    MOST_GLOBAL_CONTROL,
    VARIANT_LETTERS,
    Campaign,
    GlobalControl,
    Step,
    Variant,
)
from app.campaigns.service import note_act, open_for_editing
from app.campaigns.step_kinds import step_kind
from app.core.clock import now
from app.core.errors import AppError, Conflict
from app.core.extensions import db
from app.core.permissions import Actor, Permission, require

# ---- Control groups -------------------------------------------------------------------------------------------------


def set_control(
    *, campaign: Campaign, percent: float, segments: Mapping[int, float | None], actor: Actor | None
) -> None:
    """How many percent of the eligible are drawn and not contacted, and of which included segments (by id) another
    share. A segment that is not named, or None, takes the campaign's."""
    for share in (percent, *segments.values()):
        _check_percent(share, MOST_CONTROL)
    open_for_editing(campaign, actor)
    included = {link.segment_id: link for link in campaign.segments if link.role == "include"}
    if not segments.keys() <= included.keys():
        raise Conflict
    changes: dict[str, Any] = {}
    if campaign.control_percent != percent:
        changes["control_percent"] = [campaign.control_percent, percent]
        campaign.control_percent = percent
    for segment_id, link in included.items():
        share = segments.get(segment_id)
        if link.control_percent != share:
            changes[f"control_percent of segment {segment_id}"] = [link.control_percent, share]
            link.control_percent = share
    db.session.flush()
    if changes:
        note_act(campaign, "control_changed", actor, changes=changes)


def set_global_control(*, percent: float, anew: bool = False, actor: Actor) -> None:
    """How many percent of all clients no marketing campaign contacts, from the next launch on.

    The same clients stay in it until it is drawn `anew`: more percent add to them, fewer let some of them go.
    """
    require(actor, Permission.ADMINISTER)
    _check_percent(percent, MOST_GLOBAL_CONTROL)
    row = db.session.get(GlobalControl, 1, with_for_update=True)
    before = row.percent if row else 0.0
    if row is None:
        row = GlobalControl(id=1, percent=percent, salt=new_salt(), drawn_at=now())
        db.session.add(row)
    elif anew:
        row.salt, row.drawn_at = new_salt(), now()
    row.percent, row.changed_by_id = percent, actor.id
    db.session.flush()
    changes: dict[str, Any] = {"percent": [before, percent]} if before != percent else {}
    if anew:
        changes["drawn_anew"] = [None, True]
    if changes:
        record(actor=actor, action="global_control.edit", subject="settings", subject_id=None, changes=changes)


def _check_percent(percent: float | None, most: int) -> None:
    if percent is not None and not (math.isfinite(percent) and 0 <= percent <= most):
        raise AppError(_l("A control group is 0 to %(most)s percent.", most=most))


# ---- Variants -------------------------------------------------------------------------------------------------------


def add_variant(*, campaign: Campaign, step: Step, actor: Actor | None) -> Variant:
    """Another variant of a step, with nothing written yet. All variants get equal shares."""
    open_for_editing(campaign, actor)
    _check_step(campaign, step)
    if not step_kind(step.channel).may_vary:
        raise AppError(_l("Steps of this kind have no variants."))
    if len(step.variants) + 1 >= len(VARIANT_LETTERS):
        raise AppError(_l("A step has at most %(most)s variants.", most=len(VARIANT_LETTERS)))
    variant = Variant(letter=VARIANT_LETTERS[len(step.variants) + 1], share=1.0)
    step.variants.append(variant)
    _share_equally(step)
    metrics = step_kind(step.channel).metrics
    if step.test_metric not in metrics:
        step.test_metric = metrics[0]
    db.session.flush()
    note_act(campaign, "variant_added", actor, changes={"step": [None, step.id], "variant": [None, variant.letter]})
    return variant


def remove_variant(*, campaign: Campaign, step: Step, variant: Variant, actor: Actor | None) -> None:
    """Take a variant out; those after it move up a letter, and all get equal shares."""
    open_for_editing(campaign, actor)
    _check_step(campaign, step)
    if variant not in step.variants:
        raise Conflict
    changes = {
        "step": [step.id, None],
        "variant": [variant.letter, None],
        "content": [getattr(variant, step_kind(step.channel).column), None],
    }
    step.variants.remove(variant)
    db.session.flush()
    for letter, left in zip(VARIANT_LETTERS[1:], step.variants, strict=False):
        left.letter = letter  # each becomes free before the next one takes it
        db.session.flush()
    _share_equally(step)
    if not step.variants:
        step.test_percent = None
    db.session.flush()
    note_act(campaign, "variant_removed", actor, changes=changes)


def set_test(
    *,
    campaign: Campaign,
    step: Step,
    shares: Mapping[str, float],
    test_percent: float | None,
    metric: str,
    hours: int,
    actor: Actor | None,
) -> None:
    """How a step's variants are compared: `shares` are {letter: percent} of every variant and add up to 100.

    With `test_percent` only so many percent of the treated get a variant at first. They are compared by `metric` once,
    so many `hours` after the launch.
    """
    open_for_editing(campaign, actor)
    _check_step(campaign, step)
    letters = ["A", *(variant.letter for variant in step.variants)]
    if list(shares) != letters:
        raise Conflict
    if not all(math.isfinite(share) and 0 < share < 100 for share in shares.values()):
        raise AppError(_l("Each variant gets more than 0 and less than 100 percent."))
    if abs(sum(shares.values()) - 100) > 1e-6:
        raise AppError(_l("The shares of the variants have to add up to 100 percent."))
    if test_percent is not None and not (math.isfinite(test_percent) and 0 < test_percent < 100):
        raise AppError(_l("A test takes more than 0 and less than 100 percent. Leave it empty to send to all at once."))
    if metric not in step_kind(step.channel).metrics:
        raise AppError(_l("Variants of this kind of step cannot be compared by that."))
    if not 1 <= hours <= LONGEST_TEST_HOURS:
        raise AppError(_l("A test lasts 1 hour to %(days)s days.", days=LONGEST_TEST_HOURS // 24))
    wanted = {"test_percent": test_percent, "test_metric": metric, "test_hours": hours}
    changes = {key: [getattr(step, key), value] for key, value in wanted.items() if getattr(step, key) != value}
    for key, value in wanted.items():
        setattr(step, key, value)
    for variant in step.variants:
        if variant.share != shares[variant.letter]:
            changes[f"share of variant {variant.letter}"] = [variant.share, shares[variant.letter]]
            variant.share = shares[variant.letter]
    db.session.flush()
    if changes:
        note_act(campaign, "test_changed", actor, changes={"step": [step.id, step.id], **changes})


def _check_step(campaign: Campaign, step: Step) -> None:
    if step not in campaign.steps:
        raise Conflict
    db.session.refresh(step)


def _share_equally(step: Step) -> None:
    """Whole percents; what is left over by rounding is A's."""
    for variant in step.variants:
        variant.share = float(100 // (len(step.variants) + 1))
