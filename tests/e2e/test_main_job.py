"""The main job as people do it, in a real browser on a real system: from a client file to the report.

One story, told in order: the tests below `test_main_job` look at what it left behind.
"""

import csv
import html
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.acts import answer_question, arrive, figure, go, reload_until, sign_in
from tests.e2e.conftest import NewPage
from tests.e2e.firm import ADMINISTRATOR, CHECKER, MANAGER, OFFICER

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("firm")]

CLIENTS = """\
Client number,Name,E-mail,Email consent,City,Branch,Birth date,Favourite fund
N1,Ada North,ada@clients.example,yes,Lakeside,NORTH,1980-02-03,Global bonds
N2,Ben North,ben@clients.example,yes,Lakeside,NORTH,1975-06-30,Asia growth
N3,Cleo North,cleo@clients.example,no,Lakeside,NORTH,1991-11-12,Asia growth
S1,Dan South,dan@clients.example,yes,Lakeside,SOUTH,1968-01-09,Global bonds
S2,Eva South,eva@clients.example,yes,Hilltown,SOUTH,1988-08-08,Gold
S3,Finn South,finn@clients.example,yes,Hilltown,SOUTH,the eighth of May,Gold
"""
OPENINGS = """\
client_number,opened_at,product,external_id
N1,{today},fund account,F-1
S1,{today},fund account,F-2
X9,{today},fund account,F-3
"""
CAMPAIGN = "Autumn savings"
SEGMENT = "People of Lakeside"
BODY = """\
<mjml><mj-body><mj-section><mj-column>
<mj-text>Dear {{ client.name | default: "client" }}, your savings deserve a better rate.</mj-text>
<mj-button href="https://www.example.com/savings">See the offer</mj-button>
</mj-column></mj-section></mj-body></mjml>"""


def test_main_job(new_page: NewPage, tmp_path: Path) -> None:
    officer, checker = new_page(), new_page()
    sign_in(officer, OFFICER)
    import_clients(officer, tmp_path)
    build_segment(officer)
    prepare_campaign(officer)
    sign_in(checker, CHECKER)
    approve(checker)
    launch(officer)
    respond_as_clients(officer)
    upload_openings(officer, tmp_path)
    read_report(officer, tmp_path)


def import_clients(page: Page, folder: Path) -> None:
    file = folder / "clients.csv"
    file.write_text(CLIENTS)
    go(page, "Clients")
    page.get_by_role("link", name="Import clients").first.click()
    page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name="Upload and choose columns").click()

    # The columns are recognised; the unknown one becomes a field of the firm.
    for column, target in (("Client number", "Client number"), ("E-mail", "E-mail"), ("Branch", "Branch code")):
        expect(page.get_by_label(f"What “{column}” becomes").locator("option:checked")).to_have_text(target)
    expect(page.get_by_label("What “Favourite fund” becomes").locator("option:checked")).to_have_text("A new field")
    page.get_by_role("button", name="Preview").click()

    assert figure(page, "Would be taken") == "5"
    assert figure(page, "Would be refused") == "1"
    expect(page.get_by_role("row").filter(has_text="S3")).to_contain_text("the eighth of May")
    page.get_by_role("button", name="Import the whole file").click()

    expect(page.get_by_text("New clients")).to_be_visible()
    assert figure(page, "New clients") == "5"
    assert figure(page, "Refused") == "1"
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all with reasons (CSV)").click()
    refused = list(csv.reader(Path(download.value.path()).read_text("utf-8-sig").splitlines()))
    assert len(refused) == 2
    assert "S3" in refused[1]

    page.get_by_role("link", name="See the clients").click()
    expect(page.get_by_role("link", name="N1")).to_be_visible()
    expect(page.get_by_role("table")).not_to_contain_text("ada@clients.example")


