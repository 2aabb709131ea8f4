"""Every word of the interface exists in both languages, with the firm's terms."""

import re
from io import BytesIO
from pathlib import Path

import pytest
from babel import Locale
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from flask.testing import FlaskClient

from app.core.extensions import LANGUAGES

APP = Path(__file__).resolve().parents[2] / "app"
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]
KEYWORDS = {"_": None, "_l": None, "gettext": None, "lazy_gettext": None, "ngettext": (1, 2)}
# Words that a Chinese reader of this trade would stumble over; see docs/glossary.md.
AVOIDED = (
    "运动", "战役", "细分市场", "观众", "快照", "保留组", "持出组", "变体", "信心区间", "样本比率", "换手率", "红名单",
    "抑制列表", "安静时间", "未确认", "弹回",
)  # fmt: skip
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]")
BARE = re.compile(r"(?<!%)(?:%%)*%(?!%|\(\w+\)[sd])")


def used() -> set[str]:
    return {
        found[2][0] if isinstance(found[2], tuple) else found[2]
        for found in extract_from_dir(APP, METHODS, keywords=KEYWORDS)
    }


def catalogue(language: str) -> Catalog:
    folder = str(Locale.parse(language))  # zh_CN is looked for as zh_Hans_CN
    with (APP / "translations" / folder / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, locale=language)


def texts(message: Message) -> tuple[list[str], list[str]]:
    ids = [message.id] if isinstance(message.id, str) else list(message.id)
    strings = [message.string] if isinstance(message.string, str) else list(message.string)
    return ids, strings


TRANSLATED = [language for language in LANGUAGES if language != "en"]


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_of_the_interface_is_translated(language: str) -> None:
    known = {texts(message)[0][0] for message in catalogue(language) if message.id and all(texts(message)[1])}
    assert sorted(used() - known) == []


@pytest.mark.parametrize("language", TRANSLATED)
def test_translations_keep_the_placeholders(language: str) -> None:
    for message in catalogue(language):
        if message.id:
            ids, strings = texts(message)
            expected = set(PLACEHOLDER.findall(" ".join(ids)))
            assert [set(PLACEHOLDER.findall(string)) for string in strings] == [expected] * len(strings), ids[0]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_percent_sign_is_written_as_its_reader_takes_it(language: str) -> None:
    """Templates put values into every text, so a bare "%" of theirs fails; a text of Python without values is shown as
    it stands, so "%%" of theirs is seen."""
    known = {} if language == "en" else {texts(message)[0][0]: texts(message)[1] for message in catalogue(language)}
    for file, _line, found, _comments, _context in extract_from_dir(APP, METHODS, keywords=KEYWORDS):
        ids = list(found) if isinstance(found, tuple) else [found]
        for words in [*ids, *known.get(ids[0], [])]:
            if file.endswith(".html"):
                assert not BARE.search(words), (file, words)
            elif not PLACEHOLDER.search(words):
                assert "%%" not in words, (file, words)


def test_chinese_uses_the_terms_of_the_trade() -> None:
    for message in catalogue("zh_CN"):
        for string in texts(message)[1]:
            assert not [word for word in AVOIDED if word in string], string


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_catalogue_compiles(language: str) -> None:
    output = BytesIO()
    write_mo(output, catalogue(language))
    assert output.tell() > 1000


def test_a_chinese_browser_reads_chinese(browser_client: FlaskClient) -> None:
    """Needs the compiled catalogue, which `make test` and `make run` make."""
    page = browser_client.get("/sign-in", headers={"Accept-Language": "zh-CN,zh;q=0.9"}).get_data(as_text=True)
    assert "登录" in page
    assert 'lang="zh-CN"' in page
