"""Result about unlabelled images in words and tables: unknown.txt, and the page without its pictures."""

from __future__ import annotations

from convnet_galaxies.blocks import Block, Card, Page, Table, Text, section, sections_of
from convnet_galaxies.measure.agreement import LENS_GRADE
from convnet_galaxies.measure.intervals import Estimate, star_notes
from convnet_galaxies.measure.prevalence import Prevalence
from convnet_galaxies.measure.prevalence_bounds import PrevalenceBounds
from convnet_galaxies.measure.shifted_lenses import ShiftedRange
from convnet_galaxies.study.human_report import agreement_table, missed_blocks
from convnet_galaxies.study.unknown import UnknownResult

HOW_MANY, GRADES, TRUST, TOP = (
    "How many lenses",
    "From graded images",
    "Test for domain shift",
    "Expected purity and completeness of the k best",
)
HUMANS, MISSED = "Comparison with human grades", "Missed lenses and false positives"
METHOD_TITLES = {
    "mixture": "Bayesian mixture",
    "emq": "expectation maximization (EMQ)",
    "pacc": "adjusted classify and count (PACC)",
}
NOTHING_BOUNDS = (
    "Since the images differ, the false positive rate is not bounded: every flagged image may be a false positive, and "
    "the lower end of the range is then 0."
)
NOT_FOUND = "no difference found"
"""Of a single test: whether it would have found one is the question of the overall verdict."""
ONLY_IF_ALIKE = "These estimates hold only if unlabelled and labelled images look alike."


def unknown_report(result: UnknownResult) -> Page:
    """Return number of lenses, test for domain shift, expected purity and completeness, and human comparison."""
    lead = (
        result.sentence,
        result.trust.sentence,
        f"Calibrated on {result.n_known_lenses:,} lenses among {result.n_known:,} labelled images on which the run was "
        "not trained.",
    )
    found = [
        section(
            HOW_MANY,
            [
                _prevalence_table("By method", result.prevalence),
                _prevalence_table("By flavor", result.flavors) if result.flavors else None,
                *(Text(remark, True) for remark in (*result.remarks, *result.prevalence.remarks)),
            ],
        ),
        section(GRADES, _graded_blocks(result)) if result.graded else None,
        section(TRUST, _trust_blocks(result)),
        section(TOP, _top_blocks(result)),
    ]
    if result.human_comparison is not None:
        comparison = result.human_comparison
        agreement = [agreement_table(name, one) for name, one in comparison.agreement.items()]
        found.append(section(HUMANS, [*agreement, *(Text(remark) for remark in comparison.remarks)]))
        found.append(section(MISSED, missed_blocks(comparison)))
    return Page("Lenses among unlabelled images", lead, _cards_of(result), sections_of(found))


def _cards_of(result: UnknownResult) -> tuple[Card, ...]:
    count = result.prevalence.count["lens"]
    if_alike = "" if result.trust.holds else ", if alike"
    graded, scores = result.graded, result.trust.scores
    cards = [
        _range_card(result),
        Card(f"lenses{if_alike}", f"{count.value:,.0f}", f"{count.span(',.0f')} of {result.n_unknown:,}"),
        Card(
            "known and unknown images",
            result.trust.verdict,
            "no shift is detectable" if scores.seen is None else f"a shift by {scores.seen:g} is detectable",
        ),
        _purity_card(result),
    ]
    if graded is not None:
        number = graded.number
        first = Card("lenses, from grades", f"{number.value:,.0f}", f"{number.span(',.0f')} of {result.n_unknown:,}")
        return first, *cards
    return (cards[1], cards[0], *cards[2:]) if result.trust.holds else tuple(cards)


def _range_card(result: UnknownResult) -> Card:
    low, high = result.range
    share = f"{100 * low:.3g} to {100 * high:.3g} %"
    if shift := result.leading_shift:
        return Card(
            "lenses, if they may score lower",
            f"{shift.low:,.0f} to {shift.high:,.0f}",
            f"{share} of {result.n_unknown:,}",
        )
    return Card("range under assumptions", share, f"measured {100 * result.bounds.as_measured.value:.1f} %")


