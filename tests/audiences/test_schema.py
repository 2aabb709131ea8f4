"""The published grammar."""

import json
from pathlib import Path

from app.audiences.schema import rule_schema

PUBLISHED = Path(__file__).parents[2] / "docs" / "rule.schema.json"


def test_the_published_schema_is_the_one_the_catalogue_gives() -> None:
    """Renew it with: flask audiences schema > docs/rule.schema.json"""
    assert json.loads(PUBLISHED.read_text()) == json.loads(json.dumps(rule_schema()))
