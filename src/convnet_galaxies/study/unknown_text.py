"""The answer about images of unknown truth as plain text."""

from __future__ import annotations

from convnet_galaxies.measure.intervals import Estimate
from convnet_galaxies.measure.prevalence import Prevalence
from convnet_galaxies.study.kinds import judges_of
from convnet_galaxies.study.other_eyes import EyesReport
from convnet_galaxies.study.results_text import align, brief
from convnet_galaxies.study.unknown import UnknownResult

METHODS = {
    "mixture": "Bayesian mixture",
    "emq": "expectation maximization (EMQ)",
    "pacc": "adjusted classify and count (PACC)",
}

NOTHING_BOUNDS = (
    "Since the images differ, nothing bounds the false positives: all that the net flags may be false, and the lower "
    "end of the range is then 0."
)
ONLY_IF_ALIKE = "These expectations hold only if the unknown images look like the known ones; they do not."


def name_figure(name: str) -> str:
    """A figure of Agreement as it is printed."""
    return {"auroc": "AUROC", "spearman": "rank correlation"}.get(name, name.replace("_", " "))


def render_unknown(result: UnknownResult) -> str:
    """How many, whether to believe it, what to expect of the top, and what other eyes say."""
    lines = [result.sentence, f"Known: {result.n_known_lenses:,} lenses among {result.n_known:,} held-out images.", ""]
    lines += _render_prevalence(result.prevalence)
    if result.flavors is not None:
        lines += ["", "By flavor", *_render_prevalence(result.flavors)]
    lines += ["", "Whether to believe it", f"  {result.shift.sentence}"]
    lines.append(
        f"  AUROC of telling unknown from known images {brief(result.shift.auroc)}, p {result.shift.p_value:.3g}"
    )
    if result.lens_shift is not None:
        lines.append(f"  Known lenses against the best unknown images: AUROC {brief(result.lens_shift.auroc)}")
    lines.append(f"  Range of the fraction: {result.bounds}.")
    if result.differs:
        lines.append(f"  {NOTHING_BOUNDS}")
    lines += ["", "What to expect of the k best", *([f"  {ONLY_IF_ALIKE}"] if result.differs else [])]
    lines += align(
        [
            ["k", "purity", "completeness"],
            *([f"{one.k:,}", brief(one.purity), brief(one.completeness)] for one in result.top),
        ]
    )
    if result.eyes is not None:
        lines += ["", *_render_eyes(result.eyes)]
    notes = [*result.remarks, *result.prevalence.remarks]
    return "\n".join([*lines, *([""] if notes else []), *(f"Note: {text}" for text in notes)])


def percent(figure: Estimate) -> str:
    """A fraction in percent with its interval, e.g. ``3.10 % (2.02 to 4.41)``."""
    star = " *" if figure.warning else ""
    value, low, high = (_round(100 * number) for number in (figure.value, figure.low, figure.high))
    return f"{value} % ({low} to {high}){star}"


def _round(number: float) -> str:
    """Two decimals: a share below 0.01 % of a few thousand images is none."""
    return f"{number:.2f}" if number < 10 else f"{number:.1f}"


def _render_prevalence(prevalence: Prevalence) -> list[str]:
    names = [name for name in prevalence.fraction if name != "non-lens" and name != "dud"]
    head = ["", "number", *(METHODS.get(method, method) for method in prevalence.by_method)]
    rows = [
        [
            name,
            _count(prevalence.count[name]),
            *(percent(figures[name]) for figures in prevalence.by_method.values()),
        ]
        for name in names
    ]
    warnings = {figure.warning for figures in prevalence.by_method.values() for figure in figures.values()} - {None}
    return [*align([head, *rows]), *(f"* {text}" for text in sorted(str(one) for one in warnings))]


def _count(figure: Estimate) -> str:
    return f"{figure.value:,.0f} ({figure.low:,.0f} to {figure.high:,.0f})"


def _render_eyes(eyes: EyesReport) -> list[str]:
    lines: list[str] = []
    for name, agreement in eyes.agreement.items():
        lines += [f"Against {name}: {agreement.n_lenses} of grade >= 2, {agreement.n_others} of grade < 1"]
        columns = {**agreement.judges, **agreement.differences}
        figures = next(iter(agreement.judges.values()))
        lines += align(
            [
                ["", *columns],
                *(
                    [
                        name_figure(figure),
                        *(brief(found[figure], signed=" - " in judge) for judge, found in columns.items()),
                    ]
                    for figure in figures
                ),
            ]
        )
        lines += [*agreement.remarks, ""]
    if eyes.kinds:
        judges = judges_of(eyes.kinds)
        lines.append("AUROC by what the cutouts show: lenses of a kind against all others, all lenses against a kind")
        rows = [["", "lenses", *judges, "others", *judges]]
        for one in eyes.kinds:
            left, right = (
                [brief(part[name], digits=2) if name in part else "" for name in judges]
                for part in (one.lenses_auroc, one.others_auroc)
            )
            rows.append([one.kind, str(one.lenses), *left, str(one.others), *right])
        shown = [
            figure for one in eyes.kinds for part in (one.lenses_auroc, one.others_auroc) for figure in part.values()
        ]
        warnings = dict.fromkeys(figure.warning for figure in shown if figure.warning)
        lines += [*align(rows), *(f"* {text}" for text in warnings), ""]
    for title, found in (
        ("Missed: graded as lenses, ranked low", eyes.missed),
        ("Graded as none, ranked high", eyes.overrated),
    ):
        if found:
            lines.append(title)
            lines += align(
                [
                    ["image", "rank", "net", "grade", "crowd"],
                    *(
                        [
                            one.id,
                            f"{one.rank:,}",
                            f"{one.probability:.3f}",
                            f"{one.grade:.1f}",
                            "" if one.crowd is None else f"{one.crowd:.3f}",
                        ]
                        for one in found[:10]
                    ),
                ]
            )
            lines.append("")
    return [*lines, *eyes.remarks]
