"""`flask audiences`: segments without a browser: list, count, explain, save, freeze."""

import json
from pathlib import Path

import click
from flask.cli import AppGroup

from app.audiences import queries, service
from app.audiences.fields import Catalogue, load_catalogue
from app.audiences.obstacles import by_channel
from app.audiences.rules import Rule, dump_rule, parse_rule, parse_rule_text
from app.audiences.schema import rule_schema
from app.audiences.sentence import sentence
from app.core.commands import sentences
from app.core.extensions import db
from app.core.plans import plan_lines
from app.core.unit_of_work import unit_of_work

audiences_cli = AppGroup("audiences", help="Segments: rules over the client book.")

_rule_file = click.option(
    "--rule",
    "file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="A file with the rule as JSON (docs/rule.schema.json) in place of NAME; - is standard input.",
)


def _asked(name: str | None, file: Path | None, catalogue: Catalogue) -> Rule:
    """The rule of a segment in use, or of a file."""
    if (name is None) == (file is None):
        raise click.UsageError("Give either the NAME of a segment or --rule FILE.")
    if file is not None:
        with click.open_file(str(file), encoding="utf-8") as stream:
            return parse_rule_text(stream.read(), catalogue)
    return parse_rule(queries.segment_named(name or "").rule, catalogue)


@audiences_cli.command("list")
def list_segments() -> None:
    """Each segment in use: its name, its last count and its rule in words, with tabs between."""
    catalogue = load_catalogue()
    for segment in queries.all_segments():
        rule = queries.understood(segment, catalogue)
        words = sentence(rule, catalogue) if rule else "(its rule names a field that is gone)"
        click.echo("\t".join((segment.name, "" if segment.last_count is None else str(segment.last_count), words)))


@audiences_cli.command("count")
@click.argument("name", required=False)
@_rule_file
def count(name: str | None, file: Path | None) -> None:
    """How many of all clients are in the segment NAME, or in a rule, now."""
    with sentences(), unit_of_work():
        if name is not None and file is None:
            found = service.recount(segment=queries.segment_named(name))
        else:
            found = queries.count_whole_book(_asked(name, file, load_catalogue()))
    click.echo(found)


@audiences_cli.command("explain")
@click.argument("name", required=False)
@_rule_file
@click.option("--analyze", is_flag=True, help="Run it too, and tell how long each step took.")
def explain(name: str | None, file: Path | None, analyze: bool) -> None:
    """What the segment NAME, or a rule, asks: in words, as SQL with its parameters, and how PostgreSQL reads it."""
    with sentences(), unit_of_work():
        catalogue = load_catalogue()
        rule = _asked(name, file, catalogue)
        statement = queries.count_statement(rule)
        compiled = statement.compile(db.engine)
        click.echo(f"{sentence(rule, catalogue)}\n\n{compiled}\n")
        for key, value in compiled.params.items():
            click.echo(f"{key} = {value!r}")
        click.echo("")
        for line in plan_lines(statement, analyze=analyze):
            click.echo(line)


@audiences_cli.command("freeze")
@click.argument("name")
def freeze(name: str) -> None:
    """Keep who is in the segment NAME now, and say by channel how many marketing could not reach, and why."""
    with sentences(), unit_of_work():
        snapshot = service.freeze_segment(segment=queries.segment_named(name), actor=None)
        click.echo(f"Frozen audience {snapshot.id}: {snapshot.size} clients; {snapshot.sentence}.")
        for channel, reasons in (by_channel(snapshot.exclusions) or {}).items():
            for reason, left_out in reasons.items():
                click.echo(f"{channel}\t{left_out}\t{reason}")


@audiences_cli.command("save")
@click.argument("name")
@click.option(
    "--rule",
    "file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="A file with the rule as JSON (docs/rule.schema.json); - is standard input.",
)
@click.option("--description", help="What the segment is for.")
def save(name: str, file: Path, description: str | None) -> None:
    """Make the segment NAME, or give the one that exists this rule."""
    with sentences(), unit_of_work():
        catalogue = load_catalogue()
        rule = _asked(None, file, catalogue)
        words = sentence(rule, catalogue)
        try:
            segment = queries.segment_named(name)
        except queries.SegmentMissing:
            segment = service.create_segment(name=name, rule=dump_rule(rule), description=description)
        else:
            kept = segment.description if description is None else description
            service.edit_segment(segment=segment, name=segment.name, rule=dump_rule(rule), description=kept)
        found = service.recount(segment=segment)
    click.echo(f"{name}: {words}; {found} clients.")


@audiences_cli.command("schema")
def schema() -> None:
    """The grammar of rules as JSON Schema."""
    click.echo(json.dumps(rule_schema(), indent=1))