def build_segment(page: Page) -> None:
    go(page, "Segments")
    page.get_by_role("link", name="New segment").click()
    page.get_by_label("Name", exact=True).fill(SEGMENT)
    count = page.locator("#preview .figure-value")
    expect(count).to_have_text("5")

    page.get_by_role("button", name="Add condition").click()
    page.get_by_role("combobox", name="Field").fill("cit")
    page.get_by_role("option", name="City").click()
    page.get_by_label("Comparison").select_option(label="is")
    page.get_by_label("City: value").fill("Lakeside")
    expect(count).to_have_text("4")
    expect(page.locator("#preview")).to_contain_text("3 reachable")
    page.get_by_role("button", name="Save segment").click()
    expect(page.get_by_role("heading", name=SEGMENT)).to_be_visible()
    expect(page.get_by_text(re.compile("Rule: .*Lakeside"))).to_be_visible()

    # A second one to report by, over the field that came with the file, chosen with the keyboard alone.
    go(page, "Segments")
    page.get_by_role("link", name="New segment").click()
    page.get_by_label("Name", exact=True).fill("Friends of Asia growth")
    page.get_by_role("button", name="Add condition").press("Enter")
    page.keyboard.type("favourite")
    page.keyboard.press("Enter")
    page.get_by_label("Comparison").select_option(label="is")
    value = page.get_by_label("Favourite fund: value")
    if value.evaluate("node => node.tagName") == "SELECT":
        value.select_option(label="Asia growth")
    else:
        value.fill("Asia growth")
    expect(page.locator("#preview .figure-value")).to_have_text("2")
    page.get_by_role("button", name="Save segment").click()
    expect(page.get_by_role("heading", name="Friends of Asia growth")).to_be_visible()


def prepare_campaign(page: Page) -> None:
    go(page, "Campaigns")
    page.get_by_role("link", name="New campaign").first.click()
    page.get_by_label("Name", exact=True).fill(CAMPAIGN)
    page.get_by_role("button", name="Go on to the audience").click()

    arrive(page, page.get_by_label("Add a segment: Send to")).select_option(label=f"{SEGMENT} (4)")
    counts = page.locator(".count-table")
    expect(counts.get_by_role("row", name="Matched")).to_contain_text("4")
    expect(counts.get_by_role("row", name="Will be sent")).to_contain_text("3")
    page.get_by_label("Add a segment: Report by as well").select_option(label="Friends of Asia growth (2)")
    expect(page.get_by_role("button", name="Remove Friends of Asia growth")).to_be_visible()
    page.get_by_role("link", name="Go on to the message").click()

    page.get_by_label("Subject").fill("A better rate for {{ client.name | default: 'you' }}")
    page.get_by_label("Written in").select_option(label="MJML")
    # Before its script has run the plain text area stands there, under the same name, and is then hidden.
    editor = page.locator(".email-editor").get_by_role("textbox", name="Body")
    editor.click()
    page.keyboard.insert_text(BODY)
    preview = page.frame_locator("iframe[name^=preview]:not(.is-loading)")
    page.get_by_label("As client no.").fill("N1")
    expect(preview.get_by_text("Dear Ada North")).to_be_visible()
    page.get_by_role("button", name="Text", exact=True).click()
    expect(preview.get_by_text("https://www.example.com/savings")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("The message is saved.")).to_be_visible()
    page.get_by_role("link", name="Go on to the check").click()

    page.get_by_role("button", name="Submit for approval").click()
    expect(page.get_by_text("It is with compliance now.")).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)


def approve(page: Page) -> None:
    page.get_by_role("link", name=re.compile("1 campaign waits for your approval")).click()
    page.get_by_role("link", name=CAMPAIGN).click()
    page.get_by_role("link", name="Check it").click()
    expect(
        page.frame_locator("iframe[title='The message on a phone']").get_by_text("your savings deserve")
    ).to_be_visible()
    expect(page.locator(".count-table").get_by_role("row", name="Will be sent")).to_contain_text("3")
    arrive(page, page.get_by_role("button", name="Approve")).click()
    answer_question(page, "Approve")
    expect(page.get_by_text("Approved. Marketing may launch it now.")).to_be_visible()


