"""Messages compiled, filled, made safe and made trackable."""

import re
from html import unescape
from typing import Any

import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from liquid.exceptions import LiquidError

from app.clients.models import CustomField
from app.content.compiling import CompiledSource, compile_source
from app.content.liquid import HTML, MAX_OUTPUT, TEXT, ContentInvalid
from app.content.models import EmailContent
from app.content.personalisation import URL_VARIABLES, nest
from app.content.rendering import CompiledEmail, Footer, MessageLinks, Preview, render_preview
from app.core.extensions import db
from app.core.tokens import Kind, Links, Signer, click_target

FOOTER = Footer("Firm & Sons", "1 Harbour Road", "Unsubscribe")
SIGNER = Signer("a secret that is long enough for the tests")
LINKS = Links(SIGNER, "https://m.firm.example", "reply.firm.example")
MARIA = {"client": {"first_name": "Maria", "city": "Porto"}, "adviser": {}, "branch": {}, "custom": {}}


def compiled_source(source: str, *, format: str = "html", subject: str = "News", preheader: str = "") -> CompiledSource:
    return compile_source(format=format, subject=subject, preheader=preheader, source=source)


def errors(made: CompiledSource) -> list[str]:
    return [problem.message for problem in made.problems if problem.severity == "error"]


def email(html: str, *, text: str = "Hello", subject: str = "News") -> CompiledEmail:
    return CompiledEmail(EmailContent(html=html, text=text, subject=subject), FOOTER)


def joined(made: CompiledEmail, values: dict[str, Any], links: MessageLinks) -> Preview:
    slots = made.fill(values, links)
    parts = (made.template.subject, made.template.html, made.template.text)
    return Preview(*("".join(p if isinstance(p, str) else slots[p] for p in segments) for segments in parts))


def sent(made: CompiledEmail, values: dict[str, Any] | None = None, message_id: int = 7) -> Preview:
    return joined(made, values or MARIA, MessageLinks(LINKS, message_id))


def clicks(html: str) -> list[tuple[int, int, str]]:
    """(message id, position, target) of each click link in a part."""
    tokens = [SIGNER.read(token, Kind.CLICK) for token in re.findall(r"https://m\.firm\.example/c/([\w-]+)", html)]
    return [(token.message_id, *click_target(token)) for token in tokens]


# Compiling


def test_mjml_becomes_html_without_remote_fonts(app: Flask) -> None:
    made = compiled_source(
        "<mjml><mj-head><mj-font name='Lato' href='https://fonts.example/lato.css' /></mj-head><mj-body><mj-section>"
        "<mj-column><mj-text font-family='Lato'>Dear {{ client.first_name | default: 'friend' }}</mj-text></mj-column>"
        "</mj-section></mj-body></mjml>",
        format="mjml",
    )
    assert "<table" in made.html
    assert "{{ client.first_name | default: 'friend' }}" in made.html
    assert "fonts.example" not in made.html
    assert made.text.startswith("Dear {{ client.first_name")
    assert errors(made) == []


def test_html_without_a_body_gets_one(app: Flask) -> None:
    made = compiled_source("<p>Hello</p>")
    assert made.html.startswith("<!doctype html>")
    assert made.text == "Hello\n"


@pytest.mark.parametrize(
    "source",
    [
        "<mjml><mj-body><mj-text></mj-body></mjml>",
        "<mjml><mj-body><mj-include path='/etc/passwd' /></mj-body></mjml>",
        "<mjml><mj-body><mj-include path='https://evil.example/x.mjml' /></mj-body></mjml>",
        "not mjml at all",
        "",
    ],
)
def test_mjml_that_cannot_be_read_is_a_sentence(app: Flask, source: str) -> None:
    with pytest.raises(ContentInvalid, match="MJML cannot be read"):
        compiled_source(source, format="mjml")


@pytest.mark.parametrize(
    "source",
    [
        "{{ client.first_name",
        "{{ client.first_name | }}",
        "{% if client.city %}never closed",
        "{% nonsense %}",
        "{{ client.city | nonsense }}",
        "{{ client.city | safe }}",
        "{% include 'other' %}",
        "{% render 'other' %}",
        "{% liquid echo 'x' %}",
        "{% increment n %}",
    ],
)
def test_liquid_that_is_wrong_or_restricted_is_a_sentence(app: Flask, source: str) -> None:
    with pytest.raises(ContentInvalid) as caught:
        compiled_source(source)
    assert str(caught.value).startswith("The message has a merge field that cannot be read: ")
    assert "Traceback" not in str(caught.value)


