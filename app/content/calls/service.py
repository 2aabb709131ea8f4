"""Writing scripts: every save is a new version."""

from collections.abc import Collection, Mapping, Sequence

from flask_babel import lazy_gettext as _l

from app.content.calls.models import KINDS, CallScript
from app.core.errors import AppError
from app.core.permissions import Actor

MAX_GOAL = 200
MAX_WORDS = 8_000
MAX_OBJECTIONS = 20
MAX_OBJECTION = 300


class ScriptIncomplete(AppError):
    message = _l("A script needs a goal and words for everyone.")


class ScriptTooLong(AppError):
    message = _l("This script is too long. Shorten it, or leave an objection out.")


class AnswerMissing(AppError):
    message = _l("Each objection needs an answer.")


def new_script(
    *,
    kind: str,
    goal: str,
    words: str,
    parts: Mapping[int, str],
    objections: Sequence[tuple[str, str]],
    segment_ids: Collection[int],
    actor: Actor | None,
) -> CallScript:
    """A version that is not in the session yet. `parts` are the words for segments (of `segment_ids`; others and empty
    ones are left out), `objections` pairs with the answer; empty pairs are left out.

    Raises ScriptIncomplete, AnswerMissing or ScriptTooLong.
    """
    goal, words = _clean(goal), _clean(words)
    if kind not in KINDS or not goal or not words:
        raise ScriptIncomplete
    own = [
        {"segment_id": segment_id, "words": _clean(text)}
        for segment_id, text in parts.items()
        if segment_id in segment_ids and _clean(text)
    ]
    pairs = [(_clean(objection), _clean(answer)) for objection, answer in objections]
    kept = [{"objection": objection, "answer": answer} for objection, answer in pairs if objection or answer]
    if not all(pair["objection"] and pair["answer"] for pair in kept):
        raise AnswerMissing
    too_long = (
        len(goal) > MAX_GOAL
        or len(words) > MAX_WORDS
        or len(kept) > MAX_OBJECTIONS
        or any(len(str(part["words"])) > MAX_WORDS for part in own)
        or any(len(pair["objection"]) > MAX_OBJECTION or len(pair["answer"]) > MAX_WORDS for pair in kept)
    )
    if too_long:
        raise ScriptTooLong
    return CallScript(
        kind=kind, goal=goal, words=words, parts=own, objections=kept, created_by_id=actor.id if actor else None
    )


def same_script(one: CallScript | None, other: CallScript) -> bool:
    """True where both versions say the same, so that saving again would change nothing."""
    return one is not None and (one.kind, one.goal, one.words, one.parts, one.objections) == (
        other.kind,
        other.goal,
        other.words,
        other.parts,
        other.objections,
    )


def all_words(script: CallScript) -> str:
    """Everything that is said, for the search for forbidden phrases."""
    return "\n".join(
        (
            script.goal,
            script.words,
            *(part["words"] for part in script.parts),
            *(line for pair in script.objections for line in (pair["objection"], pair["answer"])),
        )
    )


def _clean(text: str) -> str:
    return text.replace("\x00", "").replace("\r\n", "\n").strip()
