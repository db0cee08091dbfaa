"""The scores of a run as tables: `evaluate` prints them, and report pages show the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convnet_galaxies.blocks import Page, Table, Text, section, sections_of
from convnet_galaxies.measure.confusion import FlavorScores
from convnet_galaxies.measure.count_scores import CountScores
from convnet_galaxies.measure.intervals import Estimate, star_notes
from convnet_galaxies.measure.score_table import SCORES, scores_of
from convnet_galaxies.measure.scores import LensScores, VoteScores
from convnet_galaxies.predict.evaluation import Evaluation
from convnet_galaxies.predict.task_scores import PlainScores, Scores

EVERYTHING = ("question", "flavor", "stage")
TITLES = {
    "votes": "Galaxy Zoo votes",
    "counts": "Votes of volunteers",
    "counts-multinomial": "Votes of volunteers",
    "lens": "Finding lenses",
    "flavor": "Flavors",
}


def evaluation_report(result: Evaluation, *, by: Sequence[str] = EVERYTHING) -> Page:
    """Return the tables of an evaluation, a section per task. by: ``question``, ``flavor``, ``stage``."""
    views = f"{result.views} view{'s' if result.views > 1 else ''}"
    lead = [f"{result.run}: {result.images:,} held-out images ({result.part}), {views}"]
    if result.refused:
        lead.append(
            f"{result.refused:,} images refused: the run or an ancestor was trained on them or on their neighbours"
        )
    if result.calibrated:
        lead.append(
            f"{result.calibrated:,} of these images calibrated the lens probability, so that log loss and accuracy are "
            "slightly optimistic"
        )
    found = []
    for task, one in result.tasks.items():
        blocks = [Text(f"not scored: {one.fault}")] if one.scores is None else score_tables(one.scores, by=by)
        found.append(section(TITLES.get(task, task.capitalize()), blocks))
    return Page(f"Evaluation of {result.run}", tuple(lead), (), sections_of(found))


def score_tables(scores: Scores, *, by: Sequence[str] = EVERYTHING) -> list[Table]:
    """Return the tables of one task's scores."""
    if isinstance(scores, VoteScores):
        return _vote_tables(scores, by)
    if isinstance(scores, CountScores):
        return _count_tables(scores, by)
    if isinstance(scores, FlavorScores):
        return _flavor_tables(scores)
    return _plain_tables(scores) if isinstance(scores, PlainScores) else _lens_tables(scores, by)


def compare_runs(scores: Mapping[str, LensScores]) -> list[Table]:
    """Return one table per run, or, for several without stages, a single one with a column per run."""
    tables = [score_tables(one, by=("stage",))[0] for one in scores.values()]
    if len(tables) == 1 or any(len(table.columns) > 2 for table in tables):
        return tables
    rows = tuple((group[0][0], *(row[1] for row in group)) for group in zip(*(t.rows for t in tables), strict=True))
    notes = tuple(dict.fromkeys(note for table in tables for note in table.notes))
    return [Table(tables[0].title, ("", *scores), rows, notes)]


def explain_estimates(estimates: Sequence[Estimate], names: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the notes below a table: the level of the intervals, the named scores, and the meaning of stars."""
    notes = "; ".join(f"{SCORES[name].label}: {SCORES[name].note}" for name in names if SCORES[name].note)
    level = f"In brackets: {100 * estimates[0].level:.0f} % intervals, by resampling whole groups of images."
    return (f"{level} {notes}." if notes else level, *star_notes(estimates))


def _plain_tables(scores: PlainScores) -> list[Table]:
    rows = tuple((label, f"{one:.4f}") for label, one in scores.figures.items())
    notes = explain_estimates(list(scores.figures.values()))
    return [Table(f"{scores.n_images:,} held-out images", ("", "value"), rows, notes)]


def _vote_tables(scores: VoteScores, by: Sequence[str]) -> list[Table]:
    overall = scores.overall
    rows = tuple((SCORES[name].label, f"{one:.4f}") for name, one in overall.items())
    notes = explain_estimates(list(overall.values()), list(overall))
    tables = [Table(f"{scores.n_images:,} held-out galaxies", ("", "all votes"), rows, notes)]
    if "question" in by:
        asked = tuple((text, f"{scores.by_question[name]:.4f}") for name, text in scores.questions.items())
        tables.append(Table("By question of the decision tree", ("", SCORES["rmse"].label), asked))
    return tables


def _count_tables(scores: CountScores, by: Sequence[str]) -> list[Table]:
    rows = tuple((SCORES[name].label, f"{one:.4f}") for name, one in scores.overall.items())
    notes = explain_estimates(list(scores.overall.values()), list(scores.overall))
    title = f"{scores.n_votes:,} votes on {scores.n_images:,} held-out images"
    tables = [Table(title, ("", "all questions"), rows, notes)]
    if "question" in by:
        asked = tuple((scores.questions[name], f"{one:.4f}") for name, one in scores.by_question.items())
        label = SCORES["vote_log_likelihood"].label
        tables.append(
            Table("By question of the decision tree", ("", label), asked, star_notes(scores.by_question.values()))
        )
    return tables


def _lens_tables(scores: LensScores, by: Sequence[str]) -> list[Table]:
    columns = {"all": scores.overall}
    if "stage" in by and len(scores.by_stage) > 1:
        columns |= {f"stage {stage}": figures for stage, figures in scores.by_stage.items()}
    shown = [name for name in scores.overall if name in SCORES]
    shown_figures = [figures[name] for figures in columns.values() for name in shown]
    tables = [
        Table(
            f"{scores.n_lenses:,} lenses among {scores.n_images:,} held-out images in {scores.n_groups:,} groups",
            ("", *columns),
            tuple((SCORES[name].label, *(f"{one[name]:.4f}" for one in columns.values())) for name in shown),
            (*explain_estimates(shown_figures, shown), *scores.remarks),
        )
    ]
    if "flavor" in by and scores.by_flavor:
        ranked = scores_of("lens", kind="ranking")
        tables.append(
            Table(
                "By flavor of the lens, each against all other images",
                ("", *(score.label for score in ranked.values())),
                tuple((name, *(f"{one[key]:.3f}" for key in ranked)) for name, one in scores.by_flavor.items()),
                star_notes(one[key] for one in scores.by_flavor.values() for key in ranked),
            )
        )
    return tables


def _flavor_tables(scores: FlavorScores) -> list[Table]:
    rates = {"completeness": scores.completeness, "purity": scores.purity}
    rows = tuple(
        (name, *(f"{rate[name]:.3f}" if name in rate else "" for rate in rates.values())) for name in scores.names
    )
    estimates = [scores.accuracy, *scores.completeness.values(), *scores.purity.values()]
    return [
        Table(
            f"Flavors in the mix of the held-out images: {SCORES['flavor_accuracy'].label} {scores.accuracy:.3f}",
            ("", *(SCORES[name].label for name in rates)),
            rows,
            explain_estimates(estimates, list(rates)),
        ),
        Table(
            "Images by true flavor (rows) and predicted flavor (columns)",
            ("", *scores.names),
            tuple((name, *counts) for name, counts in zip(scores.names, scores.counts, strict=True)),
        ),
    ]