def test_the_sentence_names_the_part(app: Flask) -> None:
    with pytest.raises(ContentInvalid, match="The subject has"):
        compiled_source("<p>x</p>", subject="{{ client.")
    with pytest.raises(ContentInvalid, match="The preheader has"):
        compiled_source("<p>x</p>", preheader="{{ client.")


def test_a_source_that_is_too_long_is_refused(app: Flask) -> None:
    with pytest.raises(ContentInvalid, match="longer than"):
        compiled_source("x" * 500_001)


def test_unknown_fields_are_errors_and_missing_defaults_are_warnings(app: Flask) -> None:
    db.session.add(CustomField(key="plan", label="Plan", type="text", slot="text_01", choices=[]))
    db.session.flush()
    made = compiled_source(
        "{{ client.frist_name }} {{ custom.plan | default: 'none' }} {{ custom.gone }} {{ client.city }} "
        "{% if client.gender %}{{ client.gender }}{% endif %} {{ unsubscribe_url }}"
    )
    assert sorted(errors(made)) == ["“client.frist_name” is not a merge field.", "“custom.gone” is not a merge field."]
    assert [p.message for p in made.problems if p.severity == "warning"] == [
        "“client.city” has no default for clients without it."
    ]


@pytest.mark.parametrize(
    "source",
    [
        "<script>alert(1)</script>",
        "<SCRIPT src='https://evil.example/x.js'></SCRIPT >",
        "<p>a</p><script>alert(1)",
        "<scr<script>x</script>ipt>alert(1)</scr<script>x</script>ipt>",
        "<link rel='stylesheet' href='https://evil.example/x.css'>",
        "<style>@import url(https://evil.example/x.css);</style>",
    ],
)
def test_scripts_and_remote_styles_do_not_survive(app: Flask, source: str) -> None:
    made = compiled_source(f"<p>Hello</p>{source}")
    for leftover in ("<script", "evil.example", "alert(1)</scr"):
        assert leftover not in made.html.lower()
    assert "Scripts and remote style sheets were removed: mail programs do not load them." in [
        problem.message for problem in made.problems
    ]


@pytest.mark.parametrize(
    "source",
    [
        "<img src='x' alt='' onerror='alert(1)'>",
        '<img alt="a > b" onerror = alert(1) src=x>',
        "<body onload='alert(1)'>x</body>",
        "<svg/onload=alert(1)>",
        "<a href='javascript:alert(1)'>x</a>",
        "<a href=javascript:alert(1)>x</a>",
        "<a href=' java&#10;script:alert(1)'>x</a>",
        "<a href='JAVASCRIPT&colon;alert(1)'>x</a>",
        "<a href='data:text/html,x'>x</a>",
        "<iframe src='https://x.example'></iframe>",
        "<form action='https://x.example'></form>",
        "<base href='https://x.example'>",
        "<meta http-equiv='refresh' content='0;url=https://x.example'>",
    ],
)
def test_active_content_is_an_error(app: Flask, source: str) -> None:
    assert len(errors(compiled_source(source))) == 1


def test_harmless_words_are_not_taken_for_scripts(app: Flask) -> None:
    made = compiled_source(
        '<p title="x">one = two, on = off</p><meta charset="utf-8"><a href="https://x.example/?on=1&amp;onclick=2">x</a>'
    )
    assert errors(made) == []


def test_doubtful_links_and_images_are_warnings(app: Flask) -> None:
    made = compiled_source(
        "<a href='http://x.example'>x</a><a href='{{ client.city }}'>y</a><img src='https://x/i.png'>"
    )
    messages = [problem.message for problem in made.problems]
    assert "The link http://x.example is not https." in messages
    assert "The link {{ client.city }} begins with a merge field, so its clicks are not counted." in messages
    assert "An image has no alternative text." in messages


def test_control_characters_cannot_pass_for_slots(app: Flask) -> None:
    made = compiled_source("<p>\x02link0\x03 \x02evil\x03 \0</p>", subject="a\x02pixel\x03b")
    assert not re.search("[\x00-\x08]", made.html + made.text)
    CompiledEmail(EmailContent(html=made.html, text=made.text, subject="x"), FOOTER).preview(MARIA)


# Preheader and plain text


