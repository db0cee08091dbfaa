"""The report about images of unknown truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.data.pack import is_pack, read_pack
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.data.tables import read_table
from convnet_galaxies.measure.agreement import Agreement
from convnet_galaxies.measure.intervals import Estimate
from convnet_galaxies.measure.prevalence import Prevalence
from convnet_galaxies.show.figures import plot_reliability
from convnet_galaxies.show.galleries import make_gallery, show_probability
from convnet_galaxies.show.lens_tables import star_notes
from convnet_galaxies.show.page import Block, Card, Gallery, Page, Section, Table, Text, section
from convnet_galaxies.show.provenance import count_images, list_commands, list_versions
from convnet_galaxies.show.unknown_figures import plot_eyes, plot_prevalence, plot_scores, plot_top
from convnet_galaxies.study.kinds import KindFigures, judges_of
from convnet_galaxies.study.other_eyes import Disagreement, EyesReport
from convnet_galaxies.study.results_text import brief
from convnet_galaxies.study.unknown import UnknownResult
from convnet_galaxies.study.unknown_run import KNOWN, RANKED, read_unknown
from convnet_galaxies.study.unknown_text import METHODS, NOTHING_BOUNDS, ONLY_IF_ALIKE, name_figure, percent

SHOWN = 24


def unknown_page(folder: Path, *, pack: Path | None = None) -> Page:
    """How many lenses, which ones, whether to believe it. pack: of the images, by default the one it was made from."""
    sections, result = unknown_sections(folder, pack=pack)
    source = pack or Path(result.pack)
    provenance = section(
        "Data, versions, how to make it again",
        [
            count_images(read_pack(source), f"Images of {source}") if is_pack(source) else None,
            list_versions(Path(result.run)),
            list_commands(
                [
                    f"convnet-galaxies unknown {result.run} {result.pack}"
                    + (f" --known {result.known_pack}" if result.known_pack != result.pack else "")
                    + f" -o {folder}-again",
                    f"convnet-galaxies report {folder} -o report.html",
                ]
            ),
        ],
    )
    there = tuple(one for one in (*sections, provenance) if one is not None)
    return Page("Lenses among images of unknown truth", lead_of(result), tuple(cards_of(result)), there)


def unknown_sections(folder: Path, *, pack: Path | None = None) -> tuple[list[Section | None], UnknownResult]:
    """The sections without provenance, and the result."""
    result, ranked, known = read_unknown(folder), read_table(folder / RANKED), read_table(folder / KNOWN)
    source = pack or Path(result.pack)
    images = read_pack(source) if pack or is_pack(source) else None
    level = result.prevalence.count["lens"].level
    sections = [
        section(
            "How many lenses",
            [
                plot_prevalence(result),
                plot_scores(known, ranked),
                _prevalence_table("By method", result.prevalence),
                _prevalence_table("By flavor", result.flavors) if result.flavors else None,
                *(Text(remark, True) for remark in result.remarks),
            ],
        ),
        section("Whether to believe it", _trust_blocks(result)),
        section(
            "What to expect of the best-ranked",
            [Text(ONLY_IF_ALIKE, True) if result.differs else None, plot_top(ranked, level), _top_table(result)],
        ),
        section("The best-ranked images", [_best_gallery(images, ranked, differs=result.differs)]),
        *(_eyes_sections(result.eyes, images) if result.eyes is not None else []),
    ]
    return sections, result


def lead_of(result: UnknownResult) -> tuple[str, ...]:
    """What was found, in sentences."""
    return (
        result.sentence,
        result.shift.sentence,
        f"Measured against {result.n_known_lenses:,} lenses among {result.n_known:,} images of known truth that the "
        "run was not trained on.",
    )


def cards_of(result: UnknownResult) -> list[Card]:
    """The figures that the eye meets first."""
    count, bounds = result.prevalence.count["lens"], result.bounds
    low, high = result.range
    cards = [
        Card(
            "lenses" if not result.differs else "lenses, if alike",
            f"{count.value:,.0f}",
            f"{count.low:,.0f} to {count.high:,.0f} of {result.n_unknown:,}",
        ),
        Card(
            "range under assumptions",
            f"{100 * low:.3g} to {100 * high:.3g} %",
            f"measured {100 * bounds.as_measured.value:.1f} %",
        ),
        Card(
            "known against unknown, AUROC",
            f"{result.shift.auroc.value:.3f}",
            f"{result.shift.verdict}, p {result.shift.p_value:.2g}",
        ),
    ]
    at = next((one for one in result.top if one.k == 50), result.top[-1])
    purity = at.purity
    cards.append(
        Card(
            f"purity of the top {at.k:,}" + ", if alike" * result.differs,
            f"{100 * purity.value:.0f} %",
            f"{100 * purity.low:.0f} % to {100 * purity.high:.0f} % expected",
        )
    )
    return cards


def _prevalence_table(caption: str, found: Prevalence) -> Table:
    names = [name for name in found.fraction if name not in ("non-lens", "dud")]
    rows = tuple(
        (
            name,
            _count(found.count[name]),
            *(percent(figures[name]) for figures in found.by_method.values()),
        )
        for name in names
    )
    figures = [figures[name] for figures in found.by_method.values() for name in names]
    head = ("", f"number among {found.n_unknown:,}", *(METHODS.get(name, name) for name in found.by_method))
    level = figures[0].level
    notes = (f"{100 * level:.0f} % intervals, which hold the uncertainty of the labelled images.", *star_notes(figures))
    return Table(caption, head, rows, notes)


def _trust_blocks(result: UnknownResult) -> list[Block | None]:
    shift, bounds = result.shift, result.bounds
    rows = [
        (
            "all images, known ones weighted to the estimated mix",
            brief(shift.auroc),
            f"{shift.p_value:.3g}",
            shift.verdict,
        )
    ]
    if result.lens_shift is not None:
        one = result.lens_shift
        rows.append(("known lenses, best unknown images", brief(one.auroc), f"{one.p_value:.3g}", one.verdict))
    widened = (
        ("as measured", bounds.as_measured.low, bounds.as_measured.high),
        ("real lenses harder to find", *bounds.widened_by_completeness),
        ("other false positive rate", *bounds.widened_by_false_positives),
        ("both", bounds.low, bounds.high),
    )
    (c_low, c_high), (f_low, f_high) = bounds.completeness_ratio, bounds.false_positive_ratio
    calibration = result.calibration
    reliability = {"as the net says": calibration.before}
    if calibration.after is not None:
        reliability["calibrated"] = calibration.after
    return [
        Text(shift.sentence, shift.verdict != "alike"),
        Table(
            "Can known and unknown images be told apart? (0.5: no)",
            ("", "AUROC", "p", "verdict"),
            tuple(rows),
            ("Classifier two-sample test on the net's features, cross-validated by group.",),
        ),
        Table(
            "Share of lenses under stated assumptions",
            ("", "from", "to"),
            tuple((name, f"{100 * low:.2f} %", f"{100 * high:.2f} %") for name, low, high in widened),
            (
                f"Assumed: completeness for real lenses {c_low:g} to {c_high:g} times that for the known ones, false "
                f"positive rate {f_low:g} to {f_high:g} times that for the known images.",
            ),
        ),
        Text(NOTHING_BOUNDS, True) if result.differs else None,
        plot_reliability(reliability),
    ]


def _top_table(result: UnknownResult) -> Table:
    rows = tuple((f"{one.k:,}", brief(one.purity), brief(one.completeness)) for one in result.top)
    return Table("The k best", ("k", "expected purity", "expected completeness"), rows, (f"All ranks: {RANKED}.",))


def _best_gallery(images: ImageSet | None, ranked: pd.DataFrame, *, differs: bool) -> Block | None:
    best = ranked.head(SHOWN)
    captions = []
    for _, row in best.iterrows():
        words = [f"{int(row['rank'])}. {row['id']}"]
        if isinstance(row.get("flavor"), str):
            words.append(str(row["flavor"]))
        words.append(f"net {show_probability(row['lens_probability'])}")
        if not differs:
            words.append(f"calibrated {show_probability(row['probability'])}")
        if np.isfinite(row.get("expert_grade", np.nan)):
            words.append(f"grade {row['expert_grade']:.1f}")
        captions.append("\n".join(words))
    note = "Net: as the net says; calibrated: for the estimated share of lenses."
    return _gallery("Best first", note, images, best["id"].tolist(), captions)


def _eyes_sections(eyes: EyesReport, images: ImageSet | None) -> list[Section | None]:
    blocks: list[Block | None] = [plot_eyes(found, name) for name, found in eyes.agreement.items()]
    blocks += [_agreement_table(name, found) for name, found in eyes.agreement.items()]
    blocks += [Text(remark) for remark in eyes.remarks]

    def show(title: str, note: str, found: Sequence[Disagreement]) -> Block | None:
        captions = [
            f"{one.subject}\ngrade {one.grade:.1f}, rank {one.rank:,}"
            + ("" if one.crowd is None else f"\ncrowd {show_probability(one.crowd)}")
            for one in found
        ]
        return _gallery(title, note, images, [one.id for one in found], captions)

    return [
        section("Against other eyes", blocks),
        section(
            "What was missed, both ways",
            [
                _kinds_table(eyes.kinds),
                show("Graded as lenses, ranked low by the net", "Largest disagreement first.", eyes.missed[:12]),
                show("Graded as none, ranked high by the net", "Largest disagreement first.", eyes.overrated[:12]),
            ],
        ),
    ]


def _kinds_table(kinds: Sequence[KindFigures]) -> Table | None:
    judges = judges_of(kinds)
    if not judges:
        return None

    def cells(number: int, figures: Mapping[str, Estimate]) -> tuple[str, ...]:
        return (f"{number:,}", *(brief(figures[name], digits=2) if name in figures else "" for name in judges))

    both = [(one, cells(one.lenses, one.lenses_auroc), cells(one.others, one.others_auroc)) for one in kinds]
    figures = [figure for one in kinds for part in (one.lenses_auroc, one.others_auroc) for figure in part.values()]
    return Table(
        "AUROC by what the cutouts show: lenses of one kind against all others, all lenses against others of one kind",
        ("", "lenses", *judges, "others", *judges),
        tuple((one.kind, *left, *right) for one, left, right in both),
        (
            "Lenses: grade 2 or more, others: below 1. A low figure on the left is a kind of lens that is overlooked, "
            "a low figure on the right a kind of thing that is taken for a lens. Kinds come from the brightest thing "
            "beside the central galaxy: its distance, colour and shape (docs/science.md).",
            *star_notes(figures),
        ),
    )


def _agreement_table(name: str, found: Agreement) -> Table:
    columns = {**found.judges, **found.differences}
    rows = tuple(
        (
            name_figure(figure),
            *(brief(one[figure], signed=" - " in judge) for judge, one in columns.items()),
        )
        for figure in next(iter(found.judges.values()))
    )
    return Table(
        f"Against {name}: {found.n_lenses:,} of grade 2 or more, {found.n_others:,} below 1",
        ("", *columns),
        rows,
        (
            "A subject's score is that of its best cutout. Differences are paired; 'both' is net and crowd, held out.",
            *star_notes(figure for one in columns.values() for figure in one.values()),
            *found.remarks,
        ),
    )


def _gallery(
    title: str, note: str, images: ImageSet | None, ids: Sequence[str], captions: Sequence[str]
) -> Gallery | Text:
    if images is None:
        return Text(f"{title}: the pixels are not shown, since the pack is not there; give --pack.")
    where = pd.Series(np.arange(len(images)), index=images.table["id"]).reindex(ids)
    if not len(ids) or where.isna().any():
        return Text(f"{title}: none to show.")
    found = make_gallery(title, note, images.images, where.astype(int).to_numpy(), captions)
    return found or Text(f"{title}: none to show.")


def _count(figure: Estimate) -> str:
    return f"{figure.value:,.0f} ({figure.low:,.0f} to {figure.high:,.0f})"
