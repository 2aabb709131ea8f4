"""Building a segment in a real browser: by choosing, dragging, with the keyboard alone, and as JSON."""

import json
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from playwright.sync_api import CDPSession, Locator, Page, Route, expect

from tests.e2e.acts import sign_in
from tests.e2e.conftest import NewPage, System
from tests.e2e.firm import OFFICER
from tests.e2e.larkfield import CITY, SEGMENT

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("firm")]

LARKFIELD = {"field": "city", "op": "is", "value": CITY}
RICH = {"field": "name", "op": "contains", "value": "Lark"}
KNOWN = {"field": "email", "op": "known"}


@pytest.fixture(scope="package", autouse=True)
def larkfield(system_running: System, firm: None) -> None:
    system_running.run("tests.e2e.larkfield")


def open_builder(page: Page, rule: dict[str, Any] | None = None) -> None:
    """The builder with a rule, once its script has drawn it."""
    page.goto("/segments/new" + (f"?rule={json.dumps(rule)}" if rule else ""))
    expect(page.locator(".rule-tree .rule-group.is-root")).to_be_visible()
    page.wait_for_load_state("load")


def matches(page: Page, number: int) -> None:
    """The preview has come to this number."""
    expect(page.locator("#preview .figure-value")).to_have_text(str(number))
    expect(page.locator(".rule-count")).to_have_text(
        f"{number} client matches" if number == 1 else f"{number} clients match"
    )


def written(page: Page) -> Any:
    return json.loads(page.locator("#rule-input").input_value())


def part(page: Page, name: str) -> Locator:
    """The newest condition on this field."""
    return page.locator(".rule-condition").filter(has=page.locator(f'.rule-grip[aria-label$=": {name}"]')).last


def add_condition(page: Page, group: Locator, typed: str, option: str) -> None:
    group.locator("> .rule-add").get_by_role("button", name="Add condition").click()
    page.keyboard.type(typed)
    page.get_by_role("option", name=option, exact=True).click()


def root(page: Page) -> Locator:
    return page.locator(".rule-group.is-root")


def test_a_rule_is_built_by_choosing_and_saved(page: Page) -> None:
    sign_in(page, OFFICER)
    open_builder(page)

    # Another segment, found by typing.
    add_condition(page, root(page), "segm", "Segment")
    page.get_by_role("combobox", name="Segment: value").fill("larkf")
    page.get_by_role("option", name=re.compile(SEGMENT)).click()
    matches(page, 6)

    # Rows that a client has: at least two trades over 10,000.
    add_condition(page, root(page), "transac", "Transactions: number or sum")
    trades = page.locator(".rule-condition.is-related")
    trades.locator("> .rule-line").get_by_label("transactions: value").fill("2")
    matches(page, 2)
    where = trades.locator(".rule-group.is-where")
    add_condition(page, where, "amou", "Amount")
    part(page, "Amount").get_by_label("Comparison").select_option(label="is more than")
    part(page, "Amount").get_by_label("Amount: value").fill("19999")
    matches(page, 2)
    trades.locator("> .rule-line").get_by_label("What is counted").select_option(label="sum of Amount")
    trades.locator("> .rule-line").get_by_label("transactions: value").fill("20000")
    matches(page, 3)

    # Its opposite, and back with the keyboard.
    trades.locator("> .rule-line").get_by_role("button", name="not").click()
    matches(page, 3)
    expect(page.locator("#preview")).to_contain_text("not")
    page.keyboard.press("Control+z")
    assert "not" not in json.dumps(written(page))

    # The two richest of them.
    root(page).locator("> .rule-add").get_by_role("button", name="Take only some").click()
    page.get_by_label("How many clients").fill("2")
    page.get_by_role("combobox", name="By which field").fill("total")
    page.get_by_role("option", name="Total assets", exact=True).click()
    matches(page, 2)
    expect(page.locator("#preview")).to_contain_text("Lark 6")
    expect(page.locator("#preview")).not_to_contain_text("Lark 4")
    expect(page.locator("#preview")).to_contain_text("North branch")
    expect(page.locator("#preview")).to_contain_text("No usable address")

    page.get_by_label("Name", exact=True).fill("Rich traders of Larkfield")
    page.get_by_role("button", name="Save segment").click()
    expect(page.get_by_role("heading", name="Rich traders of Larkfield")).to_be_visible()
    expect(page.locator(".figure-tile").first).to_contain_text("2")


