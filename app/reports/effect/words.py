"""The verdict in one sentence, and what the words of an effect mean, in the reader's language."""

from collections.abc import Sequence

from flask_babel import format_decimal, gettext, ngettext
from flask_babel import lazy_gettext as _l

from app.reports.effect.effects import FEWEST_CLIENTS, FEWEST_OPENINGS, Effect, Judgement
from app.reports.effect.report import CampaignEffect
from app.reports.effect.verdict import Finding
from app.statistics.lift import Lift


def _(words: str, **values: object) -> str:
    return str(gettext(words, **values))


TONES = {
    Finding.WORKED: "success",
    Finding.HARMED: "danger",
    Finding.SPLIT_FAILED: "danger",
    Finding.WINDOW_OPEN: "info",
}
"""How a verdict is coloured; the others are neutral."""

JUDGEMENTS = {
    Judgement.MORE: _l("More with it"),
    Judgement.FEWER: _l("Fewer with it"),
    Judgement.INCONCLUSIVE: _l("Inconclusive"),
    Judgement.TOO_FEW: _l("Too few to tell"),
    Judgement.NO_CONTROL: _l("No control group"),
}
JUDGEMENT_TONES = {Judgement.MORE: "success", Judgement.FEWER: "danger"}


DEFINITIONS = {
    "opened": (
        _l("Opened an account"),
        _l("Treated clients who opened any account within the window, of all who were assigned to the treated group."),
    ),
    "control": (
        _l("Control group"),
        _l("Control clients who opened any account within the window, of all who were drawn for the control group."),
    ),
    "effective": (
        _l("Effective accounts"),
        _l(
            "Treated clients with an account that is effective by the campaign's rule, of all treated, with the Wilson "
            "interval (95 %) of the share."
        ),
    ),
    "assets": (
        _l("Assets brought in"),
        _l("What the treated brought in by their first opening that counts, each client once."),
    ),
    "cost": (
        _l("Cost"),
        _l(
            "What the messages cost that were sent, and the fixed cost; of that a segment bears the part that its "
            "treated are of all treated."
        ),
    ),
    "cost_per_account": (
        _l("Cost per account"),
        _l("The cost over the treated clients who opened an account."),
    ),
    "lift": (
        _l("Absolute lift"),
        _l(
            "Share of the treated who opened an account less that of the control group, in percentage points, over all "
            "who were assigned, from the launch to the end of the window. 95 % Newcombe hybrid score interval: R. G. "
            "Newcombe (1998), Statist. Med. 17:873-890."
        ),
    ),
    "relative": (
        _l("Relative lift"),
        _l(
            "The absolute lift as a share of the control group's own rate. Interval (95 %) by MOVER-R with Wilson "
            "limits: R. G. Newcombe (2016), Stat. Methods Med. Res. 25:1774-1778."
        ),
    ),
    "drawn_in": (
        _l("Absolute lift, drawn in"),
        _l("Drawn towards the lift of all segments as far as its own noise deserves (empirical Bayes)."),
    ),
    "incremental": (
        _l("Incremental accounts"),
        _l("The absolute lift times the treated clients, with the ends of its interval."),
    ),
    "verdict": (
        _l("p-value, corrected for many segments"),
        _l("Y. Benjamini, Y. Hochberg (1995), J. R. Stat. Soc. B 57:289-300; more or fewer below 0.05."),
    ),
    "assets_caused": (
        _l("Incremental assets"),
        _l(
            "Mean assets per treated client less the mean per control client, those who brought nothing included, "
            "times the treated; by control share where there are several. Two intervals (95 %): by bootstrap over all "
            "clients with a fixed seed, and Welch's, which trusts a small control group too much."
        ),
    ),
}
"""What the figures of the comparison are, of what, and by which method: (name, words)."""


def effect_definitions() -> list[tuple[str, str]]:
    """All of them, in the reader's language."""
    return [(str(label), str(words)) for label, words in DEFINITIONS.values()]


