"""Whose messages a person may count: as a condition on messages, and as sets of clients."""

from collections.abc import Sequence

from pyroaring import BitMap64
from sqlalchemy import ColumnElement, select

from app.audiences.snapshots import client_ids, packed, unpacked
from app.clients.models import Client
from app.clients.queries import clients_in_scope, sees_whole_book
from app.core.extensions import db
from app.core.permissions import Role
from app.delivery.models import Message, Run, RunGroup
from app.users.models import User
from app.users.queries import subtree_ids


def message_scope(viewer: User | None) -> list[ColumnElement[bool]]:
    """Conditions on Message for what the viewer may count: sent to clients they may see.

    Who works for a branch counts what was sent for it, also where clients have joined it since. The clients of an
    adviser or a team belong to any branch.
    """
    if viewer is None or sees_whole_book(viewer):
        return []
    scope: list[ColumnElement[bool]] = [Message.client_id.in_(select(Client.id).where(clients_in_scope(viewer)))]
    if _counts_by_branch(viewer):
        scope.append(Message.branch_id.in_(subtree_ids(viewer.branch)))
    return scope


def _counts_by_branch(viewer: User) -> bool:
    return Role.ADVISER not in viewer.roles and not viewer.leads_team


def run_scopes(runs: Sequence[Run], viewer: User | None) -> dict[int, BitMap64] | None:
    """The clients of each run (by id) whom the viewer may count, as `message_scope` says; None: all of them.

    Those of the control group, who got no message, are among them by the branch they had at the launch.
    """
    if viewer is None or sees_whole_book(viewer):
        return None
    seen = client_ids(clients_in_scope(viewer))
    if not _counts_by_branch(viewer):
        return {run.id: seen for run in runs}
    return {run_id: seen & clients for run_id, clients in _of_branches(runs, subtree_ids(viewer.branch)).items()}


def _of_branches(runs: Sequence[Run], branch_ids: Sequence[int]) -> dict[int, BitMap64]:
    """The clients of each run who belonged to these branches at the launch."""
    found = {run.id: BitMap64() for run in runs}
    groups = db.session.execute(
        select(RunGroup.run_id, RunGroup.key, RunGroup.bitmap).where(
            RunGroup.run_id.in_(found), RunGroup.dimension == "branch"
        )
    ).all()
    keys = {str(branch_id) for branch_id in branch_ids}
    for group in groups:
        if group.key in keys:
            found[group.run_id] |= BitMap64.deserialize(group.bitmap)
    # Runs of earlier versions kept no groups: the messages say it.
    without = found.keys() - {group.run_id for group in groups}
    rows = db.session.execute(
        select(Message.run_id, packed(Message.client_id.expression).label("ids"))
        .where(Message.run_id.in_(without), Message.branch_id.in_(branch_ids))
        .group_by(Message.run_id)
    )
    for row in rows if without else ():
        found[row.run_id] = unpacked(row.ids)
    return found
