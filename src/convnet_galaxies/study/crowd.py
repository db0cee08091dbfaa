"""A crowd weighed: SWAP on a classification export, to a probability per subject and a skill per volunteer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from convnet_galaxies.data.click_clusters import NEIGHBOUR_PX
from convnet_galaxies.data.labels import read_label
from convnet_galaxies.data.panoptes.classifications import Classifications
from convnet_galaxies.data.panoptes.subjects import read_key
from convnet_galaxies.data.panoptes.tables import list_verdicts
from convnet_galaxies.data.tables import TEXT_COLUMNS, numbers, read_table
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.measure.intervals import Estimate
from convnet_galaxies.measure.scores import score_lenses
from convnet_galaxies.measure.swap import LENS, NOT, UNKNOWN, crowd_average, update_beliefs
from convnet_galaxies.measure.swap_offline import Offline, solve_offline
from convnet_galaxies.paths import StrPath, name_some

Method = Literal["offline", "online"]

FOLDS = 5
FEW_TRAINING = 10
_LABELS = ("lens", "truth", "label")


@dataclass(frozen=True)
class Truth:
    """Known truth of training subjects: ids (str [n]), is_lens (bool [n]), place_px (float64 [n, 2], NaN where
    unknown). names: by id, what subjects are called in the result, those of unknown truth too."""

    ids: np.ndarray
    is_lens: np.ndarray
    place_px: np.ndarray
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WeighedCrowd:
    """Result of SWAP on an export.

    subjects: one row per subject, by id: id, crowd_probability (by the method), online_probability,
    offline_probability, answers, said_lens (counts), training (1 lens, 0 none, missing), subject_id, retired, and
    shown_as (the id in the export) where the truth names subjects.
    volunteers: one row per volunteer, the most active first: volunteer, answers, pl, pl_low, pl_high, pd, pd_low,
    pd_high (90 % intervals), bits (information expected from an answer), training_lenses, training_others (numbers
    seen). held_out: AUROC of training subjects whose truth was hidden, None where they are too few. offline: all of
    offline SWAP. remarks: what else should be known.
    """

    subjects: pd.DataFrame
    volunteers: pd.DataFrame
    offline: Offline
    held_out: Estimate | None
    remarks: tuple[str, ...] = ()

    def summary(self) -> list[str]:
        """Return sentences about the result."""
        table, people, offline = self.subjects, self.volunteers, self.offline
        training = table["training"].dropna()
        of_all = f"{len(people):,} volunteers, {int(table['answers'].sum()):,} answers about {len(table):,} subjects"
        return [
            f"{of_all}, of which {len(training):,} for training ({int(training.sum()):,} lenses)",
            f"median volunteer: PL {people['pl'].median():.2f}, PD {people['pd'].median():.2f}, "
            f"{people['bits'].median():.2f} bits per answer; prior {offline.prior:.3g}; dependence of answers about "
            f"one subject {offline.dependence:.3f}",
            *([] if self.held_out is None else [f"AUROC of training subjects with hidden truth: {self.held_out:.3f}"]),
            *self.remarks,
        ]


def read_truth(path: StrPath) -> Truth:
    """Read the truth of training subjects: a table with id, one of lens, truth or label (yes and no in any spelling),
    and perhaps x_px and y_px, the place of the lens, and source_id, which names subjects in the result (the key.csv of
    `zooniverse subjects` has them all).

    Rows whose label is missing or unknown are passed over. Raises InputError for a table without these columns.
    """
    table = read_table(Path(path), text_columns=(*TEXT_COLUMNS, "zooid", "subject_id", "source_id"))
    names = {name.lower(): name for name in table}
    own = next((names[name] for name in ("id", "zooid", "subject_id") if name in names), None)
    label = next((names[name] for name in _LABELS if name in names), None)
    if own is None or label is None:
        raise InputError(
            f"{path}: found the columns {name_some(list(table), 20)}, expected id and one of {', '.join(_LABELS)}",
            "give a table of the training subjects with these columns",
        )
    lens = read_label(table, label, path).get("lens")
    if lens is None:
        raise InputError(
            f"{path}, column {label}: found classes, expected lenses and others (1 and 0, LENS and NOT, yes and no)",
            "make a column of 0 and 1",
        )
    known = np.isfinite(np.asarray(lens, float))
    place = np.full((len(table), 2), np.nan)
    if "x_px" in names and "y_px" in names:
        place = np.column_stack([numbers(table, names[name], path, missing=True) for name in ("x_px", "y_px")])
    ids = table[own].astype("str").str.strip().to_numpy(str)[known]
    twice = pd.Series(ids).duplicated()
    if twice.any():
        raise InputError(f"{path}: found {ids[twice.to_numpy()][0]} twice, expected each id once", "remove the doubles")
    key = read_key(Path(path)) if {"id", "source_id"} <= set(table) else {}
    return Truth(ids, np.asarray(lens, float)[known] == 1, place[known], key)


def weigh_crowd(
    classifications: Classifications,
    truth: Truth,
    *,
    question: str | None = None,
    lens_answers: Collection[str] = ("yes",),
    method: Method = "offline",
    prior: float | None = None,
    hit_px: float = NEIGHBOUR_PX,
) -> WeighedCrowd:
    """Run SWAP, online in order of time and offline over all answers (Marshall et al. 2016, arXiv:1504.06148).

    question, lens_answers: what "lens" means, see list_verdicts. Where marks tell it and the truth has the place of
    the lens, only a mark within hit_px of it is a right answer about a training lens.
    method: whose probability is crowd_probability. prior: that a subject is a lens; None estimates it from all answers.
    Raises InputError where the export has no training subjects of both kinds, or lacks the question.
    """
    if prior is not None and not 0 < prior < 1:
        raise UsageError(f"prior: found {prior:g}, expected a number between 0 and 1", "give e.g. 0.0002")
    verdicts = list_verdicts(classifications, question, lens_answers)
    subjects, kind, place_px = _join_truth(classifications.subjects, truth)
    if question is None:
        verdicts = _require_hits(verdicts, classifications.marks, kind, place_px, hit_px)
    volunteer, names = pd.factorize(verdicts["volunteer"])
    subject, said = verdicts["subject"].to_numpy(np.int64), verdicts["said_lens"].to_numpy(bool)
    offline = solve_offline(volunteer, subject, said, kind, prior=prior)
    start = crowd_average(subject, said, kind)
    online = update_beliefs(volunteer, subject, said, kind, prior=offline.prior, start=start).probability
    asked = offline.answers > 0
    chosen = offline.probability if method == "offline" else online
    columns = {
        "id": subjects["id"],
        "crowd_probability": chosen,
        "online_probability": online,
        "offline_probability": offline.probability,
        "answers": offline.answers,
        "said_lens": np.bincount(subject, said, minlength=len(subjects)).astype(int),
        "training": pd.array(np.where(kind == UNKNOWN, 0, kind), "Int64"),
        "subject_id": subjects["subject_id"],
        "retired": subjects["retired"],
    }
    table = pd.DataFrame(columns)
    table.loc[kind == UNKNOWN, "training"] = pd.NA
    if truth.names:
        table.insert(len(columns), "shown_as", table["id"])
        table["id"] = table["id"].map(truth.names).fillna(table["id"])
    table = table[asked].sort_values("id", ignore_index=True)
    remarks = _remark_on_training(kind[asked])
    return WeighedCrowd(
        table,
        _describe_volunteers(names, volunteer, kind[subject], offline),
        offline,
        _score_hidden(volunteer, subject, said, kind, offline.prior),
        tuple(remarks),
    )


def _join_truth(subjects: pd.DataFrame, truth: Truth) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Subjects, their kind (int [s]: LENS, NOT, UNKNOWN) and the places of lenses, by id or by Zooniverse's number."""
    counts = {name: int(subjects[name].isin(truth.ids).sum()) for name in ("id", "subject_id")}
    name = max(counts, key=lambda one: counts[one])
    if not counts[name]:
        raise InputError(
            f"truth: found none of its {len(truth.ids):,} ids ({name_some(truth.ids.tolist(), 3)}) among the subjects "
            f"of the export ({name_some(subjects['id'].tolist(), 3)}), expected training subjects",
            "give their truth by the same ids, or choose the ids of the export with --id",
        )
    place = pd.Series(range(len(truth.ids)), index=truth.ids).reindex(subjects[name]).to_numpy(float)
    known = np.isfinite(place)
    row = np.where(known, place, 0).astype(int)
    kind = np.where(known, np.where(truth.is_lens[row], LENS, NOT), UNKNOWN)
    return subjects, kind, np.where(known[:, None], truth.place_px[row], np.nan)