def test_parts_are_duplicated_removed_and_brought_back(page: Page) -> None:
    sign_in(page, OFFICER)
    open_builder(page, {"all": [LARKFIELD, RICH]})
    matches(page, 6)
    part(page, "City").get_by_role("button", name="Duplicate").click()
    assert written(page)["all"] == [LARKFIELD, LARKFIELD, RICH]
    part(page, "Name").get_by_role("button", name="Remove", exact=True).click()
    assert written(page)["all"] == [LARKFIELD, LARKFIELD]
    page.keyboard.press("Control+z")
    assert written(page)["all"] == [LARKFIELD, LARKFIELD, RICH]
    page.get_by_role("button", name="Undo").click()
    assert written(page)["all"] == [LARKFIELD, RICH]
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    page.keyboard.press("Control+Shift+z")
    assert written(page)["all"] == [LARKFIELD, LARKFIELD, RICH]


def drag(page: Page, grip: Locator, target: Locator, *, below: bool) -> None:
    grip.scroll_into_view_if_needed()
    start, end = grip.bounding_box(), target.bounding_box()
    assert start is not None
    assert end is not None
    page.mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
    page.mouse.down()
    page.mouse.move(end["x"] + end["width"] / 2, end["y"] + end["height"] * (0.8 if below else 0.2), steps=12)
    expect(page.locator(".drop-mark")).to_be_visible()
    page.mouse.up()


def test_parts_are_moved_by_dragging_and_with_the_keyboard(page: Page) -> None:
    sign_in(page, OFFICER)
    open_builder(page, {"all": [LARKFIELD, RICH, {"any": [KNOWN]}]})
    matches(page, 6)
    said = page.locator("[data-segment-builder] > [role=status]")

    drag(page, part(page, "City").locator(".rule-grip"), part(page, "E-mail address"), below=True)
    assert written(page) == {"all": [RICH, {"any": [KNOWN, LARKFIELD]}]}
    expect(said).to_have_text("Moved: now 2 of 2 in its group")
    drag(page, part(page, "City").locator(".rule-grip"), part(page, "Name"), below=False)
    assert written(page) == {"all": [LARKFIELD, RICH, {"any": [KNOWN]}]}

    # The keyboard does the same, and the focus stays on what is moved.
    part(page, "Name").locator(".rule-grip").focus()
    page.keyboard.press("ArrowRight")
    assert written(page) == {"all": [LARKFIELD, {"any": [RICH, KNOWN]}]}
    page.keyboard.press("ArrowDown")
    assert written(page) == {"all": [LARKFIELD, {"any": [KNOWN, RICH]}]}
    page.keyboard.press("ArrowLeft")
    assert written(page) == {"all": [LARKFIELD, {"any": [KNOWN]}, RICH]}
    expect(said).to_have_text("Moved: now 3 of 3 in its group")
    page.keyboard.press("ArrowDown")
    expect(said).to_have_text("It cannot be moved further that way.")
    part(page, "City").get_by_label("Comparison").focus()
    page.keyboard.press("Alt+ArrowRight")
    assert written(page) == {"all": [{"any": [LARKFIELD, KNOWN]}, RICH]}
    matches(page, 6)