def means(figure: str) -> str:
    """What one of them is."""
    return str(DEFINITIONS[figure][1])


def split_warning(effect: CampaignEffect) -> str | None:
    """What stands over every comparison whose split check failed; None where it passed."""
    if effect.split is None or effect.split.ok:
        return None
    return _(
        "Split check failed: the control group is not as large as it was drawn (p = %(p)s). Do not trust any "
        "comparison below until the cause is found.",
        p=format_decimal(effect.split.p, "0.00000"),
    )


def headline(effect: CampaignEffect) -> str:
    """The verdict in one sentence, with its interval."""
    lift, finding = effect.whole.lift, effect.verdict.finding
    if lift is None or finding is Finding.NO_CONTROL:
        return _("No control group: these are rates only, and nothing can be said about what the campaign caused.")
    if finding is Finding.SPLIT_FAILED:
        return _("The split check failed: the two groups are not what was drawn, so nothing can be said of cause.")
    if finding is Finding.WINDOW_OPEN:
        left = ngettext(
            "Window still open: %(num)s day left.", "Window still open: %(num)s days left.", effect.verdict.days_left
        )
        return f"{left} {_('So far: %(figures)s', figures=_difference(lift))}"
    if finding is Finding.TOO_FEW:
        return _(
            "Too few to tell: it takes %(clients)s clients in each group and %(openings)s openings in both.",
            clients=FEWEST_CLIENTS,
            openings=FEWEST_OPENINGS,
        )
    if finding is Finding.INCONCLUSIVE:
        return _("Inconclusive: %(figures)s. It may have worked or not.", figures=_difference(lift))
    return _join(_difference(lift) + _each(effect), _advice(effect))


def _difference(lift: Lift) -> str:
    """ "41 (18-64) more accounts than without it"; the interval's ends count in the direction of the finding."""
    fewer = round(lift.incremental) < 0
    ends = (-lift.incremental_high, -lift.incremental_low) if fewer else (lift.incremental_low, lift.incremental_high)
    low, high = (_whole(end) for end in ends)
    interval = _("%(low)s to %(high)s", low=low, high=high) if ends[0] < 0 else f"{low}–{high}"
    words = {"count": _whole(abs(lift.incremental)), "interval": interval}
    if fewer:
        return _("%(count)s (%(interval)s) fewer accounts than without it", **words)
    return _("%(count)s (%(interval)s) more accounts than without it", **words)


def _whole(number: float) -> str:
    return str(format_decimal(round(number))).replace("-", "−")


def _each(effect: CampaignEffect) -> str:
    cost = effect.cost_per_incremental
    return "" if cost is None else _(", %(cost)s each", cost=format_decimal(round(cost)))


def _advice(effect: CampaignEffect) -> str:
    verdict = effect.verdict
    parts = []
    if verdict.repeat:
        parts.append(_("repeat for %(segments)s", segments=names(verdict.repeat)))
    elif verdict.finding is Finding.WORKED:
        parts.append(_("repeat it") if not verdict.stop else _("repeat it for the others"))
    if verdict.stop:
        parts.append(_("stop for %(segments)s", segments=names(verdict.stop)))
    elif verdict.finding is Finding.HARMED:
        parts.append(_("stop it"))
    return ", ".join(parts)


def _join(figures: str, advice: str) -> str:
    return _("%(figures)s: %(advice)s.", figures=figures, advice=advice) if advice else f"{figures}."


def names(segments: Sequence[Effect], shown: int = 3) -> str:
    """ "A, B and C", or the first few and how many more."""
    found = [one.name for one in segments]
    if len(found) > shown:
        return _("%(names)s and %(count)s more", names=", ".join(found[:shown]), count=len(found) - shown)
    if len(found) > 1:
        return _("%(names)s and %(last)s", names=", ".join(found[:-1]), last=found[-1])
    return found[0]
