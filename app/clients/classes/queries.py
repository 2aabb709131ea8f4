"""Reads about value models and the classes they give. What a person sees is limited to the clients they may see."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain
from typing import cast as typing_cast

from flask_babel import gettext as _
from sqlalchemy import BigInteger, ColumnElement, Text, and_, cast, func, literal, or_, select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import aliased, selectinload

from app.clients.classes.classifying import CutPoints, classes, find_cut_points, scores
from app.clients.classes.labels import MODEL_LABELS
from app.clients.classes.measures import ASSETS
from app.clients.classes.models import MODELS, ClassChange, ClassOverride, ClassRun, ClientClass, ModelVersion
from app.clients.classes.parameters import Parameters, Suitability, ValueClass
from app.clients.classes.suitability import needs_second_check
from app.clients.classes.versions import active_parameters, all_parameters
from app.clients.engagement.models import Engagement
from app.clients.metrics.models import ClientMetrics
from app.clients.models import Client
from app.clients.queries import visible_clients
from app.clients.timeline import TimelineEntry
from app.core import clock
from app.core.errors import NotFound
from app.core.extensions import db
from app.core.paging import Page, newest_first
from app.users.models import Branch, User

# Whose classes are computed from the parameters of this model: the scorecard takes profit and stability from there.
AFFECTS = {"profit_stability": ("profit_stability", "scorecard")}
PREVIEWED_WHOLE = 200_000  # clients: of larger books a preview is an estimate
_WITH_CUT_POINTS = {"contribution_turnover", "profit_stability"}


def value_classes(model: str) -> tuple[ValueClass, ...]:
    """The classes of a model in force, the best first."""
    return active_parameters(model).classes


def class_choices(model: str) -> list[tuple[str, str]]:
    """Code and label (in the reader's language) of each class of a model, the best first.

    The codes of suitability are the digits "5" to "0"; its column of `client_class` is a number.
    """
    return [(one.code, one.label) for one in value_classes(model)]


def class_label(model: str, code: str | None) -> str:
    """The name of a class; its code where the model no longer has it."""
    return dict(class_choices(model)).get(code or "", code) or str(_("No class"))


# ---- Versions ----


@dataclass(frozen=True, slots=True)
class VersionLine:
    """A version with who made it and who put it in force. `state` is as the version's, or "discarded"."""

    version: ModelVersion
    made_by: str | None
    activated_by: str | None

    @property
    def state(self) -> str:
        version = self.version
        return "discarded" if version.state == "retired" and version.activated_at is None else version.state


def versions_of(model: str, *, limit: int = 100) -> list[VersionLine]:
    """The versions of a model, newest first."""
    maker, activator = aliased(User), aliased(User)
    rows = db.session.execute(
        select(ModelVersion, maker.name, activator.name)
        .outerjoin(maker, maker.id == ModelVersion.created_by_id)
        .outerjoin(activator, activator.id == ModelVersion.activated_by_id)
        .where(ModelVersion.model == model)
        .order_by(ModelVersion.number.desc())
        .limit(limit)
    )
    return [VersionLine(version, made, activated) for version, made, activated in rows]


def find_version(model: str, number: int) -> ModelVersion:
    """This version of the model; else NotFound."""
    found = db.session.scalar(select(ModelVersion).where(ModelVersion.model == model, ModelVersion.number == number))
    if found is None:
        raise NotFound
    return found


def version_before(version: ModelVersion) -> ModelVersion | None:
    """What a version is compared with: the one in force, or, where it was so itself, the one in force before it."""
    others = select(ModelVersion).where(ModelVersion.model == version.model, ModelVersion.id != version.id)
    if version.activated_at is None:
        return db.session.scalar(others.where(ModelVersion.state == "active"))
    earlier = tuple_(ModelVersion.activated_at, ModelVersion.id) < tuple_(
        literal(version.activated_at), literal(version.id)
    )
    return db.session.scalar(others.where(earlier).order_by(ModelVersion.activated_at.desc()).limit(1))


def last_run() -> ClassRun | None:
    """The newest computing of the whole book that is finished."""
    return db.session.scalar(
        select(ClassRun).where(ClassRun.finished_at.is_not(None)).order_by(ClassRun.id.desc()).limit(1)
    )


# ---- What a change would do ----


@dataclass(frozen=True, slots=True)
class Move:
    """How many clients would move from one class to another (None: no class), and their total assets."""

    was: str | None
    is_now: str | None
    clients: int
    assets: Decimal

    @property
    def stays(self) -> bool:
        return self.was == self.is_now


def preview_share(user: User | None) -> int:
    """A preview looks at one client in so many: at all (1) up to PREVIEWED_WHOLE clients, else at half as many."""
    clients = db.session.scalar(select(func.count()).select_from(Client).where(visible_clients(user))) or 0
    return 1 if clients <= PREVIEWED_WHOLE else -(-2 * clients // PREVIEWED_WHOLE)


def preview_moves(model: str, parameters: Parameters, *, user: User | None, one_in: int = 1) -> dict[str, list[Move]]:
    """What putting these parameters in force now would do, by model (see AFFECTS), without writing anything.

    The cut points are those of the whole book; the counts are of the clients the person may see. With `one_in` above 1
    only one client in so many is looked at, and stands for all of them: an estimate, in a fraction of the time.
    """
    changed, today = all_parameters({model: parameters}), clock.today()
    some = [Client.id % one_in == 0] if one_in > 1 else []
    cut_points = find_cut_points(changed, today, *some) if model in _WITH_CUT_POINTS else CutPoints()
    fresh = classes(scores(changed, today, visible_clients(user), *some), changed, cut_points, today).subquery("fresh")
    affected = AFFECTS.get(model, (model,))
    pairs = [
        [cast(ClientClass.__table__.c[one], Text).label(f"was_{one}"), cast(fresh.c[one], Text).label(f"is_{one}")]
        for one in affected
    ]
    # All models in one pass over the book: a grouping set for each.
    rows = (
        select(*chain.from_iterable(pairs), fresh.c.assets)
        .select_from(fresh)
        .outerjoin(ClientClass, ClientClass.client_id == fresh.c.client_id)
        .subquery("moves")
    )
    columns = [[rows.c[f"was_{one}"], rows.c[f"is_{one}"]] for one in affected]
    counted = db.session.execute(
        select(
            func.grouping(*(is_now for _was, is_now in columns)),
            *chain.from_iterable(columns),
            func.count(),
            func.coalesce(func.sum(rows.c.assets), 0),
        ).group_by(func.grouping_sets(*(tuple_(*pair) for pair in columns)))
    )
    found: dict[str, list[Move]] = {one: [] for one in affected}
    for row in counted:
        # grouping() has a bit for each model, the first highest, and it is 0 in the set that groups by this one.
        place = next(place for place in range(len(affected)) if not row[0] >> (len(affected) - 1 - place) & 1)
        was, is_now = row[1 + 2 * place : 3 + 2 * place]
        found[affected[place]].append(Move(was, is_now, row[-2] * one_in, row[-1] * one_in))
    return found


# ---- Sizes ----


@dataclass(frozen=True, slots=True)
class Size:
    clients: int = 0
    assets: Decimal = Decimal(0)


def class_sizes(*, user: User | None, models: Sequence[str] = MODELS) -> dict[str, dict[str | None, Size]]:
    """Clients and assets per class of each model; None are those without a class. One pass over the book."""
    columns = [cast(ClientClass.__table__.c[model], Text).label(model) for model in models]
    # The book is first brought down to its few combinations of classes, which PostgreSQL does with several workers;
    # grouping sets it would do with one.
    rows = (
        select(*columns, func.count().label("clients"), func.sum(ASSETS).label("assets"))
        .select_from(Client)
        .outerjoin(ClientMetrics, ClientMetrics.client_id == Client.id)
        .outerjoin(ClientClass, ClientClass.client_id == Client.id)
        .where(visible_clients(user))
        .group_by(*columns)
        .subquery()
    )
    keys = [rows.c[model] for model in models]
    which = func.grouping(*keys)
    clients = cast(func.sum(rows.c.clients), BigInteger)
    counted = db.session.execute(
        select(which, *keys, clients, func.coalesce(func.sum(rows.c.assets), 0)).group_by(
            func.grouping_sets(*[tuple_(key) for key in keys])
        )
    )
    found: dict[str, dict[str | None, Size]] = {model: {} for model in models}
    for mask, *values, size, assets in counted:
        # The bit of the one column that is grouped by is 0, the first column's bit being the highest.
        position = next(place for place in range(len(models)) if not mask >> (len(models) - 1 - place) & 1)
        found[models[position]][values[position]] = Size(size, assets)
    return found


# ---- Cadence and coverage ----


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of so many clients of a class at a branch (None: all of them), how many were contacted as its cadence demands."""

    branch: str | None
    code: str
    clients: int
    contacted: int


def coverage(model: str, *, user: User | None) -> list[Coverage]:
    """Per class with a cadence: first all branches together, then each branch, by its place in the tree."""
    cadences = {one.code: one.cadence_days for one in value_classes(model) if one.cadence_days}
    if not cadences:
        return []
    code = cast(ClientClass.__table__.c[model], Text)
    longest_ago = clock.now() - timedelta(days=max(cadences.values()))  # an older contact is in time for nobody
    last = (
        select(Engagement.client_id, func.max(Engagement.last_at).label("at"))
        .where(Engagement.kind == "contacted", Engagement.last_at >= longest_ago)
        .group_by(Engagement.client_id)
        .subquery("last")
    )
    since = [(code == one, literal(clock.now() - timedelta(days=days))) for one, days in cadences.items()]
    in_time: ColumnElement[bool] = or_(
        *(and_(is_class, func.greatest(last.c.at, ClientMetrics.last_contact_at) >= start) for is_class, start in since)
    )
    rows = db.session.execute(
        select(
            Branch.name,
            Branch.path,
            code,
            func.count(),
            func.count().filter(in_time),
        )
        .select_from(Client)
        .join(Branch, Branch.id == Client.branch_id)
        .join(ClientClass, ClientClass.client_id == Client.id)
        .outerjoin(ClientMetrics, ClientMetrics.client_id == Client.id)
        .outerjoin(last, last.c.client_id == Client.id)
        .where(visible_clients(user), code.in_(list(cadences)))
        .group_by(Branch.id, code)
        .order_by(Branch.path)
    ).all()
    lines = [Coverage(name, one, clients, contacted) for name, _path, one, clients, contacted in rows]
    totals = [
        Coverage(
            None,
            one,
            sum(line.clients for line in lines if line.code == one),
            sum(line.contacted for line in lines if line.code == one),
        )
        for one in cadences
    ]
    return totals + lines


# ---- One class, one client ----


def clients_of_class(
    model: str, code: str, *, user: User | None, newer_than: int | None = None, older_than: int | None = None
) -> Page:
    """Rows (client, assets, last contact, id) of a class, fifty a page, by falling id."""
    query = (
        select(Client, ASSETS.label("assets"), ClientMetrics.last_contact_at, Client.id)
        .options(selectinload(Client.branch), selectinload(Client.adviser))
        .join(ClientClass, ClientClass.client_id == Client.id)
        .outerjoin(ClientMetrics, ClientMetrics.client_id == Client.id)
        .where(cast(ClientClass.__table__.c[model], Text) == code, visible_clients(user))
    )
    return newest_first(query, Client.id.expression, newer_than=newer_than, older_than=older_than)


@dataclass(frozen=True, slots=True)
class ClassLine:
    """A client's class by one model: "was A, is now B since". `since` is None for the class first given."""

    model: str
    value_class: ValueClass | None
    was: str | None
    since: date | None
    score: float | None
    override: ClassOverride | None


def classes_of(client_id: int) -> list[ClassLine]:
    """The classes of a client, one line a model, in the order of the models."""
    row = db.session.get(ClientClass, client_id)
    changes = {
        change.model: change
        for change in db.session.scalars(
            select(ClassChange)
            .ext(distinct_on(ClassChange.model))
            .where(ClassChange.client_id == client_id)
            .order_by(ClassChange.model, ClassChange.on_date.desc(), ClassChange.id.desc())
        )
    }
    overrides = {
        override.model: override
        for override in db.session.scalars(
            select(ClassOverride).where(ClassOverride.client_id == client_id, ClassOverride.expires_on >= clock.today())
        )
    }
    lines = []
    for model in MODELS:
        code = None if row is None or getattr(row, model) is None else str(getattr(row, model))
        change = changes.get(model)
        lines.append(
            ClassLine(
                model=model,
                value_class=next((one for one in value_classes(model) if one.code == code), None),
                was=class_label(model, change.was) if change else None,
                since=change.on_date if change else None,
                score=row.score if row is not None and model == "scorecard" else None,
                override=overrides.get(model),
            )
        )
    return lines


def second_check_from(client_id: int) -> int | None:
    """From which product risk (R) on a second person must check what this client is offered; None: never."""
    parameters = typing_cast(Suitability, active_parameters("suitability"))
    checked = needs_second_check(product_risk=parameters.senior_risk)
    found = db.session.scalar(select(Client.id).where(Client.id == client_id, Client.birth_date.is_not(None), checked))
    return parameters.senior_risk if found else None


def class_timeline(client_ids: Sequence[int], limit: int, until: datetime) -> list[TimelineEntry]:
    """Moves between classes, for the client's time line."""
    changes = db.session.scalars(
        select(ClassChange)
        .where(ClassChange.client_id.in_(client_ids), ClassChange.on_date <= until.astimezone(UTC).date())
        .order_by(ClassChange.on_date.desc(), ClassChange.id.desc())
        .limit(limit)
    )
    return [
        TimelineEntry(
            at=datetime.combine(change.on_date, time(), UTC),
            kind="class",
            text=_(
                "%(model)s: was %(was)s, is now %(now)s",
                model=MODEL_LABELS[change.model],
                was=class_label(change.model, change.was),
                now=class_label(change.model, change.is_now),
            ),
        )
        for change in changes
    ]