def _require_hits(
    verdicts: pd.DataFrame, marks: pd.DataFrame, kind: np.ndarray, place_px: np.ndarray, hit_px: float
) -> pd.DataFrame:
    """Return the verdicts, of which those about training lenses at a known place need a mark near it."""
    subject_of_row = pd.Series(verdicts["subject"].to_numpy(), index=verdicts["row"])
    own = marks[marks["row"].isin(subject_of_row.index)]
    place = place_px[subject_of_row.loc[own["row"]].to_numpy(np.int64)]
    distance = np.hypot(own["x_px"].to_numpy() - place[:, 0], own["y_px"].to_numpy() - place[:, 1])
    hits = own["row"].to_numpy()[distance <= hit_px]
    judged = (kind == LENS) & np.isfinite(place_px).all(axis=1)
    needs_hit = judged[verdicts["subject"].to_numpy(np.int64)]
    return verdicts.assign(said_lens=np.where(needs_hit, verdicts["row"].isin(hits), verdicts["said_lens"]))


def _describe_volunteers(names: pd.Index, volunteer: np.ndarray, kind: np.ndarray, offline: Offline) -> pd.DataFrame:
    skills = offline.skills
    columns = {
        "volunteer": names,
        "answers": np.bincount(volunteer, minlength=len(names)),
        **{name: getattr(skills, name) for name in ("pl", "pl_low", "pl_high", "pd", "pd_low", "pd_high", "bits")},
        "training_lenses": np.bincount(volunteer[kind == LENS], minlength=len(names)),
        "training_others": np.bincount(volunteer[kind == NOT], minlength=len(names)),
    }
    table = pd.DataFrame(columns)
    return table.sort_values(["answers", "volunteer"], ascending=[False, True], ignore_index=True)