def test_conditions_on_rows_and_on_clients_do_not_mix(page: Page) -> None:
    sign_in(page, OFFICER)
    amount = {"field": "amount", "op": "gt", "value": 1}
    rule = {"all": [LARKFIELD, {"related": "transactions", "where": {"all": [amount]}, "op": "gte", "value": 1}]}
    open_builder(page, rule)
    matches(page, 3)
    city, row = part(page, "City").locator(".rule-grip"), part(page, "Amount")
    start, end = city.bounding_box(), row.bounding_box()
    assert start is not None
    assert end is not None
    page.mouse.move(start["x"] + 3, start["y"] + 3)
    page.mouse.down()
    page.mouse.move(end["x"] + end["width"] / 2, end["y"] + end["height"] / 2, steps=8)
    page.mouse.up()
    assert amount in written(page)["all"][0].get("where", written(page)["all"][-1].get("where", {}))["all"]
    assert len(json.dumps(written(page))) == len(json.dumps(rule))


def test_a_rule_is_written_as_json_and_its_faults_are_shown_at_their_place(page: Page) -> None:
    sign_in(page, OFFICER)
    open_builder(page, {"all": [LARKFIELD]})
    matches(page, 6)
    page.get_by_role("button", name="Rule as JSON").click()
    text = page.get_by_role("textbox", name="Rule as JSON")
    text.fill(json.dumps({"all": [LARKFIELD, {"any": [{"field": "age", "op": "gte", "value": "old"}]}]}))
    problem = part(page, "Age").locator(".rule-problem")
    expect(problem).to_have_text("Here a number is needed.")
    expect(page.locator("#preview")).to_contain_text("all[1].any[0].value")
    page.get_by_label("Name", exact=True).fill("Never saved")
    page.get_by_role("button", name="Save segment").click()
    expect(page.get_by_text("Finish or remove the incomplete conditions first")).to_be_visible()

    part(page, "Age").get_by_label("Age: value").fill("0")
    matches(page, 0)
    expect(problem).to_have_text("")
    text.fill('{"all": [')
    expect(page.locator("#preview")).to_contain_text("This is not a rule in JSON.")
    text.fill(json.dumps({"not": {"all": [LARKFIELD]}}))
    expect(root(page).get_by_role("button", name="not").first).to_have_attribute("aria-pressed", "true")


def test_a_column_of_numbers_is_pasted(page: Page) -> None:
    sign_in(page, OFFICER)
    open_builder(page, {"all": [{"field": "number", "op": "in", "value": ["L1"]}]})
    matches(page, 1)
    paste = """(field, text) => {
        const data = new DataTransfer();
        data.setData("text", text);
        field.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
    }"""
    numbers = "\n".join(f"L{number}" for number in range(1, 1201))
    value = page.locator("input[aria-label='Client number: value']")
    value.evaluate(paste, numbers)
    matches(page, 6)
    expect(page.get_by_text("Only the first 1000 of 1200 were taken.")).to_be_visible()
    page.get_by_role("button", name="and 988 more").click()
    page.locator("textarea[aria-label='Client number: value']").fill("L2\nL3")
    matches(page, 2)
    page.get_by_role("button", name="Done").click()
    assert written(page)["all"][0]["value"] == ["L2", "L3"]


def test_only_the_answer_to_the_last_edit_counts(page: Page) -> None:
    sign_in(page, OFFICER)
    open_builder(page, {"all": [LARKFIELD]})
    matches(page, 6)
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    page.route("**/segments/preview", hold_the_first)
    part(page, "City").get_by_label("City: value").fill("Nowhere")
    with page.expect_event("requestfailed", lambda request: request.url.endswith("/segments/preview")):
        # Waits for the first question to be on its way, then asks the second.
        expect(page.locator("#preview")).to_have_attribute("aria-busy", "true")
        part(page, "City").get_by_label("City: value").fill(CITY.upper())
    matches(page, 6)
    expect(page.locator("#preview")).not_to_have_attribute("aria-busy", "true")
    assert len(held) == 1


