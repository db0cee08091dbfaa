"""Classification exports of Zooniverse in a notebook."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from convnet_galaxies.data.panoptes.classifications import (
    Classifications,
    ExportOptions,
    read_classifications,
    rename_subjects,
)
from convnet_galaxies.data.panoptes.subjects import read_key
from convnet_galaxies.data.panoptes.tables import count_votes, list_markers
from convnet_galaxies.data.panoptes.workflow import Workflow, read_workflow
from convnet_galaxies.decision_tree import read_tree
from convnet_galaxies.paths import StrPath
from convnet_galaxies.study.crowd import Method, WeighedCrowd, read_truth, weigh_crowd

__all__ = ["ZooniverseExport", "read_zooniverse"]


@dataclass(frozen=True, eq=False)
class ZooniverseExport:
    """A classification export that was read; shows what counts and what does not.

    classifications: its parts as tables. workflow: what is known of its tasks.
    """

    classifications: Classifications
    workflow: Workflow

    def votes(self, *, tree: str | None = None) -> pd.DataFrame:
        """Return the counts of votes: one row per subject, columns ``{question}_{answer}``.

        tree: a decision tree (name or file) whose columns the table gets. Raises InputError where the answers do not
        fit it.
        """
        return count_votes(self.classifications, self.workflow, None if tree is None else read_tree(tree))

    def clicks(self) -> pd.DataFrame:
        """Return the marks, one row each: ZooID (the subject's id), volunteer, x, y (pixels, 0-based), frame, tool."""
        return list_markers(self.classifications)

    def weigh(
        self,
        truth: StrPath,
        *,
        question: str | None = None,
        lens_answers: Collection[str] = ("yes",),
        method: Method = "offline",
        prior: float | None = None,
    ) -> WeighedCrowd:
        """Weigh the crowd by SWAP: ``.subjects`` has a probability each, ``.volunteers`` their skills.

        truth: table of training subjects (id, lens), or the key.csv of `zooniverse subjects`.
        question: whose lens_answers mean a lens; None where all volunteers get the drawing task.
        method: ``offline`` over all answers, or ``online`` in order of time.
        prior: fraction of lenses among the other subjects; None estimates it.
        """
        options: dict[str, Any] = {"method": method, "prior": prior}
        return weigh_crowd(
            self.classifications, read_truth(truth), question=question, lens_answers=lens_answers, **options
        )

    def __repr__(self) -> str:
        return "\n".join(self.classifications.summary())


def read_zooniverse(
    export: StrPath,
    *,
    workflow_table: StrPath | None = None,
    names: StrPath | None = None,
    key: StrPath | None = None,
    **options: Any,
) -> ZooniverseExport:
    """Read a classification export of Zooniverse (Panoptes), a CSV, also compressed: ``.votes()``, ``.weigh(truth)``.

    workflow_table: Zooniverse's workflow export, which has the texts of numbered answers.
    names: TOML file with names of questions and answers.
    key: key.csv of `zooniverse subjects`, which gives subjects their own names again.
    options: fields of ExportOptions: workflow, versions, anonymous, keep, id_name, pixels, frame, salt, keep_names.
    """
    chosen = ExportOptions(**options)
    tables = [None if path is None else Path(path) for path in (workflow_table, names)]
    known = read_workflow(tables[0], tables[1], chosen.workflow)
    found = read_classifications(export, chosen, workflow=known)
    return ZooniverseExport(found if key is None else rename_subjects(found, read_key(Path(key))), known)
