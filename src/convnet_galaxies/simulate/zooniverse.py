"""A classification export as Zooniverse writes it, from the simulated crowd, with the truth and every pitfall counted.

Volunteers look at scenes, not at pixels: what an export holds are their answers. GalSim is not needed.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from convnet_galaxies.data.output import new_folder
from convnet_galaxies.errors import UsageError
from convnet_galaxies.paths import StrPath
from convnet_galaxies.simulate.crowd_answers import FIELD_PX, CrowdAnswers, draw_answers
from convnet_galaxies.simulate.pitfalls import ADDED, ANSWERS, CHANGED, PITFALLS, Row, add_pitfalls, check_rates

CLASSIFICATIONS_NAME = "classifications.csv.gz"
WORKFLOWS_NAME = "workflows.csv"
TRUTH_NAME = "truth.csv"
VOTES_NAME = "sealed/votes.csv"
SEALED_NAME = "sealed/truth.csv"
VOLUNTEERS_NAME = "sealed/volunteers.csv"
PITFALLS_NAME = "sealed/pitfalls.csv"

WORKFLOW, VERSION = "5678", "12.34"
TASK_LABELS = {"T0": "Is there a gravitational lens?", "T1": "Mark it", "T2": "What else is there?"}
COLUMNS = (
    *("classification_id", "user_name", "user_id", "user_ip", "workflow_id", "workflow_name", "workflow_version"),
    *("created_at", "gold_standard", "expert", "metadata", "annotations", "subject_data", "subject_ids"),
)
_FIRST_SUBJECT, _FIRST_PERSON, _FIRST_CLASSIFICATION = 40_000_001, 1_001, 300_000_001
_START = np.datetime64("2024-03-01T00:00:00", "s")

README = """A simulated classification export of Zooniverse: everything in it is drawn.

classifications.csv.gz   the export, workflow {workflow}, version {version}: T0 (lens?), T1 (marks), T2 (what else)
workflows.csv            the export of the workflow
truth.csv                training subjects: id, lens (1 or 0), x_px, y_px
sealed/                  truth of all subjects, votes that count, true skill of volunteers, pitfalls made: to judge by
"""


@dataclass(frozen=True)
class ExportSummary:
    """The written folder, and the numbers of rows of the export, subjects and volunteers."""

    output: Path
    rows: int
    subjects: int
    volunteers: int


def simulate_export(
    output: StrPath,
    *,
    subjects: int,
    seed: int,
    looks: int = 15,
    volunteers: int = 300,
    training_fraction: float = 0.2,
    prevalence: float = 0.05,
    pitfalls: float | Mapping[str, float] = 0.05,
    progress: Callable[[int, int], None] | None = None,
    force: bool = False,
) -> ExportSummary:
    """Write an export of Zooniverse, its workflow and the truth into the folder output; README.txt lists the files.

    pitfalls: share of the rows that have each of PITFALLS, or a share by name. The same arguments give the same bytes.
    Raises UsageError for numbers that cannot be met, OutputExistsError without force.
    """
    rates = dict.fromkeys(PITFALLS, pitfalls) if isinstance(pitfalls, int | float) else dict(pitfalls)
    check_rates(rates)
    for name, number, least in (("subjects", subjects, 4), ("looks", looks, 1), ("volunteers", volunteers, 2)):
        if number < least:
            raise UsageError(f"simulate zooniverse: found {number} {name}, expected at least {least}", "give more")
    for name, share in (("training fraction", training_fraction), ("prevalence", prevalence)):
        if not 0 <= share <= 1:
            raise UsageError(f"simulate zooniverse: found a {name} of {share:g}, expected 0 to 1", "give e.g. 0.2")
    drawn = draw_answers(
        seed,
        subjects=subjects,
        looks=looks,
        volunteers=volunteers,
        training_fraction=training_fraction,
        prevalence=prevalence,
    )
    rng = np.random.default_rng([seed, 1 << 26])
    cells = [_describe_subject(rng, number) for number in range(subjects)]
    rows = _write_rows(drawn, cells, rng)
    told, made, lost = add_pitfalls(rows, rates, rng)
    with new_folder(Path(output), force=force, is_ours=_is_ours) as folder:
        (folder / "sealed").mkdir()
        (folder / CLASSIFICATIONS_NAME).write_bytes(gzip.compress(_encode(told, progress), 6, mtime=0))
        (folder / WORKFLOWS_NAME).write_text(_describe_workflow())
        _write_truth(folder, drawn, rows, set(lost))
        counted = [(name, made[name], {**ADDED, **CHANGED}[name][0] or "") for name in PITFALLS]
        _write(folder / PITFALLS_NAME, pd.DataFrame(counted, columns=["pitfall", "rows", "reason"]))
        (folder / "README.txt").write_text(README.format(workflow=WORKFLOW, version=VERSION))
    return ExportSummary(Path(output), len(told), subjects, volunteers)


def _describe_subject(rng: np.random.Generator, number: int) -> tuple[str, dict[str, Any]]:
    """Zooniverse's number and the cell of a subject, under names as users write them."""
    sign = ("#", "!", "//", "")[number % 4]
    reasons: tuple[dict[str, str] | None, ...] = (
        {"retirement_reason": "classification_count"},
        {"retirement_reason": "consensus"},
        {},
        None,
    )
    retired = reasons[int(rng.integers(len(reasons)))]
    about = {
        "retired": None if retired is None else {"id": number, "workflow_id": int(WORKFLOW), **retired},
        f"{sign}id": name_subject(number),
        "Filename": f"{name_subject(number)}.png",
        "#image1": f"{name_subject(number)}.png",
    }
    return str(_FIRST_SUBJECT + number), about


