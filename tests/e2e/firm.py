"""`python -m tests.e2e.firm`: two branches and the staff whom the browser tests play, in the database named.

A program of its own, because an app made inside the test process would turn the queues of the other tests to this
system.
"""

from app import create_app
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.users.queries import head_office
from app.users.service import create_branch, create_user

PASSWORD = "lantern-orchard-violin-58"
OFFICER, CHECKER, MANAGER, ADMINISTRATOR, NEWCOMER = (
    f"{name}@firm.example" for name in ("officer", "checker", "manager", "administrator", "newcomer")
)
STAFF = (
    (OFFICER, "Mara Olsen", Role.MARKETING, "HO"),
    (CHECKER, "Piet Claes", Role.COMPLIANCE, "HO"),
    (MANAGER, "Nora Hill", Role.BRANCH_MANAGER, "NORTH"),
    (ADMINISTRATOR, "Ada Root", Role.ADMINISTRATOR, "HO"),
    (NEWCOMER, "Noel Newman", Role.HEAD_OFFICE, "HO"),
)


def make_firm() -> None:
    with unit_of_work():
        top = head_office()
        branches = {top.code: top, "HO": top}
        for code in ("NORTH", "SOUTH"):
            branches[code] = create_branch(code=code, name=f"{code.title()} branch", parent=top, actor=None)
        for email, name, role, branch in STAFF:
            create_user(email=email, name=name, password=PASSWORD, roles=[role.value], branch=branches[branch])


if __name__ == "__main__":
    with create_app(web=False).app_context():
        make_firm()
