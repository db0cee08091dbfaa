"""Read human grades, from whatever file holds them: the table of grades of `inspect`, what it exports, tables of expert
grades, and the crowd's lists of Space Warps."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.data.grade_book import read_grades as read_grade_book
from convnet_galaxies.data.tables import TEXT_COLUMNS, numbers, read_table
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import is_grade_book, require_path

ID_COLUMNS = ("zooid", "subject", "id")
GRADE_COLUMNS = ("expert_grade", "grade")
CROWD_COLUMNS = ("crowd_probability", "crowd", "p")
FILE_COLUMNS = ("file", "cutoutname")
KIND_COLUMNS = ("kind",)
CONSENSUS_COLUMNS = ("lens_consensus",)
"""Columns of a grades table (in any case), the first that is there is taken."""

HIGHEST_GRADE = 3.0
CANDIDATE, MIXED, REPEAT = "candidate", "mixed in", "repeat"
"""Roles of what `inspect` shows, in the column shown of its table of grades."""
_ZOO_ID = re.compile(r"(?:^|_)(ASW[0-9a-z]{7})(?:$|_|@)", re.IGNORECASE)


@dataclass(frozen=True)
class HumanGrades:
    """Grades and crowd probabilities by subject, each subject once.

    ids: str [s]; grade: float [s], mean of its grades, 0 (no lens) to 3 (certain lens), NaN where nobody graded;
    crowd: float [s], probability of a lens, NaN where the crowd's is not known. groups: str [s], what shares a field.
    kind: str [s], what it shows if no lens, empty where nobody told; consensus: float [s], probability of a lens by the
    model of graders, NaN where there is none.
    by_image: the same by the names of image files, where the grades were given by those: two candidates of one field
    have a grade each. A list of the crowd covers fields only; its probability holds for each candidate of the field.
    """

    ids: np.ndarray
    grade: np.ndarray
    crowd: np.ndarray
    groups: np.ndarray
    by_image: HumanGrades | None = None
    kind: np.ndarray = field(default_factory=lambda: np.empty(0, str))
    consensus: np.ndarray = field(default_factory=lambda: np.empty(0))

    def choose(self, table: pd.DataFrame) -> HumanGrades:
        """Return grades by image if the images of a table (column id) are those that were graded, else by subject."""
        if self.by_image is not None and table["id"].astype("str").isin(self.by_image.ids).any():
            return self.by_image
        return self


def read_grades(path: Path) -> pd.DataFrame:
    """Read grades: subject, image, grade, crowd, kind, consensus; one row per row of a table.

    path: the table of grades of `inspect` (candidates alone, one row each), what it exports, ``candidates.csv`` of
        Space Warps, or any table with ids and grades; several rows of one id, as of several graders, are averaged by
        join_grades.
    image is the file's name without its ending, empty where the table names no files. kind: what the image shows if no
    lens; empty where nobody told. consensus: probability of a lens by the model of graders.
    Columns that are not there are NaN, or empty. Raises InputError for a table without ids or without any judgement,
    and for values outside 0 to 3 or 0 to 1.
    """
    if is_grade_book(path):
        own = average_grades(read_shown(path))
        if not len(own):
            raise InputError(f"{path}: found no grade, expected at least one", "grade some images first")
        return pd.DataFrame(
            {"subject": own.index.astype("str"), "image": "", "grade": own["grade"].to_numpy(float), "crowd": np.nan}
        ).assign(kind=own["kind"].to_numpy(), consensus=np.nan)
    given = read_table(
        path,
        text_columns=(*TEXT_COLUMNS, *ID_COLUMNS),
        wanted=(ID_COLUMNS, (*GRADE_COLUMNS, *CROWD_COLUMNS), FILE_COLUMNS),
    )
    names = {name.lower(): name for name in given}

    def find(columns: Sequence[str]) -> str | None:
        return next((names[column] for column in columns if column in names), None)

    subject, grade, crowd = find(ID_COLUMNS), find(GRADE_COLUMNS), find(CROWD_COLUMNS)
    file, kind = find(FILE_COLUMNS), find(KIND_COLUMNS)
    if subject is None or (grade is None and crowd is None):
        raise InputError(
            f"{path}: found columns {', '.join(given)}, expected one of {', '.join(ID_COLUMNS)} and one of "
            f"{', '.join((*GRADE_COLUMNS, *CROWD_COLUMNS))}",
            "name the columns so",
        )

    def number(column: str | None, high: float) -> np.ndarray:
        if column is None:
            return np.full(len(given), np.nan)
        return numbers(given, column, path, missing=True, low=0, high=high, row_name=subject)

    return pd.DataFrame(
        {
            "subject": given[subject].astype("str").str.strip(),
            "image": "" if file is None else given[file].astype("str").map(lambda name: Path(name).stem),
            "grade": number(grade, HIGHEST_GRADE),
            "crowd": number(crowd, 1),
            # Other tables have a column kind as well, such as the catalogue of Space Warps: sim, dud, test.
            "kind": "" if kind is None else given[kind].astype("str").where(given[kind].notna(), "").str.strip(),
            "consensus": number(find(CONSENSUS_COLUMNS), 1),
        }
    )


def read_shown(path: Path) -> pd.DataFrame:
    """Read a table of grades of `inspect`, with the role of what was shown: see grade_book.read_grades, and role."""
    grades = read_grade_book(path)
    return grades.assign(role=[json.loads(text).get("role", CANDIDATE) for text in grades["shown"]])


def average_grades(grades: pd.DataFrame) -> pd.DataFrame:
    """Return one row per graded candidate (index id): grade (mean over graders), graders (their number), spread
    (standard deviation of their grades), kind (the one named most often, empty for none).

    grades: of read_shown. Two grades of one grader, for a repeat, count as their mean. What was mixed in is left out.
    """
    own = grades[grades["grade"].notna() & (grades["role"] != MIXED)]
    each = own.groupby(["id", "grader"])["grade"].mean().reset_index()
    table = each.groupby("id")["grade"].agg(["mean", "count", lambda values: values.std(ddof=1)])
    table.columns = pd.Index(["grade", "graders", "spread"])
    kinds = own[own["kind"] != ""].groupby("id")["kind"].agg(lambda values: values.mode().iloc[0])
    return table.assign(kind=kinds.reindex(table.index).fillna("").astype("str"))


def read_crowd(path: Path) -> pd.DataFrame:
    """A list of the crowd's: lines ``ZooID P Nclass image-file``, or the ZooID alone for what it dismissed (P = 0).

    Lines that begin with # and empty lines are passed over. Gives subject, image (empty), grade (NaN), crowd.
    Raises InputError naming the line that is neither.
    """
    require_path(path)
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})", "give a text file of the crowd's catalogue") from None
    subjects, crowd = [], []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        probability = _parse_probability(words)
        if probability is None:
            raise InputError(
                f"{path}, line {number}: found '{line.strip()[:60]}', expected `ZooID P Nclass image-file` with P from "
                "0 to 1, or a ZooID alone",
                "give the crowd's catalogue as it was published",
            )
        subjects.append(words[0])
        crowd.append(probability)
    if not subjects:
        raise InputError(f"{path}: found no subject, expected a line for each", "give the crowd's catalogue")
    return pd.DataFrame(
        {"subject": subjects, "image": "", "grade": np.nan, "crowd": crowd, "kind": "", "consensus": np.nan}
    )


def join_grades(grades: Sequence[Path], crowd: Sequence[Path]) -> HumanGrades:
    """Return all files together; of a subject that stands in several, the mean of its grades and of its probabilities.

    Raises InputError when no file is given or one is at fault.
    """
    tables = [*map(read_grades, grades), *map(read_crowd, crowd)]
    if not tables:
        raise InputError("grades: found no file, expected at least one", "give --grades or --crowd")
    rows = pd.concat(tables, ignore_index=True)
    columns = {"grade": "mean", "crowd": "mean", "consensus": "mean", "kind": _commonest}
    means = rows.groupby("subject", sort=True).agg(columns)
    by_image = None
    if (rows["image"] != "").any():
        named = rows[rows["image"] != ""]
        own = named.groupby("image", sort=True).agg({"subject": "first", **columns})
        own["crowd"] = own["crowd"].fillna(own["subject"].map(means["crowd"]))
        by_image = _to_eyes(own, own["subject"])
    return _to_eyes(means, means.index, by_image)


def _commonest(kinds: pd.Series) -> str:
    named = kinds[kinds != ""]
    return str(named.mode().iloc[0]) if len(named) else ""


def name_subjects(table: pd.DataFrame, wanted: np.ndarray) -> np.ndarray:
    """Return the subject of each image (str [n]), by whichever of the table's names matches the wanted ids (str [s])
    best.

    Tried are ZooID, id, and the ZooID within the id (``<object>_<ZooID>``). Raises InputError when none matches.
    """
    names = {}
    if "ZooID" in table:
        names["ZooID"] = table["ZooID"].astype("str").to_numpy().astype(str)
    names["id"] = table["id"].astype("str").to_numpy().astype(str)
    within = table["id"].astype("str").str.extract(_ZOO_ID)[0]
    if within.notna().any():
        names["ZooID within the id"] = within.fillna("").to_numpy().astype(str)
    matches = {name: int(np.isin(values, wanted).sum()) for name, values in names.items()}
    best = max(matches, key=lambda name: matches[name])
    if not matches[best]:
        seen = "; ".join(f"{name}: {values[0]}, ..." for name, values in names.items())
        raise InputError(
            f"grades: found none of the {len(wanted):,} subjects ({wanted[0]}, ...) among the images ({seen}), "
            "expected the same ids in both",
            "give grades by the ids of these images, e.g. their ZooID",
        )
    return names[best]


def _to_eyes(table: pd.DataFrame, groups: pd.Series | pd.Index, by_image: HumanGrades | None = None) -> HumanGrades:
    grade, crowd, consensus = (table[name].to_numpy(float) for name in ("grade", "crowd", "consensus"))
    kind = table["kind"].to_numpy().astype(str)
    names = table.index.to_numpy().astype(str), groups.to_numpy().astype(str)
    return HumanGrades(names[0], grade, crowd, names[1], by_image, kind, consensus)


def _parse_probability(words: list[str]) -> float | None:
    if len(words) == 1:
        return 0.0
    try:
        probability = float(words[1])
    except ValueError:
        return None
    return probability if 0 <= probability <= 1 else None