def _purity_card(result: UnknownResult) -> Card:
    """Purity of the 50 best: by the grades, else its range where that leads, else the expected one."""
    graded = result.graded.top if result.graded is not None else ()
    tops = graded or result.top
    at = next((one for one in tops if one.k == 50), tops[-1])
    value = f"{100 * at.purity.value:.0f} %"
    span = f"{100 * at.purity.low:.0f} to {100 * at.purity.high:.0f} %"
    if graded:
        return Card(f"purity of the top {at.k:,}, graded", value, span)
    if shifted := {one.k: one for one in result.leading_top}.get(at.k):
        low, high = shifted.purity
        return Card(f"purity of the top {at.k:,}", f"{100 * low:.0f} to {100 * high:.0f} %", f"{span} if alike")
    if_alike = "" if result.trust.holds else ", if alike"
    return Card(f"purity of the top {at.k:,}{if_alike}", value, f"{span} expected")


def _top_blocks(result: UnknownResult) -> list[Block | None]:
    as_known = [(f"{one.k:,}", f"{one.purity:.3f}", f"{one.completeness:.3f}") for one in result.top]
    shift, ranges = result.leading_shift, result.leading_top
    if shift is None or not ranges:
        return [
            None if result.trust.holds else Text(ONLY_IF_ALIKE, True),
            Table("The k best", ("k", "expected purity", "expected completeness"), tuple(as_known)),
        ]
    rows = [
        (k, *("{:.3f} to {:.3f}".format(*ends) for ends in (one.purity, one.completeness)), purity, completeness)
        for one, (k, purity, completeness) in zip(ranges, as_known, strict=True)
    ]
    return [
        Table(
            "The k best",
            ("k", "purity, scores lower", "completeness, scores lower", "purity, if alike", "completeness, if alike"),
            tuple(rows),
            (
                f"Scores lower: {100 * shift.level:.0f} % intervals for log odds of real lenses that are lower by a "
                f"common shift of {shift.least_shift:g} to {shift.most_shift:g}, as the scores allow, from the lowest "
                "end to the highest." + (f" Caution: {shift.warning}." if shift.warning else ""),
                "If alike: expected if unlabelled lenses score like the labelled ones.",
            ),
        ),
    ]


def _prevalence_table(title: str, found: Prevalence) -> Table:
    names = [name for name in found.fraction if name not in ("non-lens", "dud")]
    estimates = [by_class[name] for by_class in found.by_method.values() for name in names]
    return Table(
        title,
        ("", f"number among {found.n_unknown:,}", *(METHOD_TITLES.get(name, name) for name in found.by_method)),
        tuple(
            (name, f"{found.count[name]:,.0f}", *(f"{by_class[name]:%}" for by_class in found.by_method.values()))
            for name in names
        ),
        (
            f"{100 * estimates[0].level:.0f} % intervals, which include the uncertainty from the labelled images.",
            *star_notes(estimates),
        ),
    )


def _graded_blocks(result: UnknownResult) -> list[Block | None]:
    graded = result.graded
    assert graded is not None
    number = graded.number
    value, low, high = (end / result.n_unknown for end in (number.value, number.low, number.high))
    share = Estimate("lens", value, low, high, number.level)
    top = tuple((f"{one.k:,}", f"{one.purity:.3f}", f"{one.completeness:.3f}") for one in graded.top)
    return [
        Table(
            "Lenses among all unlabelled images",
            ("", "number", "fraction"),
            (
                ("from the grades", f"{number:,.0f}", f"{share:%}"),
                ("by the network's scores", f"{result.prevalence.count['lens']:,.0f}", ""),
            ),
            (
                f"{graded.n_graded:,} of {graded.n_planned:,} images of the plan have a grade, {graded.n_lenses:,} of "
                f"them of {LENS_GRADE:g} or more, which counts as a lens. {100 * number.level:.0f} % intervals.",
                "The images were drawn at random with known probabilities: for these graders, the estimate is unbiased "
                "and does not depend on the network.",
            ),
        ),
        Table("The k best, measured by the grades", ("k", "purity", "completeness"), top) if top else None,
        *(Text(remark, True) for remark in graded.remarks),
    ]


