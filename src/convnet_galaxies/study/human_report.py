"""Comparison of the network with human grades, in tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convnet_galaxies.blocks import Block, Table
from convnet_galaxies.measure.agreement import Agreement
from convnet_galaxies.measure.intervals import Estimate, star_notes
from convnet_galaxies.measure.score_table import SCORES
from convnet_galaxies.study.compare_with_humans import Disagreement, HumanComparison, KindFigures, judges_of

SHOWN_MISSED = 10


def name_figure(name: str) -> str:
    """Return the label of a figure of Agreement."""
    labels = {"spearman": "rank correlation"} | {key: score.label for key, score in SCORES.items()}
    return labels.get(name, name.replace("_", " "))


def agreement_table(name: str, found: Agreement) -> Table:
    """Return the figures of each judge against the grades of name."""
    columns = {**found.judges, **found.differences}
    differences = [one for figures in found.differences.values() for one in figures.values()]
    return Table(
        f"Against {name}: {found.n_lenses:,} of grade 2 or more, {found.n_others:,} below 1",
        ("", *columns),
        tuple(
            (
                name_figure(key),
                *(one[key].text("+.3f" if " - " in judge else ".3f") for judge, one in columns.items()),
            )
            for key in next(iter(found.judges.values()))
        ),
        (
            "The score of a subject is that of its best cutout. Differences are paired; 'both' is network and crowd, "
            "held out.",
            *_count_misses(differences),
            *star_notes(estimate for one in columns.values() for estimate in one.values()),
            *found.remarks,
        ),
    )


def _count_misses(differences: Sequence[Estimate]) -> list[str]:
    if len(differences) < 2:
        return []
    missed = max(1, round((1 - differences[0].level) * len(differences)))
    return [
        f"{len(differences)} differences have {100 * differences[0].level:g} % intervals of their own: if no judge "
        f"were better, about {missed} of them would exclude 0."
    ]


def missed_blocks(comparison: HumanComparison) -> list[Block | None]:
    """Return the tables of the kinds of cutouts, of missed lenses and of false positives."""
    return [
        _kinds_table(comparison.kinds),
        _missed_table("Missed: graded as lenses, ranked low by the network", comparison.missed),
        _missed_table("Graded as no lens, ranked high by the network", comparison.overrated),
    ]


def _kinds_table(kinds: Sequence[KindFigures]) -> Table | None:
    judges = judges_of(kinds)
    if not judges:
        return None

    def cells(number: int, by_judge: Mapping[str, Estimate]) -> tuple[str, ...]:
        return (f"{number:,}", *(f"{by_judge[name]:.2f}" if name in by_judge else "" for name in judges))

    return Table(
        "AUROC by class of cutout: lenses of one class against all others, all lenses against others of one class",
        ("", "lenses", *judges, "others", *judges),
        tuple((one.kind, *cells(one.lenses, one.lenses_auroc), *cells(one.others, one.others_auroc)) for one in kinds),
        (
            "Lenses: grade 2 or more, others: below 1. A low value on the left means that lenses of this class are "
            "missed; a low value on the right, that non-lenses of this class are mistaken for lenses. Classes are "
            "defined by the brightest feature beside the central galaxy: its distance, colour and shape "
            "(docs/science.md). The lowest of many values is low by chance, too.",
            *star_notes(e for one in kinds for part in (one.lenses_auroc, one.others_auroc) for e in part.values()),
        ),
    )


def _missed_table(title: str, found: Sequence[Disagreement]) -> Table | None:
    rows = tuple(
        (
            one.id,
            f"{one.rank:,}",
            f"{one.probability:.3f}",
            f"{one.grade:.1f}",
            "" if one.crowd is None else f"{one.crowd:.3f}",
        )
        for one in found[:SHOWN_MISSED]
    )
    return Table(title, ("image", "rank", "net", "grade", "crowd"), rows, ("Largest first.",)) if rows else None
