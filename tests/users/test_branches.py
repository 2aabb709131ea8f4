"""The tree of branches."""

import pytest
from flask import Flask

from app.core.errors import NotFound
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.users import service
from app.users.models import Branch
from app.users.queries import branch_in_scope, branch_tree, head_office, subtree_ids, user_in_scope
from tests.factories.users import make_branch, make_user


def paths() -> dict[str, str]:
    """Each branch's path in codes, read along the parents, as the stored path must say too."""
    branches = {branch.id: branch for branch in db.session.query(Branch)}
    for branch in branches.values():
        above = branches[branch.parent_id].path if branch.parent_id else "/"
        assert branch.path == f"{above}{branch.id}/"
    return {b.code: "/".join(branches[int(i)].code for i in b.path.strip("/").split("/")) for b in branches.values()}


def move(branch: Branch, parent: Branch) -> None:
    with unit_of_work():
        service.move_branch(branch=branch, parent=parent, actor=None)


def test_a_subtree_moves_as_one(app: Flask) -> None:
    east, west = make_branch(code="E"), make_branch(code="W")
    city = make_branch(code="C", parent=east)
    make_branch(code="O", parent=city)
    move(city, west)
    assert paths() == {"HO": "HO", "E": "HO/E", "W": "HO/W", "C": "HO/W/C", "O": "HO/W/C/O"}
    assert len(subtree_ids(west)) == 3
    assert subtree_ids(east) == [east.id]


def test_ids_with_a_common_beginning_are_not_confused(app: Flask) -> None:
    branches = [make_branch() for _ in range(12)]
    for branch in branches:
        assert subtree_ids(branch) == [branch.id]


def test_a_branch_is_not_moved_below_itself(app: Flask) -> None:
    east = make_branch()
    city = make_branch(parent=east)
    for parent in (east, city):
        with pytest.raises(service.BranchLoop):
            move(east, parent)


def test_the_head_office_stays(app: Flask) -> None:
    with pytest.raises(service.HeadOfficeStays):
        move(head_office(), make_branch())


def test_a_code_is_taken_once(app: Flask) -> None:
    make_branch(code="E")
    with pytest.raises(service.BranchCodeTaken):
        make_branch(code="E")
    other = make_branch(code="W")
    with pytest.raises(service.BranchCodeTaken), unit_of_work():
        service.edit_branch(branch=other, code="E", name="West", actor=None)


def test_a_branch_needs_a_code_and_a_name(app: Flask) -> None:
    for code, name in ((" ", "East"), ("E", " ")):
        with pytest.raises(service.BranchCodeMissing), unit_of_work():
            service.create_branch(code=code, name=name, parent=head_office(), actor=None)


def test_the_tree_reads_depth_first_with_its_staff(app: Flask) -> None:
    west = make_branch(code="W")
    east = make_branch(code="E")
    city = make_branch(code="C", parent=east)
    make_user(branch=city)
    make_user(branch=city, active=False)
    lines = [(line.branch.code, line.depth, line.staff) for line in branch_tree(head_office())]
    assert lines == [("HO", 0, 0), ("E", 1, 0), ("C", 2, 1), ("W", 1, 0)]
    assert [line.branch.code for line in branch_tree(west)] == ["W"]


def test_people_see_their_own_part_of_the_firm(app: Flask) -> None:
    east, west = make_branch(), make_branch()
    manager, colleague, stranger = make_user(branch=east), make_user(branch=make_branch(parent=east)), make_user()
    assert user_in_scope(colleague.id, actor=manager) == colleague
    for outside in (stranger.id, 10**9):
        with pytest.raises(NotFound):
            user_in_scope(outside, actor=manager)
    with pytest.raises(NotFound):
        branch_in_scope(west.id, actor=manager)