def _trust_blocks(result: UnknownResult) -> list[Block | None]:
    trust = result.trust
    checks = {"all images, known ones weighted to the estimated mix": trust.everything}
    if trust.candidates is not None:
        checks["candidates alone"] = trust.candidates
    rows: list[tuple[str, str, str, str]] = [
        (name, f"{one.auroc:.3f}", f"{one.p_value:.3g}", NOT_FOUND if one.verdict == "alike" else one.verdict)
        for name, one in checks.items()
    ]
    rows.append(("fit of the mixture of scores", "", f"{trust.scores.p_value:.3g}", ""))
    return [
        Text(trust.sentence, not trust.holds),
        Table(
            "Domain shift: AUROC of known against unknown images (0.5: indistinguishable)",
            ("", "AUROC", "p", "verdict"),
            tuple(rows),
            (
                "Classifier two-sample test on the network's features, cross-validated by group; candidates have at "
                "least the median lens probability of the known lenses"
                + ("." if trust.candidates else ", and are too few for the test."),
                *star_notes(one.auroc for one in checks.values()),
            ),
        ),
        Table(
            "Detectable shift of the lens scores, and the number of lenses that it would hide",
            ("lower by (natural log odds)", "detected in", "true number over estimated"),
            tuple(
                (f"{shift:g}", f"{power:.0%}", f"{factor:.2f}" if factor < 10 else "over 10")
                for shift, power, factor in zip(
                    trust.scores.shifts, trust.scores.power, trust.scores.missed_factor, strict=True
                )
            ),
            ("The known lenses are shifted, and the test is repeated on draws that give the estimated number.",),
        ),
        _shift_table(result.shifted, result.prevalence.count["lens"]) if result.shifted else None,
        _range_table(result.bounds),
        Text(NOTHING_BOUNDS, True) if result.differs and result.leading_shift is None else None,
    ]


def _shift_table(shifted: ShiftedRange, number: Estimate) -> Table:
    lowest, highest = shifted.least_shift, shifted.most_shift
    return Table(
        "Number of lenses if real lenses score lower than the known ones",
        ("log odds lower by", "from", "to"),
        (
            ("0", f"{number.low:,.0f}", f"{number.high:,.0f}"),
            (f"{lowest:g} to {highest:g}, as the scores allow", f"{shifted.low:,.0f}", f"{shifted.high:,.0f}"),
        ),
        (
            f"{100 * shifted.level:.0f} % intervals. Tried are common shifts of the natural log odds from 0 to "
            f"{shifted.limit:g}, at which the network finds {shifted.completeness_ratio:g} times as many of the real "
            "lenses as of the known ones. Lenses that score like non-lenses cannot be counted by their scores."
            + (f" Caution: {shifted.warning}." if shifted.warning else ""),
        ),
    )


def _range_table(bounds: PrevalenceBounds) -> Table:
    widened = (
        ("as measured", bounds.as_measured.low, bounds.as_measured.high),
        ("real lenses harder to find", *bounds.widened_by_completeness),
        ("other false positive rate", *bounds.widened_by_false_positives),
        ("both", bounds.low, bounds.high),
    )
    (c_low, c_high), (f_low, f_high) = bounds.completeness_ratio, bounds.false_positive_ratio
    return Table(
        "Fraction of lenses under stated assumptions",
        ("", "from", "to"),
        tuple((name, f"{100 * low:.2f} %", f"{100 * high:.2f} %") for name, low, high in widened),
        (
            f"Assumed: completeness for real lenses {c_low:g} to {c_high:g} times that for the known ones, false "
            f"positive rate {f_low:g} to {f_high:g} times that for the known images.",
        ),
    )