def name_subject(number: int) -> str:
    """Return the id of a simulated subject."""
    return f"subject-{number:05d}"


def _write_rows(drawn: CrowdAnswers, cells: list[tuple[str, dict[str, Any]]], rng: np.random.Generator) -> list[Row]:
    size = {"clientWidth": 660, "clientHeight": 660, "naturalWidth": FIELD_PX, "naturalHeight": FIELD_PX}
    rows = []
    else_given = rng.random((len(drawn.volunteer), len(ANSWERS["T2"]))) < 0.15
    triples = zip(drawn.volunteer.tolist(), drawn.subject.tolist(), drawn.said_lens.tolist(), strict=True)
    for answer, (who, what, said) in enumerate(triples):
        annotations: list[dict[str, Any]] = [
            {"task": "T0", "task_label": TASK_LABELS["T0"], "value": ANSWERS["T0"][not said]}
        ]
        if said:
            points = [{"tool": 0, "frame": 0, "details": [], "x": x, "y": y} for x, y in drawn.marks[answer]]
            annotations.append({"task": "T1", "task_label": TASK_LABELS["T1"], "value": points})
        given = [name for name, is_given in zip(ANSWERS["T2"], else_given[answer], strict=True) if is_given]
        if given:
            annotations.append({"task": "T2", "task_label": TASK_LABELS["T2"], "value": given})
        number, about = cells[what]
        rows.append(
            {
                "user_name": f"galaxy fan {who}",
                "user_id": str(_FIRST_PERSON + who),
                "user_ip": f"{who:020x}",
                "workflow_id": WORKFLOW,
                "workflow_name": "Find lenses",
                "workflow_version": VERSION,
                "gold_standard": "",
                "expert": "",
                "metadata": {"live_project": True, "user_language": "en", "subject_dimensions": [size, size]},
                "annotations": annotations,
                "subject_data": {number: about},
                "subject_ids": number,
            }
        )
    return rows


