"""A Kaggle submission from a run and the test images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from convnet_galaxies.data.input_notes import InputNotes
from convnet_galaxies.data.tables import table_format
from convnet_galaxies.data.vote_table import read_votes, write_submission
from convnet_galaxies.decision_tree import KAGGLE, VOTE_COLUMNS, load_tree
from convnet_galaxies.errors import InputError, OutputExistsError
from convnet_galaxies.paths import StrPath
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.predict.stream import predict_tables


def submit(
    predictor: Predictor,
    images: Path,
    output: StrPath,
    *,
    sample: Path | None = None,
    force: bool = False,
    notes: InputNotes | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write the 37 votes of all images in Kaggle's form; returns the number of galaxies.

    notes: collects remarks about the source and its images.
    Raises InputError if the run does not predict votes, an image is bad, or the ids are not those of the sample.
    """
    output = Path(output)
    if "votes" not in predictor.classes:
        have = ", ".join(predictor.classes)
        raise InputError(f"the run predicts {have}, expected votes", "give a run that was trained on Galaxy Zoo votes")
    tree = load_tree(predictor.classes["votes"])
    if tree != KAGGLE:
        raise InputError(
            f"the run predicts votes on the tree {tree}, expected the {len(VOTE_COLUMNS)} of the Galaxy Challenge",
            "give a run that was trained on Kaggle's votes, or use `predict`",
        )
    if table_format(output) != "CSV":
        raise InputError(f"{output}: found another ending, expected .csv, which Kaggle takes", "rename the output")
    if output.exists() and not force:
        raise OutputExistsError(output)
    if sample is not None:
        read_votes(sample)  # a sample at fault is told before the hours of prediction
    table = pd.concat(list(predict_tables(predictor, images, notes=notes, progress=progress)), ignore_index=True)
    votes = table[list(VOTE_COLUMNS)].to_numpy(float)
    write_submission(output, table["id"].tolist(), votes, sample=sample, force=force)
    return len(table)
