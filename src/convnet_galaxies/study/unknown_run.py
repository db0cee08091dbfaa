"""The command `unknown`: from a run and packs to the result about unlabelled images, and its files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import TypeAdapter, ValidationError

from convnet_galaxies.data.human_grades import HumanGrades, join_grades, name_subjects
from convnet_galaxies.data.output import new_folder, write_json
from convnet_galaxies.data.pack import read_pack
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.data.tables import write_table
from convnet_galaxies.errors import InputError, OutputExistsError
from convnet_galaxies.measure.confusion import NO_LENS
from convnet_galaxies.measure.graded_sample import check_plan
from convnet_galaxies.measure.top_ranked import TopRanked
from convnet_galaxies.paths import StrPath
from convnet_galaxies.predict.evaluation import held_out_rows
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.runs.split import find_learned_pictures, read_split_of, remark_on_recognition, was_trained_on
from convnet_galaxies.study.compare_with_humans import compare_with_humans, find_kinds
from convnet_galaxies.study.grading_plan import PLAN, estimate_from_grades, is_filled, is_plan, plan_grading
from convnet_galaxies.study.known_images import choose_known
from convnet_galaxies.study.unknown import PredictedImages, UnknownResult, answer_unknown, shown_top
from convnet_galaxies.study.unknown_report import unknown_report

RESULT, RANKED, KNOWN, TEXT = "unknown.json", "ranked.csv", "known.csv", "unknown.txt"
NO_PLAN = (
    "{} holds no inclusion probabilities of a plan: its grades are compared with the network, but do not estimate the "
    "number of lenses."
)
TO_GRADE = (
    "plan.csv lists the {} images to grade for a narrow interval of the number of lenses. Fill in its column grade "
    "(0: no lens, 3: certain lens), and pass it to --grades."
)


def is_unknown(folder: Path) -> bool:
    """Return whether a folder holds a result of `unknown`."""
    return (folder / RESULT).is_file() and (folder / RANKED).is_file()


def study_unknown(
    predictor: Predictor,
    pack: StrPath,
    output: StrPath,
    *,
    known: StrPath | None = None,
    stage: int | None = None,
    grades: Sequence[Path] = (),
    crowd: Sequence[Path] = (),
    plan: int | None = None,
    completeness_ratio: tuple[float, float] = (0.5, 1.0),
    false_positive_ratio: tuple[float, float] = (0.5, 2.0),
    seed: int = 0,
    force: bool = False,
    progress: Callable[[str], None] | None = None,
) -> UnknownResult:
    """Estimate the number of lenses among the unlabelled images of a pack, and write the folder output.

    pack: images without a label (column lens empty, or missing). known: pack with the run's held-out labelled
    images, pack itself by default. stage: of the known images (see choose_known). grades, crowd: see human_grades;
    grades that were filled into a plan estimate the number of lenses (grading_plan), others are compared only.
    plan: how many unknown images to draw for grading.
    Writes unknown.json, unknown.txt, ranked.csv (best first), known.csv and, with plan, plan.csv.
    Raises InputError for grades that match no image, no unknown images, known ones of one kind only, or an output
    that holds a plan with grades.
    """
    pack = Path(pack)
    output = Path(output)
    known = None if known is None else Path(known)
    if output.exists() and not force:
        raise OutputExistsError(output)
    if is_filled(output / PLAN):
        raise InputError(
            f"{output / PLAN}: found grades, expected none in a folder that is replaced",
            "give another folder to --output, or move the plan elsewhere first",
        )
    run, tell = predictor.run, progress or (lambda text: None)
    plans = [path for path in grades if is_plan(path)]
    others = [path for path in grades if path not in plans]
    human_grades = join_grades(others, crowd) if others or crowd else None
    images = read_pack(pack)
    labelled = images if known is None else read_pack(known)
    for one, path in ((images, pack), (labelled, known or pack)):
        predictor.require_pixels(one, path)
    table = images.table
    rows = np.flatnonzero(table["lens"].isna()) if "lens" in table else np.arange(len(images))
    if not len(rows):
        raise InputError(
            f"{pack}: found no unlabelled image, all {len(images):,} have a label",
            "give a pack with UNKNOWN images, or without labels",
        )
    rows, left_out = _leave_out_learned(images, rows, run)
    if plan is not None:
        check_plan(plan, len(rows))
    unknown_table = table.iloc[rows].reset_index(drop=True)
    if human_grades is not None:
        human_grades = human_grades.choose(unknown_table)
        name_subjects(unknown_table, human_grades.ids)  # before the nets work, since it may be the wrong file
    held_out, _ = held_out_rows(labelled, run, "heldout")
    known_rows, remarks = choose_known(labelled, held_out, unknown_table, stage=stage)
    remarks += [*left_out, *_remark_on_pack(images, labelled, rows, run)]
    remarks += [NO_PLAN.format(path) for path in others]
    if plan is not None:
        remarks.append(TO_GRADE.format(f"{plan:,}"))
    tell("predicting known images")
    known_scored = predict_scored(predictor, labelled, known_rows)
    tell("predicting unknown images")
    unknown_scored = predict_scored(predictor, images, rows)
    result, top = answer_unknown(
        known_scored,
        unknown_scored,
        seed=seed,
        completeness_ratio=completeness_ratio,
        false_positive_ratio=false_positive_ratio,
        # Whole paths: the report finds the pixels from wherever it is called.
        names=(
            str(Path(run).resolve()) if Path(run).exists() else run,
            str(pack.resolve()),
            str((known or pack).resolve()),
        ),
        remarks=remarks,
        progress=progress,
    )
    ids = unknown_table["id"].astype("str").tolist()
    if plans:
        result = replace(result, graded=estimate_from_grades(plans, ids, top, shown_top(len(ids))))
    to_grade = None if plan is None else plan_grading(ids, top, unknown_scored.lens, plan, seed=seed)
    if human_grades is not None:
        tell("comparing with human grades")
        seen = compare_with_humans(
            unknown_table,
            unknown_scored.lens,
            human_grades,
            kinds_of=lambda chosen: find_kinds(images.images[rows[chosen]], images.preprocess),
            seed=seed,
        )
        result = replace(result, human_comparison=seen)
    with new_folder(output, force=force, is_ours=is_unknown) as folder:
        write_table(folder / RANKED, rank_images(unknown_scored, top, human_grades))
        columns = [name for name in ("id", "group", "stage", "lens", "flavor_label") if name in known_scored.table]
        write_table(folder / KNOWN, known_scored.table[columns].assign(lens_probability=known_scored.lens))
        if to_grade is not None:
            write_table(folder / PLAN, to_grade)
        write_json(folder / RESULT, result)
        (folder / TEXT).write_text(unknown_report(result).text() + "\n", "utf-8")
    return result


def predict_scored(predictor: Predictor, images: ImageSet, rows: np.ndarray) -> PredictedImages:
    """Predict the given rows of a set. Raises InputError when the run has neither a lens nor a flavor head."""
    classes = predictor.classes
    if not {"lens", "flavor"} & set(classes):
        raise InputError(
            f"the run predicts {', '.join(classes)}, expected lens or flavor", "give a run that was trained on lenses"
        )
    predicted = predictor.predict_set(images, rows)
    flavor, names = None, classes.get("flavor", ())
    if "flavor" in classes and NO_LENS in names:
        order = [names.index(NO_LENS), *(k for k, name in enumerate(names) if name != NO_LENS)]
        flavor = predicted.tasks["flavor"].astype(float)[:, order]
        flavor /= flavor.sum(axis=1, keepdims=True)
        names = tuple(names[k] for k in order)
    if "lens" in classes:
        lens = predicted.tasks["lens"].astype(float)
    elif flavor is not None:
        lens = 1 - flavor[:, 0]
    else:
        raise InputError(
            f"the run's flavors are {', '.join(names)}, expected '{NO_LENS}' among them", "train on lenses"
        )
    return PredictedImages(images.table.iloc[rows].reset_index(drop=True), lens, predicted.features, flavor, names)


def rank_images(unknown: PredictedImages, top: TopRanked, human_grades: HumanGrades | None) -> pd.DataFrame:
    """Return one row per unlabelled image, best first.

    lens_probability: the net's; probability: calibrated, and adjusted to the estimated prevalence; purity and
    completeness: expected of the list down to this row, with their intervals; *_shifted_*: ends of their ranges if real
    lenses score lower than the known ones.
    """
    order = top.order
    table = unknown.table.iloc[order].reset_index(drop=True)
    names = [name for name in ("id", "ZooID", "group", "stage", "x", "y", "ra_deg", "dec_deg") if name in table]
    ranked = table[names].copy()
    ranked.insert(0, "rank", np.arange(1, len(table) + 1))
    ranked["lens_probability"] = unknown.lens[order]
    for name in (
        "probability",
        "purity",
        "purity_low",
        "purity_high",
        "completeness",
        "completeness_low",
        "completeness_high",
    ):
        ranked[name] = getattr(top, name)
    if top.shifted is not None:
        for name, values in vars(top.shifted).items():
            figure, end = name.rsplit("_", 1)
            ranked[f"{figure}_shifted_{end}"] = values
    if unknown.flavor is not None:
        ranked["flavor"] = np.array(unknown.flavor_names)[1 + unknown.flavor[order, 1:].argmax(axis=1)]
    if human_grades is not None:
        of_image = pd.DataFrame({"grade": human_grades.grade, "crowd": human_grades.crowd}, index=human_grades.ids)
        seen = of_image.reindex(name_subjects(unknown.table, human_grades.ids)[order])
        ranked["expert_grade"], ranked["crowd_probability"] = seen["grade"].to_numpy(), seen["crowd"].to_numpy()
    return ranked


def read_unknown(folder: Path) -> UnknownResult:
    """Read the result that study_unknown wrote. Raises InputError."""
    path = folder / RESULT
    try:
        return TypeAdapter(UnknownResult).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"{path}: cannot be read ({error})", "run `unknown` again") from None


def _leave_out_learned(images: ImageSet, rows: np.ndarray, run: str) -> tuple[np.ndarray, list[str]]:
    """The rows whose pictures the run has not learned under another name (as a dud, for instance), and a remark."""
    split = read_split_of(run)
    if split is None:
        return rows, []
    learned = find_learned_pictures(images, split)[rows]
    if learned.all():
        raise InputError(
            f"{run}: was trained on the pictures of all {len(rows):,} unknown images, expected others",
            "give a pack of images that the run was not trained on",
        )
    text = f"Left out, since the run was trained on the same picture: {int(learned.sum()):,} unknown images."
    return rows[~learned], [text] if learned.any() else []


def _remark_on_pack(images: ImageSet, labelled: ImageSet, rows: np.ndarray, run: str) -> list[str]:
    remarks = []
    if str(images.preprocess) != str(labelled.preprocess):
        remarks.append(
            f"The unknown images were made as [{images.preprocess}], the known ones as [{labelled.preprocess}]: "
            "a difference between them may come from that."
        )
    if warning := remark_on_recognition(labelled, run):
        remarks.append(f"{warning}.")
    split = read_split_of(run)
    if split is not None:
        shared = int(was_trained_on(images, split)[rows].sum())
        if shared:
            remarks.append(
                "Unknown images that share a field or image file with images that the run was trained on: "
                f"{shared:,}. Their scores may be too confident."
            )
    return remarks