def test_the_builder_fits_a_phone(new_page: NewPage) -> None:
    page = new_page(width=390, height=844)
    sign_in(page, OFFICER)
    rows = {"related": "transactions", "where": {"any": [{"field": "amount", "op": "between", "value": [1, 2e9]}]}}
    deep = {"any": [{"not": {"all": [LARKFIELD, {"any": [RICH, KNOWN]}]}}, LARKFIELD]}
    take = {"count": 4, "random": 7}
    open_builder(page, {"all": [LARKFIELD, deep, rows | {"op": "gte", "value": 1}], "take": take})
    matches(page, 3)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    drag(page, part(page, "Name").locator(".rule-grip"), part(page, "E-mail address"), below=True)
    assert written(page)["all"][1]["any"][0]["not"]["all"][1] == {"any": [KNOWN, RICH]}


@pytest.fixture
def sixty_lists(system_running: System) -> Iterator[list[int]]:
    """More lists of numbers than a page is given."""
    with psycopg.connect(system_running.environ["DATABASE_URL"], autocommit=True) as connection:
        made = "INSERT INTO number_list (name, size) SELECT 'Fair ' || n, n FROM generate_series(1, 60) n RETURNING id"
        ids = [row[0] for row in connection.execute(made)]
        yield ids
        connection.execute("DELETE FROM number_list WHERE id = ANY(%s)", [ids])


def test_among_many_choices_one_is_found_by_typing_with_the_keyboard_alone(page: Page, sixty_lists: list[int]) -> None:
    sign_in(page, OFFICER)
    open_builder(page, {"all": [{"field": "number_list", "op": "in", "value": [sixty_lists[2]]}]})
    assert "Fair 44" not in page.content()
    lists = part(page, "List of numbers")
    expect(lists.locator(".chip")).to_contain_text("Fair 3")

    field = page.get_by_role("combobox", name="List of numbers: value")
    field.focus()
    page.keyboard.type("fair 4")
    options = page.locator(".combobox-option")
    expect(options).to_have_count(15)  # all with a 4
    page.keyboard.type("4")
    expect(options).to_have_text([re.compile("Fair 44")])
    page.keyboard.press("Enter")
    assert written(page)["all"][0]["value"] == [sixty_lists[2], sixty_lists[43]]
    expect(lists.locator(".chip")).to_have_count(2)
    expect(field).to_be_focused()
    page.keyboard.type("fair 5")
    expect(options).to_have_count(15)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert len(written(page)["all"][0]["value"]) == 3
    page.keyboard.type("nowhere")
    expect(page.get_by_text("Nothing found")).to_be_visible()
    page.keyboard.press("Escape")
    expect(field).to_have_value("")

    # What is written as JSON is named as well.
    page.get_by_role("button", name="Rule as JSON").click()
    rule = {"field": "number_list", "op": "in", "value": [sixty_lists[59]]}
    page.get_by_role("textbox", name="Rule as JSON").fill(json.dumps({"all": [rule]}))
    expect(lists.locator(".chip")).to_contain_text("Fair 60")
    matches(page, 0)


