"""Tables of counts without the small ones, so that nobody finds them by subtraction either.

A table has a row for each group, a column for each category, and totals at the right and below. Whatever is below the
threshold is withheld. Then, as one withheld count in a row of published ones is the total less the others, further
counts are withheld until every one that is missing could be any of at least `threshold` values.

How far a withheld count could be another is a question of flow: the counts of such a table are a circulation - from the
column of totals to the rows, from the rows to the columns, from there to the row of totals and back - and what may be
moved about without changing anything published is the residual network of the withheld ones. Source: D. Gusfield
(1988), A Graph Theoretic Approach to Statistical Data Security, SIAM J. Comput. 17:552-571. It also holds for whoever
knows that counts are whole and not negative.

The row of totals below is always published, so several tables of the same clients stand beside each other: what they
share is known anyway, and none tells more about another. Callers put categories together until each total reaches the
threshold; ValueError otherwise.
"""

from collections import deque
from collections.abc import Iterator, Sequence

THRESHOLD = 10

Place = tuple[int, int]
Node = tuple[str, int]


def published(counts: Sequence[Sequence[int]], threshold: int = THRESHOLD) -> list[list[int | None]]:
    """The table with its totals - one column and one row more than `counts` - and None where a count is withheld.

    Raises ValueError for rows of unlike length, negative counts, and categories whose total is below the threshold.
    """
    table = with_totals(counts)
    if any(count < 0 for row in counts for count in row):
        raise ValueError("counts must not be negative")
    if any(total < threshold for total in table[-1]):
        raise ValueError("every category must reach the threshold in total")
    withheld = {
        (row, column)
        for row, counts_of_row in enumerate(table[:-1])
        for column, count in enumerate(counts_of_row)
        if count < threshold
    }
    while (open_place := _unprotected(table, withheld, threshold)) is not None:
        withheld |= _cheapest_companions(table, withheld, open_place)
    return [
        [None if (row, column) in withheld else count for column, count in enumerate(line)]
        for row, line in enumerate(table)
    ]


def with_totals(counts: Sequence[Sequence[int]]) -> list[list[int]]:
    """The table with a column of row totals at the right and a row of column totals below."""
    if len({len(row) for row in counts}) > 1:
        raise ValueError("all rows must be equally long")
    rows = [[*row, sum(row)] for row in counts]
    return [*rows, [sum(column) for column in zip(*rows, strict=True)]]


def _unprotected(table: list[list[int]], withheld: set[Place], threshold: int) -> Place | None:
    """A withheld place whose count could be too few others."""
    arcs = {place: _arc(table, place) for place in withheld}
    for place in sorted(withheld):
        others = {other: arc for other, arc in arcs.items() if other != place}
        tail, head = arcs[place]
        more = _flow(table, others, head, tail, threshold)
        less = min(table[place[0]][place[1]], _flow(table, others, tail, head, threshold))
        if more + less < threshold:
            return place
    return None


def _cheapest_companions(table: list[list[int]], withheld: set[Place], place: Place) -> set[Place]:
    """The corners of a rectangle at `place` that are withheld at the least loss: few, small, and no totals."""
    row, column = place
    most = sum(map(sum, table)) + 1
    best: tuple[int, set[Place]] | None = None
    for other_row in range(len(table) - 1):
        for other_column in range(len(table[0])):
            if other_row == row or other_column == column:
                continue
            corners = {(row, other_column), (other_row, column), (other_row, other_column)} - withheld
            cost = sum(table[r][c] + (most if c == len(table[0]) - 1 else 0) for r, c in corners)
            if corners and (best is None or cost < best[0]):
                best = cost, corners
    if best is not None:
        return best[1]
    # Every rectangle here is withheld already: hide whatever else is left of the line, then of the table.
    left = {(r, c) for r in range(len(table) - 1) for c in range(len(table[0]))} - withheld
    return {there for there in left if there[0] == row or there[1] == column} or left


def _arc(table: list[list[int]], place: Place) -> tuple[Node, Node]:
    """Between which nodes a count flows. Totals flow back: from the columns down, around, and into the rows."""
    row, column = place
    if column == len(table[0]) - 1:
        return ("column", column), ("row", row)
    return ("row", row), ("column", column)


def _flow(table: list[list[int]], arcs: dict[Place, tuple[Node, Node]], source: Node, target: Node, enough: int) -> int:
    """How much more can be sent from source to target over withheld counts: each may grow, and shrink to zero."""
    moved: dict[Place, int] = {}
    total = 0
    while total < enough and (path := _path(table, arcs, moved, source, target)) is not None:
        step = min([enough - total, *(_left(table, moved, place) for place, forward in path if not forward)])
        for place, forward in path:
            moved[place] = moved.get(place, 0) + (step if forward else -step)
        total += step
    return total


def _path(
    table: list[list[int]],
    arcs: dict[Place, tuple[Node, Node]],
    moved: dict[Place, int],
    source: Node,
    target: Node,
) -> list[tuple[Place, bool]] | None:
    """The shortest way: withheld places and whether each grows (True) or shrinks."""
    ways: dict[Node, list[tuple[Node, Place, bool]]] = {}
    for place, forward, tail, head in _steps(table, arcs, moved):
        ways.setdefault(tail, []).append((head, place, forward))
    came: dict[Node, tuple[Node, Place, bool] | None] = {source: None}
    queue = deque([source])
    while queue and target not in came:
        node = queue.popleft()
        for head, place, forward in ways.get(node, ()):
            if head not in came:
                came[head] = (node, place, forward)
                queue.append(head)
    if target not in came:
        return None
    path = []
    step = came[target]
    while step is not None:
        path.append((step[1], step[2]))
        step = came[step[0]]
    return path


def _steps(
    table: list[list[int]], arcs: dict[Place, tuple[Node, Node]], moved: dict[Place, int]
) -> Iterator[tuple[Place, bool, Node, Node]]:
    for place, (tail, head) in arcs.items():
        yield place, True, tail, head
        if _left(table, moved, place) > 0:
            yield place, False, head, tail


def _left(table: list[list[int]], moved: dict[Place, int], place: Place) -> int:
    return table[place[0]][place[1]] + moved.get(place, 0)