def launch(page: Page) -> None:
    go(page, "Overview")
    page.get_by_role("link", name=re.compile("1 approved campaign is ready")).click()
    page.get_by_role("link", name=CAMPAIGN).click()
    page.get_by_role("link", name="Send it").click()
    arrive(page, page.get_by_role("button", name="Launch now")).click()
    assert "3 clients" in answer_question(page, "Launch now")
    # The page follows by itself, without being loaded anew.
    expect(page.locator("#delivery-progress")).to_contain_text("3 of 3", timeout=60_000)
    expect(page.locator("#delivery-progress dl > div").filter(has_text="Sent")).to_contain_text("3")


def respond_as_clients(page: Page) -> None:
    """Ada opens, clicks and answers; Ben only opens; Dan does nothing."""
    go(page, "Local mailbox")
    expect(page.get_by_role("row")).to_have_count(1 + 3)
    page.get_by_role("link", name="A better rate for Ada North").click()
    message = page.frame_locator("iframe.email-preview")
    expect(message.get_by_text("Dear Ada North")).to_be_visible()
    # What is beyond the firm's own address must not be fetched by a test.
    page.context.route("https://www.example.com/**", lambda route: route.fulfill(body="The offer"))
    with page.context.expect_page() as opened:
        message.get_by_role("link", name="See the offer").click()
    expect(opened.value).to_have_url("https://www.example.com/savings")
    opened.value.close()
    page.get_by_role("textbox").fill("Please call me about this.")
    page.get_by_role("button", name="Send the answer").click()
    expect(page.get_by_text("The answer has arrived")).to_be_visible()

    go(page, "Local mailbox")
    with page.expect_response(re.compile("/o/")) as pixel:
        page.get_by_role("link", name="A better rate for Ben North").click()
    assert pixel.value.ok
    go(page, "Replies")
    expect(page.get_by_role("table")).to_contain_text("Ada North")


def upload_openings(page: Page, folder: Path) -> None:
    file = folder / "openings.csv"
    file.write_text(OPENINGS.format(today=page.evaluate("new Date().toISOString()")))
    go(page, "Account openings")
    page.get_by_role("link", name="Upload a file").first.click()
    page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name="Upload").click()
    assert figure(page, "Rows") == "3"
    assert figure(page, "New") == "3"
    go(page, "Account openings")
    reload_until(page, lambda: page.get_by_role("row").filter(has_text=CAMPAIGN).count() == 2, "both to be credited")
    expect(page.get_by_role("row").filter(has_text="X9")).to_contain_text("Client unknown")


def read_report(page: Page, folder: Path) -> None:
    go(page, "Reports")
    page.get_by_role("link", name=CAMPAIGN).click()
    wanted = {
        "Targeted": "3",
        "Sent": "3",
        "Delivered": "3",
        "Opened": "2",
        "Clicked": "1",
        "Replied": "1",
        "Unsubscribed": "0",
        "Accounts opened": "2",
    }
    reload_until(page, lambda: {label: figure(page, label) for label in wanted} == wanted, f"the figures {wanted}")
    responses = page.get_by_role("table").first.get_by_role("row")
    lakeside = responses.filter(has=page.get_by_role("rowheader", name=SEGMENT))
    friends = responses.filter(has=page.get_by_role("rowheader", name="Friends of Asia growth"))
    # As in the tiles; a campaign without calls has no column for their results.
    assert numbers(lakeside.locator(".rate-value").all_inner_texts()) == list(wanted.values())
    assert numbers(friends.locator(".rate-value").all_inner_texts()) == ["1", "1", "1", "1", "0", "0", "0", "0"]
    expect(page.locator("#funnel canvas, #funnel svg").first).to_be_visible()

    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    exported = Path(download.value.path()).read_text("utf-8-sig")
    assert SEGMENT in exported

    page.locator(".figure-tile").filter(has_text="Clicked").get_by_role("link").click()
    expect(page.get_by_role("rowheader")).to_have_count(1)
    page.get_by_role("link", name="Ada North").click()
    timeline = page.locator("section").filter(has=page.get_by_role("heading", name="Time line"))
    for happened in ("sent a message", "opened", "clicked", "replied", "account"):
        expect(timeline).to_contain_text(re.compile(happened, re.IGNORECASE))