def test_the_preheader_is_hidden_in_the_html_and_absent_from_the_text(app: Flask) -> None:
    made = compiled_source("<body class='x'><p>Hello</p></body>", preheader="R&D < {{ client.city | default: 'you' }}")
    assert re.search(r"<body class='x'><div style=\"display:none[^>]*>R&amp;D &lt; \{\{ client.city", made.html)
    assert made.text == "Hello\n"


def test_without_a_preheader_the_authors_own_hidden_text_stays(app: Flask) -> None:
    made = compiled_source("<div style='display:none'>a</div><p>Hello</p>")
    assert made.text == "Hello\n"


def test_the_plain_text_is_readable(app: Flask) -> None:
    made = compiled_source(
        "<body>\n\n   <h1>  Title </h1>\n\n\n<p>Dear {{ client.first_name | default: 'friend' }},</p>"
        "<p>read <a href='https://x.example/a?b=1&amp;c=2'>more</a></p><ul><li>one</li><li>two</li></ul></body>"
    )
    assert made.text.startswith("Title\n")
    assert "{{ client.first_name | default: 'friend' }}" in made.text
    assert "[more](https://x.example/a?b=1&c=2)" in made.text
    assert all(line == line.strip() for line in made.text.splitlines())
    assert "\n\n\n" not in made.text


def test_a_mail_of_images_still_has_a_plain_text(app: Flask) -> None:
    assert compiled_source("<img src='https://x.example/i.png' alt=''>", subject="Spring news").text == "Spring news\n"


def test_the_plain_text_keeps_merge_fields_whole(app: Flask) -> None:
    field = '{{ client.number | default: "no <number> & co" }}'
    made = compiled_source(f'<p>a {field}</p><a href="https://x.example/?n={field}">more</a>')
    assert made.text.count(field) == 2


# Filling


def test_values_are_escaped_in_html_and_left_alone_in_text(app: Flask) -> None:
    made = email("<p>{{ client.first_name }}</p>", text="{{ client.first_name }}", subject="{{ client.first_name }}")
    filled = sent(made, {"client": {"first_name": '<b>O\'Neill & "co"</b>'}})
    assert "<p>&lt;b&gt;O&#39;Neill &amp; &#34;co&#34;&lt;/b&gt;</p>" in filled.html
    assert filled.text.startswith('<b>O\'Neill & "co"</b>')
    assert filled.subject == '<b>O\'Neill & "co"</b>'


def test_values_are_escaped_inside_links_of_a_preview(app: Flask) -> None:
    content = EmailContent(html='<a href="https://x.example/{{ client.city }}">x</a>', text="x", subject="s")
    preview = render_preview(content, {"client": {"city": '"><img src=x onerror=alert(1)>'}}, FOOTER)
    assert "<img" not in preview.html


def test_a_client_without_a_value_gets_the_default() -> None:
    made = email("{{ client.first_name | default: 'friend' }}|{{ client.city }}|")
    assert sent(made, nest(["client.first_name", "client.city"], [None, ""])).html.startswith("friend||")


def test_conditions_and_loops_work() -> None:
    made = email(
        "{% if client.city == 'Porto' %}in Porto{% else %}away{% endif %} {% for i in (1..3) %}{{ i }}{% endfor %} "
        "{% assign client = 'shadow' %}{{ client }}"
    )
    assert sent(made).html.startswith("in Porto 123 shadow")


def test_a_field_inside_a_condition_is_a_key_too() -> None:
    made = email(
        "{% if client.city %}{{ custom.plan }}{% endif %}<a href='https://x.example/{{ client.number }}'>x</a>"
    )
    assert made.keys == ["client.city", "client.number", "custom.plan"]


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in (1..1001) %}x{% endfor %}",
        "{% for i in (1..300000000) %}{% endfor %}",
        "{% for i in (1..100) %}{% for j in (1..100) %}x{% endfor %}{% endfor %}",
        "{% for i in (1..1000) %}{% endfor %}" * 20,
        "{% for i in (1..900) %}0123456789{% endfor %}{{ client.city }}" * 30,
        "{{ (1..300000000) | join }}",
        "{% assign a = (1..300000000) | reverse %}",
        "{% assign x = 'aaaaaaaaaa' %}{% for i in (1..60) %}{% assign x = x | append: x %}{% endfor %}",
        "{% assign x = 'aaaaaaaaaa' %}{% for i in (1..12) %}{% assign x = x | append: x %}{% endfor %}"
        "{{ x | replace: '', x | replace: 'a', x | size }}",
        "{% assign x = 10 %}{% for i in (1..40) %}{% assign x = x | times: x %}{% endfor %}",
        "{{ '99999999999999999999' | date: '%Y' }}",
        "{{ '/////w==' | base64_decode }}",
        "{{ 1 | divided_by: 0 }}",
    ],
)
def test_a_bomb_is_refused_and_never_more_than_a_liquid_error(app: Flask, source: str) -> None:
    made = email(source)
    with pytest.raises(LiquidError):
        sent(made)
    with pytest.raises(ContentInvalid, match="cannot be filled in"):
        made.preview(MARIA)