def _score_hidden(
    volunteer: np.ndarray, subject: np.ndarray, said: np.ndarray, kind: np.ndarray, prior: float
) -> Estimate | None:
    """AUROC of the training subjects, the truth of each hidden while it is judged; None with too few of either kind."""
    probability = np.full(len(kind), np.nan)
    seen = np.bincount(subject, minlength=len(kind)) > 0
    fold = np.full(len(kind), -1)
    for one in (LENS, NOT):
        rows = np.flatnonzero((kind == one) & seen)
        if len(rows) < FEW_TRAINING:
            return None
        fold[rows] = np.arange(len(rows)) % FOLDS
    for number in range(FOLDS):
        hidden = np.where(fold == number, UNKNOWN, kind)
        found = solve_offline(volunteer, subject, said, hidden, prior=prior)
        probability[fold == number] = found.probability[fold == number]
    rows = np.flatnonzero(fold >= 0)
    return score_lenses(kind[rows] == LENS, probability[rows], rows, seed=0)["auroc"]


def _remark_on_training(kind: np.ndarray) -> list[str]:
    few = [
        f"{n:,} {name}"
        for name, n in (("lenses", (kind == LENS).sum()), ("others", (kind == NOT).sum()))
        if n < FEW_TRAINING
    ]
    if not few:
        return []
    return [f"only {' and '.join(few)} among the training subjects: the skills are those of few fields"]