def numbers(texts: list[str]) -> list[str]:
    return [text.strip() for text in texts]


def test_branch_manager_sees_only_the_clients_of_their_branch(page: Page) -> None:
    sign_in(page, MANAGER)
    go(page, "Clients")
    expect(page.get_by_role("link", name="N1")).to_be_visible()
    expect(page.get_by_role("table")).not_to_contain_text("South")
    answer = page.goto("/clients/S1")
    assert answer is not None
    assert answer.status == 404
    page.goto("/reports")
    page.get_by_role("link", name=CAMPAIGN).click()
    assert figure(page, "Targeted") == "2"
    assert figure(page, "Accounts opened") == "1"


measured: set[str] = set()  # the content of pages that somebody's browser has shown


@pytest.mark.parametrize("email", [OFFICER, CHECKER, MANAGER, ADMINISTRATOR])
def test_no_page_is_wider_than_a_phone(new_page: NewPage, email: str) -> None:
    page = new_page(width=390, height=844)
    sign_in(page, email)
    # The menu is folded away at this width, so its links are read from the document.
    paths = addresses(page, ".side-nav-list a")
    assert len(paths) >= 6
    too_wide = []
    seen: set[str] = set()
    while paths:
        path = paths.pop(0)
        if shape(path) in seen:
            continue
        seen.add(shape(path))
        content = content_of(page, path)
        if content in measured:  # the same for somebody else: only its links may lead elsewhere
            paths += links_in(content)
            continue
        measured.add(content)
        page.goto(path)
        # What the page fetches for itself is a part of its width.
        expect(page.locator(".htmx-request")).to_have_count(0)
        if scrolls_sideways(page):
            page.wait_for_load_state("networkidle")  # an island may still be setting itself up
            if scrolls_sideways(page):
                too_wide.append(path)
        paths += addresses(page, "main a[href^='/']:not([download]):not([href$='.csv']):not([href$='.xlsx'])")
    assert too_wide == []


def content_of(page: Page, path: str) -> str:
    """What the main part of a page consists of, without what differs from one request to the next. Asked for without a
    browser's work: a page costs it half a second."""
    answer = page.request.get(path)
    main = (
        re.search(r"<main\b.*</main>", answer.text(), re.DOTALL) if "html" in answer.headers["content-type"] else None
    )
    return re.sub(r'name="csrf_token"[^>]*', "", main[0]) if main else path


def links_in(content: str) -> list[str]:
    """As the browser is asked for below: no downloads."""
    links = [tag for tag in re.findall(r"<a\b[^>]*>", content) if " download" not in tag]
    found = [html.unescape(address) for tag in links for address in re.findall(r' href="(/[^"]*)"', tag)]
    return [address for address in found if not address.endswith((".csv", ".xlsx"))]


def addresses(page: Page, links: str) -> list[str]:
    """Where the links lead, asked all at once: a question for each takes longer than the page."""
    found: list[str] = page.eval_on_selector_all(links, "links => links.map(link => link.getAttribute('href'))")
    return found


def scrolls_sideways(page: Page) -> bool:
    """By as little as one pixel."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


def shape(path: str) -> str:
    """One page stands for all of its kind: /segments/1 for /segments/2, one figure of a report for the others."""
    place, _query, _rest = path.partition("?")
    return re.sub(r"/[^/]*\d[^/]*", "/1", place)