def test_the_output_of_one_recipient_is_bounded() -> None:
    made = email("{{ client.city }}" * 11)
    with pytest.raises(LiquidError):
        sent(made, {"client": {"city": "x" * (MAX_OUTPUT // 10)}})


# Links


def test_links_are_signed_for_the_recipient_and_numbered_by_target() -> None:
    made = email(
        '<a href="https://x.example/a?b=1&amp;c=2">1</a><a class="button" href=\'https://x.example/b\'>2</a>'
        '<area href="https://x.example/a?b=1&amp;c=2"><a title="a > b" data-href="https://no.example" '
        "href=https://x.example/c>3</a>",
        text="[1](https://x.example/a?b=1&c=2) and https://x.example/b. Or (https://x.example/d)!",
    )
    a, b, c, d = (f"https://x.example/{rest}" for rest in ("a?b=1&c=2", "b", "c", "d"))
    for message_id in (7, 8):
        filled = sent(made, message_id=message_id)
        assert [(m, target) for m, _, target in clicks(filled.html)] == [(message_id, x) for x in (a, b, a, c)]
        assert [target for _, _, target in clicks(filled.text)] == [a, b, d]
        positions = {target: position for _, position, target in clicks(filled.html + filled.text)}
        assert sorted(positions.values()) == [0, 1, 2, 3]
        assert 'data-href="https://no.example"' in filled.html
        assert ". Or (" in filled.text


def test_links_within_conditions_are_signed_too() -> None:
    made = email(
        "{% if client.city %}<a href='https://x.example/{{ client.city }}'>x</a>{% endif %}"
        "{% for i in (1..2) %}<a href='https://x.example/same'>y</a>{% endfor %}",
        text="{% if client.city %}https://x.example/{{ client.city }}{% endif %}",
    )
    filled = sent(made)
    same = "https://x.example/same"
    assert [target for _, _, target in clicks(filled.html)] == ["https://x.example/Porto", same, same]
    assert [target for _, _, target in clicks(filled.text)] == ["https://x.example/Porto"]
    assert not re.search("[\x02\x03]", filled.html + filled.text)
    assert "/c/" not in sent(made, {"client": {}}).text


def test_a_value_cannot_pass_for_a_slot() -> None:
    made = email("{% if client.city %}<a href='https://x.example'>x</a>{{ client.city }}{% endif %}")
    assert len(clicks(sent(made, {"client": {"city": "\x02link9\x03 \x02pixel\x03 \x02evil\x03"}}).html)) == 1


@pytest.mark.parametrize(
    "href",
    ["mailto:a@x.example", "tel:+123", "#top", "javascript:alert(1)", "{{ unsubscribe_url }}", "ftp://x.example"],
)
def test_links_that_are_not_pages_are_left_as_they_are(href: str) -> None:
    filled = sent(email(f'<a href="{href}">x</a>'))
    assert clicks(filled.html) == []
    if "{" not in href:
        assert f'href="{href}"' in filled.html


def test_the_pixel_is_signed_and_once_per_message() -> None:
    filled = sent(email("<body><p>x</p></body>"))
    assert filled.html.count("/o/") == 1
    assert filled.html.endswith("</body>")
    assert "/o/" not in joined(email("<p>x</p>"), MARIA, MessageLinks(LINKS, 7, pixel=False)).html


def test_the_footer_is_added_where_the_author_left_the_way_out_away() -> None:
    filled = sent(email("<body><p>x</p></body>", text="x\n"))
    assert "Firm &amp; Sons · 1 Harbour Road" in filled.html
    assert "Firm & Sons · 1 Harbour Road" in filled.text
    for part in (filled.html, filled.text):
        (token,) = re.findall(r"https://m\.firm\.example/u/([\w-]+)", part)
        assert SIGNER.read(token, Kind.UNSUBSCRIBE).message_id == 7


def test_the_footer_is_not_doubled(app: Flask) -> None:
    made = compiled_source('<body><p>x</p><a href="{{ unsubscribe_url }}">Leave</a></body>')
    filled = sent(email(made.html, text=made.text))
    assert "Firm &amp; Sons" not in filled.html
    assert filled.html.count("/u/") == filled.text.count("/u/") == 1


def test_a_preview_has_plain_links_and_no_pixel() -> None:
    preview = email('<a href="https://x.example/?a=1&amp;b=2">x</a>').preview(MARIA)
    assert 'href="https://x.example/?a=1&amp;b=2"' in preview.html
    assert "<img" not in preview.html


# The fast way is Liquid's own way


VALUES = st.dictionaries(
    st.sampled_from(["first_name", "city", "risk_level"]),
    st.one_of(
        st.none(),
        st.text(max_size=8),
        st.integers(),
        st.floats(allow_nan=False),
        st.booleans(),
        st.sampled_from(["", " ", "<b>", "{{ x }}", "\x02link0\x03"]),
        st.lists(st.text(max_size=3), max_size=2),
    ),
)
PIECES = st.sampled_from(
    [
        "words <b>&amp;</b> ",
        "{{ client.first_name }}",
        "{{client.first_name|default:'friend'}}",
        "{{ client.city | default: \"<i>town</i> & 'co'\" }}",
        "{{ client.city | default: '' }}",
        "{{ client.risk_level | default: 3 }}",
        "{{ client.risk_level | default: 'x', allow_false: true }}",
        "{{ client.city | upcase | default: 'x' }}",
        "{{ client['city'] }}",
        "{{ client.city.size }}",
        "{{ client.size }}",
        "{{ client.first }}",
        "{{ client }}",
        "{{ nothing }}",
        "{{ nothing.at_all | default: 'x' }}",
        "{{ adviser.name | default: 'your adviser' }}",
        "{{ 'constant' }}",
        "{%- if client.city -%} {{ client.city }} {%- endif -%}",
        "{% assign client = nothing %}",
        "{% for client in client.city %}{{ client }}{% endfor %}",
        "{% raw %}{{ raw }}{% endraw %}",
    ]
)


def test_what_stands_in_several_places_is_one_slot() -> None:
    made = email(
        '<p>{{ client.first_name }}, <a href="https://firm.example/a">a</a> and <a href="https://firm.example/b?c&amp;d">b'
        "</a>, {{ client.first_name }}</p>",
        text="https://firm.example/a https://firm.example/b?c&d",
    )
    slots = made.fill({"client": {"first_name": "Ana"}}, MessageLinks(None))
    assert slots.count("https://firm.example/a") == 1
    assert slots.count("Ana") == 1
    assert {"https://firm.example/b?c&amp;d", "https://firm.example/b?c&d"} < set(slots)


@settings(max_examples=300, deadline=None)
@given(pieces=st.lists(PIECES, min_size=1, max_size=6), client=VALUES)
def test_filling_equals_liquids_own_rendering(pieces: list[str], client: dict[str, object]) -> None:
    source = "".join(pieces)
    values = {"client": client, "adviser": {}}
    made = email(source + "{{ unsubscribe_url }}", text=source + "{{ unsubscribe_url }}", subject=source)
    urls = {name: MessageLinks(LINKS, 7).url(name) for name in URL_VARIABLES}
    filled = joined(made, values, MessageLinks(LINKS, 7, pixel=False))
    assert lines(filled.subject) == TEXT.from_string(source).render(**values)
    assert lines(filled.text) == TEXT.from_string(source + "{{ unsubscribe_url }}").render(**values, **urls)
    assert lines(filled.html) == HTML.from_string(source + "{{ unsubscribe_url }}").render(**values, **urls)


def lines(text: str) -> str:
    """As Liquid's buffer writes line ends; the MIME builder makes all of them CRLF anyway."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


@settings(max_examples=100, deadline=None)
@given(name=st.text(max_size=20))
def test_what_an_html_reader_reads_is_the_value(name: str) -> None:
    filled = sent(email("<p>{{ client.first_name }}</p>{{ unsubscribe_url }}"), {"client": {"first_name": name}})
    shown = re.match(r"<p>(.*?)</p>", filled.html, re.S)
    assert shown is not None
    assert unescape(shown[1]) == unescape(unescape(name)) or unescape(shown[1]) == name
