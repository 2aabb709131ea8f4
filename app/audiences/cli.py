"""`flask segments`: list, count and save segments without a browser."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from flask.cli import AppGroup

from app.audiences import queries, service
from app.audiences.fields import load_catalogue
from app.audiences.rules import dump_rule, parse_rule_text
from app.audiences.schema import rule_schema
from app.audiences.sentence import sentence
from app.core.errors import AppError
from app.core.unit_of_work import unit_of_work

segments_cli = AppGroup("segments", help="Segments: rules over the client book.")


@contextmanager
def _sentences() -> Iterator[None]:
    """A refusal ends the command with its sentence and exit code 1."""
    try:
        yield
    except AppError as error:
        raise click.ClickException(str(error)) from error


@segments_cli.command("list")
def list_segments() -> None:
    """Each segment in use: its name, its last count and its rule in words, with tabs between."""
    catalogue = load_catalogue()
    for segment in queries.all_segments():
        rule = queries.understood(segment, catalogue)
        words = sentence(rule, catalogue) if rule else "(its rule names a field that is gone)"
        click.echo("\t".join((segment.name, "" if segment.last_count is None else str(segment.last_count), words)))


@segments_cli.command("count")
@click.argument("name")
def count(name: str) -> None:
    """How many of all clients are in the segment NAME now."""
    with _sentences(), unit_of_work():
        found = service.recount(segment=queries.segment_named(name))
    click.echo(found)


@segments_cli.command("save")
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
    with click.open_file(str(file), encoding="utf-8") as stream:
        text = stream.read()
    with _sentences(), unit_of_work():
        catalogue = load_catalogue()
        rule = parse_rule_text(text, catalogue)
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


@segments_cli.command("schema")
def schema() -> None:
    """The grammar of rules as JSON Schema."""
    click.echo(json.dumps(rule_schema(), indent=1))
