"""Inputs for every command: images, catalogues, exports, packs, runs and a scan, all so small that a command takes a
second or two."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # the sets that the tests use

from made_survey import SCALE_ARCSEC, make_survey
from small_sets import TINY_OPTIONS, make_lens_set, make_vote_set, tiny, write_pngs

from convnet_galaxies import cli
from convnet_galaxies.data.grade_book import Grade, GradeBook
from convnet_galaxies.data.pack import write_set
from convnet_galaxies.training.fit import fit

TINY, TINY_WORDS = tiny("train.epochs=1"), " ".join(TINY_OPTIONS)


def make_world(folder: Path, words: str) -> None:
    """Fill a new folder with the inputs that the words of commands name, as {w}/NAME, and what these are made of."""
    folder.mkdir()
    wanted = set(re.findall(r"\{w\}/([\w.-]+)", words))
    while more := {one for name in wanted for one in NEEDS.get(name, ())} - wanted:
        wanted |= more
    for name, make in MAKERS.items():
        if name in wanted:
            make(folder / name)


def make_runs_pack(path: Path) -> None:
    """A pack of the lens images, on which the runs are trained."""
    write_set(make_lens_set(200), path)


def make_unseen_pack(path: Path) -> None:
    """A pack of lens images of other fields."""
    unseen = make_lens_set(160, seed=9)
    names = ("id", "group", "ZooID")
    other = {name: unseen.table[name].str.replace("ASW", "ASX", regex=False) for name in names}
    write_set(replace(unseen, table=unseen.table.assign(**other)), path)


def make_labels(path: Path) -> None:
    """Labels of the images."""
    pd.DataFrame({"id": make_vote_set(12).table["id"], "is_lens": [0, 1] * 6}).to_csv(path, index=False)


def make_counts(path: Path) -> None:
    """Counts of votes on the questions of the tree."""
    counts = pd.DataFrame({"id": make_vote_set(12).table["id"]})
    for number, name in enumerate(("smooth_yes", "smooth_no", "ring_yes", "ring_no")):
        counts[name] = range(number, number + 12)
    counts.to_csv(path, index=False)


def make_tree(path: Path) -> None:
    """A decision tree of two questions."""
    path.write_text(
        'name = "rings"\n[[question]]\nname = "smooth"\ntext = "Is it smooth?"\nanswers = ["yes", "no"]\n'
        '[[question]]\nname = "ring"\ntext = "Is there a ring?"\nanswers = ["yes", "no"]\nafter = ["smooth_no"]\n'
    )


def make_lens_run(path: Path, seed: int = 1) -> None:
    """A run that tells lenses."""
    fit(make_lens_set(200), TINY.model_copy(update={"seed": seed}), path, tasks=("lens",))


def make_survey_run(path: Path) -> None:
    """A run for cutouts of the tiles."""
    lenses = make_lens_set(64)
    scaled = lenses.preprocess.model_copy(update={"crop_px": 32, "pixel_scale_arcsec": SCALE_ARCSEC})
    fit(replace(lenses, preprocess=scaled), TINY, path, tasks=("lens",))


def make_grades(path: Path) -> None:
    """A table of grades."""
    book = GradeBook(path)
    for number in range(4):
        book.append_grade(Grade(f"r{number}", f"s{number}", f"c{number}", "ann", float(number)))
    book.close()


def make_features(path: Path) -> None:
    """Features of the lens images."""
    call("predict", path.with_name("lens"), path.with_name("lens.pack"), "-o", f"{path}.csv", "--embeddings", path)


def make_scan(path: Path) -> None:
    """A scan of the tiles."""
    call("scan", path.with_name("survey"), path.with_name("tiles"), "-o", path, "--threshold=5", "--missing=0.4")


MAKERS: dict[str, Callable[[Path], object]] = {
    "zoo.pack": lambda path: write_set(make_vote_set(24), path),
    "lens.pack": make_runs_pack,
    "unseen.pack": make_unseen_pack,
    "images": lambda path: write_pngs(make_vote_set(12), path),
    "others": lambda path: write_pngs(make_lens_set(8), path),
    "labels.csv": make_labels,
    "counts.csv": make_counts,
    "tree.toml": make_tree,
    "zoo": lambda path: fit(make_vote_set(24), TINY, path, tasks=("votes",)),
    "lens": make_lens_run,
    "second": lambda path: make_lens_run(path, 2),
    "survey": make_survey_run,
    "tiles": lambda path: make_survey(path, n=12),
    "challenge": lambda path: call("simulate", "galaxy-zoo", path, "--number=8", "--workers=1"),
    "space-warps": lambda path: call("simulate", "space-warps", path, "--number=24", "--workers=1"),
    "crowd": lambda path: call("simulate", "zooniverse", path, "--number=20", "--volunteers=20", "--looks=5"),
    "grades.sqlite": make_grades,
    "found": make_scan,
    "features.parquet": make_features,
}
NEEDS = {"found": ("survey", "tiles"), "features.parquet": ("lens", "lens.pack")}


def call(*words: object) -> None:
    """Call the command line in this process, quietly. Raises RuntimeError when it fails."""
    before, sys.argv = sys.argv, ["convnet-galaxies", *map(str, words)]
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as told:
            cli.main()
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"{' '.join(map(str, words))}: {told.getvalue()}") from None
    finally:
        sys.argv = before