class Finger:
    """A finger on the screen of a phone: the browser is told of touches, as the screen tells it, not of pointers."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.screen: CDPSession = page.context.new_cdp_session(page)

    def _touch(self, kind: str, *points: tuple[float, float]) -> None:
        self.screen.send(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]}
        )

    def down(self, x: float, y: float) -> None:
        self.at = (x, y)
        self._touch("touchStart", self.at)

    def to(self, x: float, y: float, steps: int = 12) -> None:
        from_x, from_y = self.at
        for step in range(1, steps + 1):
            self._touch("touchMove", (from_x + (x - from_x) * step / steps, from_y + (y - from_y) * step / steps))
        self.at = (x, y)

    def up(self) -> None:
        self._touch("touchEnd")

    def taken_away(self) -> None:
        """The phone takes the touch for itself: a call comes in, or a gesture of its own begins."""
        self._touch("touchCancel")


def middle(place: Locator) -> tuple[float, float]:
    box = place.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def to_the_middle(place: Locator) -> None:
    place.evaluate("place => place.scrollIntoView({ block: 'center', behavior: 'instant' })")


def scrolled(page: Page) -> float:
    return float(page.evaluate("window.scrollY"))


def test_parts_are_moved_with_a_finger(new_page: NewPage) -> None:
    page = new_page(width=390, height=844, touch=True)
    sign_in(page, OFFICER)
    open_builder(page, {"all": [LARKFIELD, RICH, {"any": [KNOWN]}]})
    matches(page, 6)
    finger = Finger(page)
    grip = part(page, "City").locator(".rule-grip")
    size = grip.bounding_box()
    assert size is not None
    assert min(size["width"], size["height"]) >= 24, "too small for a finger"

    # Down past the next part.
    to_the_middle(grip)
    before = scrolled(page)
    x, y = middle(part(page, "Name"))
    finger.down(*middle(grip))
    finger.to(x, y + 30)
    expect(page.locator(".drop-mark")).to_be_visible()
    assert scrolled(page) == before, "the page must stay while a part is dragged"
    finger.up()
    expect(page.locator(".drop-mark")).to_have_count(0)
    assert written(page) == {"all": [RICH, LARKFIELD, {"any": [KNOWN]}]}

    # Into a group.
    to_the_middle(part(page, "E-mail address"))
    finger.down(*middle(part(page, "City").locator(".rule-grip")))
    finger.to(*middle(part(page, "E-mail address")))
    expect(page.locator(".drop-mark")).to_be_visible()
    finger.up()
    assert written(page)["all"][0] == RICH
    assert LARKFIELD in written(page)["all"][1]["any"]

    # What the phone takes away lands nowhere.
    now = written(page)
    to_the_middle(part(page, "Name"))
    x, y = middle(part(page, "Name").locator(".rule-grip"))
    finger.down(x, y)
    finger.to(x + 60, y + 90)
    expect(page.locator(".drop-mark")).to_be_visible()
    finger.taken_away()
    expect(page.locator(".drop-mark")).to_have_count(0)
    expect(page.locator(".is-dragged")).to_have_count(0)
    assert written(page) == now
    matches(page, 6)


def test_a_finger_beside_the_grip_scrolls_the_page(new_page: NewPage) -> None:
    page = new_page(width=390, height=500, touch=True)
    sign_in(page, OFFICER)
    rule = {"all": [LARKFIELD, RICH, KNOWN, *({"field": "age", "op": "gte", "value": n} for n in range(8))]}
    open_builder(page, rule)
    to_the_middle(part(page, "City"))
    before = scrolled(page)
    x, y = middle(page.locator(".rule-between").first)
    finger = Finger(page)
    finger.down(x, y)
    finger.to(x, y - 150)
    finger.up()
    page.wait_for_function("before => window.scrollY > before + 50", arg=before)
    assert written(page) == rule


def test_a_dragged_part_scrolls_the_page_at_its_edge(new_page: NewPage) -> None:
    page = new_page(width=390, height=500, touch=True)
    sign_in(page, OFFICER)
    ages = [{"field": "age", "op": "gte", "value": n} for n in range(8)]
    open_builder(page, {"all": [LARKFIELD, *ages]})
    grip = part(page, "City").locator(".rule-grip")
    to_the_middle(grip)
    before = scrolled(page)
    finger = Finger(page)
    finger.down(*middle(grip))
    finger.to(120, 480)
    # It scrolls to the end of the rule and no further: the last place is still under the finger.
    page.wait_for_function("before => window.scrollY > before + 300", arg=before)
    expect(page.locator(".is-root > .rule-items > :last-child")).to_have_class("drop-mark")
    finger.up()
    assert written(page) == {"all": [*ages, LARKFIELD]}
