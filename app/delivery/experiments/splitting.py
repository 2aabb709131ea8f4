"""At the launch: who is contacted and who is not, who gets which variant, and what reports are broken down by.

All of it is frozen in the transaction that freezes the audience, after every exclusion, and none of it changes later.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from pyroaring import BitMap64
from sqlalchemy import BigInteger, ColumnElement, any_, bindparam, insert, select, true
from sqlalchemy.dialects.postgresql import ARRAY

from app.audiences.drawing import drawn, new_salt, salt_of
from app.audiences.snapshots import freeze, packed, read_sets
from app.campaigns.experiments.control import combined_share
from app.campaigns.experiments.global_control import global_control
from app.campaigns.models import Campaign, GlobalControl, Step
from app.clients.classes.models import ClientClass
from app.clients.classes.versions import active_parameters
from app.clients.models import Client
from app.core.extensions import db
from app.delivery.models import Run, RunGroup, RunSplit, RunTest
from app.users.models import Branch, User

REST = "rest"
NOBODY = ""  # the key of those who have no branch, adviser or class
_FEW = 50_000  # so many clients are looked up by id; for more of them the book is read once

Groups = dict[tuple[str, str], BitMap64]


def split_run(run: Run, campaign: Campaign, *, eligible: BitMap64, segments: Mapping[int, BitMap64]) -> None:
    """Draw the control group and the variants of a run that is stored, and freeze the groups of its report.

    `segments` are the included ones, cut down to the eligible.
    """
    run.salt = new_salt()
    _draw_control(run, campaign, eligible, segments)
    groups = _who_they_are(eligible)
    for step in campaign.steps:
        if step.variants:
            groups |= _draw_variants(run, step, eligible)
    names = _names(groups)
    rows = [
        {
            "run_id": run.id,
            "dimension": dimension,
            "key": key,
            "name": names.get((dimension, key), key),
            "bitmap": ids.serialize(),
            "size": len(ids),
        }
        for (dimension, key), ids in groups.items()
        if ids
    ]
    if rows:
        db.session.execute(insert(RunGroup), rows)


# ---- The control group ----------------------------------------------------------------------------------------------


def _draw_control(run: Run, campaign: Campaign, eligible: BitMap64, segments: Mapping[int, BitMap64]) -> None:
    """Control groups are for marketing only: a notice that is due is due to everybody."""
    firm = global_control() if campaign.purpose == "marketing" else None
    spared = _spared(firm, eligible)
    control = BitMap64()
    for share, assigned in _by_share(campaign, eligible, segments).items():
        control |= (drawn(assigned, run.salt, [share])[0] if share else BitMap64()) | (assigned & spared)
        everybody = len(assigned) == len(eligible)
        db.session.add(
            RunSplit(
                run_id=run.id,
                control_share=combined_share(share, firm.percent / 100 if firm else 0.0),
                assigned_id=run.audience_id
                if everybody
                else freeze(name=f"{campaign.code}: drawn by {share:.2%}", ids=assigned).id,
            )
        )
    if control:
        run.control_id = freeze(name=f"{campaign.code}: control group", ids=control).id
    db.session.flush()


def _spared(firm: GlobalControl | None, eligible: BitMap64) -> BitMap64:
    """The eligible whom no marketing campaign contacts."""
    return drawn(eligible, firm.salt, [firm.percent / 100])[0] if firm else BitMap64()


def _by_share(campaign: Campaign, eligible: BitMap64, segments: Mapping[int, BitMap64]) -> dict[float, BitMap64]:
    """The eligible by the share that is drawn of them; who is in several segments takes the highest of theirs."""
    found: dict[float, BitMap64] = {}
    left = eligible.copy()
    marketing = campaign.purpose == "marketing"
    for percent, segment_id in sorted(_percents(campaign), reverse=True) if marketing else ():
        mine = left & segments.get(segment_id, BitMap64())
        if mine:
            found[percent / 100] = found.get(percent / 100, BitMap64()) | mine
            left -= mine
    if left or not found:
        rest = campaign.control_percent / 100 if marketing else 0.0
        found[rest] = found.get(rest, BitMap64()) | left
    return found


def _percents(campaign: Campaign) -> Iterator[tuple[float, int]]:
    for link in campaign.segments:
        if link.role == "include":
            own = link.control_percent
            yield campaign.control_percent if own is None else own, link.segment_id


# ---- Variants -------------------------------------------------------------------------------------------------------


def _draw_variants(run: Run, step: Step, eligible: BitMap64) -> Groups:
    """One set for each letter, and the rest where only some get the variants at first. Also opens the test."""
    tested = (step.test_percent or 100.0) / 100
    shares = {variant.letter: variant.share / 100 * tested for variant in step.variants}
    shares = {"A": tested - sum(shares.values())} | shares
    *sets, rest = drawn(eligible, salt_of(run.salt, step.id), list(shares.values()))
    arms = dict(zip(shares, sets, strict=True))
    if step.test_percent is None:
        arms["A"] |= rest  # what is left over by the rounding of sums
        rest = BitMap64()
    db.session.add(
        RunTest(
            run_id=run.id,
            step_id=step.id,
            metric=step.test_metric,
            ends_at=run.created_at + timedelta(hours=step.test_hours),
            rest=len(rest - run.control_ids),
        )
    )
    return {(variant_dimension(step.id), key): ids for key, ids in {**arms, REST: rest}.items()}


def variant_dimension(step_id: int) -> str:
    """What the groups of a step's variants stand under."""
    return f"variant:{step_id}"