def _encode(rows: list[Row], progress: Callable[[int, int], None] | None) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, row in enumerate(rows):
        time = str(_START + np.timedelta64(20 * number, "s")).replace("T", " ") + " UTC"
        full = {**row, "classification_id": _FIRST_CLASSIFICATION + number, "created_at": time}
        cells = (full[name] for name in COLUMNS)
        writer.writerow(
            [json.dumps(one, separators=(",", ":")) if isinstance(one, dict | list) else one for one in cells]
        )
        if progress is not None and number % 1000 == 0:
            progress(number, len(rows))
    return text.getvalue().encode()


def _write_truth(folder: Path, drawn: CrowdAnswers, rows: list[Row], lost: set[int]) -> None:
    number = len(drawn.lens)
    table = pd.DataFrame(
        {
            "id": [name_subject(one) for one in range(number)],
            "subject_id": [_FIRST_SUBJECT + one for one in range(number)],
            "lens": drawn.lens,
            "x_px": drawn.place_px[:, 0].round(2),
            "y_px": drawn.place_px[:, 1].round(2),
        }
    )
    _write(folder / TRUTH_NAME, table[drawn.is_training].drop(columns="subject_id"))
    _write(folder / SEALED_NAME, table.assign(training=drawn.is_training.astype(int)))
    said = {"user_name": [f"galaxy fan {who}" for who in range(len(drawn.pl))], "pl": drawn.pl, "pd": drawn.pd}
    _write(folder / VOLUNTEERS_NAME, pd.DataFrame(said))
    votes = np.zeros((number, sum(map(len, ANSWERS.values()))), int)
    places = [(task, one) for task, answers in ANSWERS.items() for one in answers]
    for place, (row, subject) in enumerate(zip(rows, drawn.subject.tolist(), strict=True)):
        for one in row["annotations"]:
            if one["task"] == "T1" or (one["task"] == "T0" and place in lost):
                continue
            for value in one["value"] if isinstance(one["value"], list) else [one["value"]]:
                votes[subject, places.index((one["task"], value))] += 1
    names = [f"{task}_{one.lower().replace(' ', '-')}" for task, one in places]
    counted = pd.DataFrame(votes, columns=names)
    counted.insert(0, "classifications", np.bincount(drawn.subject, minlength=number))
    counted.insert(0, "id", table["id"])
    _write(folder / VOTES_NAME, counted)


def _describe_workflow() -> str:
    """The export of the workflow: one row per version, texts by key as newer exports have them."""
    tool = {"type": "point", "label": "T1.tools.0.label", "color": "#00ff00", "details": []}
    tasks: dict[str, Any] = {
        "T1": {"type": "drawing", "help": "", "instruction": "T1.instruction", "tools": [tool]},
        "T3": {"type": "combo", "tasks": ["T0", "T1", "T2"]},
        "T4": {"type": "dropdown", "help": "", "instruction": "T4.instruction", "selects": []},
    }
    strings = {"T1.instruction": "Mark it", "T1.tools.0.label": "Lens", "T4.instruction": "Choose"}
    for task, answers in ANSWERS.items():
        keys = [f"{task}.answers.{place}.label" for place in range(len(answers))]
        kind = "single" if task == "T0" else "multiple"
        labels = [{"label": key} for key in keys]
        tasks[task] = {"type": kind, "help": "", "question": f"{task}.question", "answers": labels}
        strings |= {**dict(zip(keys, answers, strict=True)), f"{task}.question": TASK_LABELS[task]}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["workflow_id", "display_name", "version", "first_task", "tasks", "strings", "minor_version"])
    major, minor = VERSION.split(".")
    writer.writerow([WORKFLOW, "Find lenses", major, "T0", json.dumps(tasks), json.dumps(strings), minor])
    return text.getvalue()


def _write(path: Path, table: pd.DataFrame) -> None:
    table.to_csv(path, index=False, lineterminator="\n")


def _is_ours(folder: Path) -> bool:
    return (folder / CLASSIFICATIONS_NAME).is_file() and (folder / TRUTH_NAME).is_file()