def arms_of(run_id: int, step_id: int) -> dict[str | None, BitMap64]:
    """Whom a step is planned to, by the variant they get (None: there are none), without the control group.

    The rest of a test is in it as soon as somebody chose what it gets.
    """
    run = db.session.get_one(Run, run_id)
    control = run.control_ids
    rows = db.session.scalars(
        select(RunGroup).where(RunGroup.run_id == run_id, RunGroup.dimension == variant_dimension(step_id))
    )
    drawn_sets = {row.key: row.client_ids for row in rows}
    if not drawn_sets:
        everybody = run.audience.client_ids if run.audience else BitMap64()
        return {None: everybody - control}
    rest = drawn_sets.pop(REST, BitMap64())
    test = db.session.get(RunTest, (run_id, step_id), populate_existing=True)
    if test is not None and test.chosen is not None:
        drawn_sets[test.chosen] = drawn_sets.get(test.chosen, BitMap64()) | rest
    return {letter: ids - control for letter, ids in sorted(drawn_sets.items())}


# ---- Branch, adviser, tier ------------------------------------------------------------------------------------------


def _who_they_are(eligible: BitMap64) -> Groups:
    """The eligible by branch, adviser and tier, in two passes."""
    groups: Groups = {}
    owners = select(Client.branch_id, Client.adviser_id, packed(Client.id.expression)).where(
        _among(Client.id.expression, eligible)
    )
    by_owner = read_sets(owners.group_by(Client.branch_id, Client.adviser_id), keys=2)
    for (branch_id, adviser_id), [ids] in by_owner.items():
        _add(groups, {"branch": branch_id, "adviser": adviser_id}, ids & eligible)
    tiers = select(ClientClass.aum_tier, packed(ClientClass.client_id.expression))
    tiers = tiers.where(_among(ClientClass.client_id.expression, eligible))
    for (tier,), [ids] in read_sets(tiers.group_by(ClientClass.aum_tier), keys=1).items():
        _add(groups, {"tier": tier}, ids & eligible)
    for dimension in ("branch", "adviser", "tier"):
        known = BitMap64().union(*(ids for (name, _key), ids in groups.items() if name == dimension))
        _add(groups, {dimension: None}, eligible - known)
    return groups


def _add(groups: Groups, keys: Mapping[str, Any], ids: BitMap64) -> None:
    for dimension, key in keys.items():
        place = dimension, NOBODY if key is None else str(key)
        groups[place] = groups.get(place, BitMap64()) | ids


def _among(column: ColumnElement[int], ids: BitMap64) -> ColumnElement[bool]:
    return column == any_(bindparam("ids", list(ids), ARRAY(BigInteger))) if len(ids) <= _FEW else true()


def _names(groups: Groups) -> dict[tuple[str, str], str]:
    """What the branches, advisers and tiers are called now."""
    names: dict[tuple[str, str], str] = {}
    for dimension, table in (("branch", Branch), ("adviser", User)):
        ids = [int(key) for name, key in groups if name == dimension and key]
        rows = db.session.execute(
            select(table.id, table.name).where(table.id == any_(bindparam("ids", ids, ARRAY(BigInteger))))
        )
        names |= {(dimension, str(row.id)): row.name for row in rows}
    tiers = {("tier", one.code): one.label_en for one in active_parameters("aum_tier").classes}
    return names | tiers
