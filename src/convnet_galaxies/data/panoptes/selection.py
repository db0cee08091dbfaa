"""Rows of one workflow and its versions, chosen a block at a time before any cell is parsed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from convnet_galaxies.data.panoptes.reasons import OTHER_VERSION, OTHER_WORKFLOW
from convnet_galaxies.data.panoptes.workflow import parse_version
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import name_some


class Selection:
    """Chooses rows, and counts what there is.

    workflow: number or name; None where there is only one. versions: such as ``12`` (all of 12.x) or ``12.34``.
    """

    def __init__(self, workflow: str | None, versions: Sequence[str]) -> None:
        self.workflow, self.versions = workflow, tuple(versions)
        self.left_out: Counter[str] = Counter()
        self._workflows: Counter[tuple[str, str]] = Counter()
        self._seen_versions: Counter[str] = Counter()

    @property
    def is_ambiguous(self) -> bool:
        """Return whether several workflows came and none was chosen."""
        return self.workflow is None and len({number for number, _ in self._workflows}) > 1

    def choose(self, block: dict[str, pa.Array]) -> np.ndarray:
        """Return the rows that are wanted, int [n]."""
        ids = block["workflow_id"]
        names = block.get("workflow_name", ids)
        for (one, name), number in Counter(zip(ids.to_pylist(), names.to_pylist(), strict=True)).items():
            self._workflows[_text(one), _text(name)] += number
        chosen = np.ones(len(ids), bool)
        if self.workflow is not None:
            wanted = pa.scalar(self.workflow.encode(), pa.binary())
            is_wanted = pc.or_(pc.equal(ids, wanted), pc.equal(names, wanted))
            chosen = is_wanted.to_numpy(zero_copy_only=False)
            self.left_out[OTHER_WORKFLOW] += int((~chosen).sum())
        if "workflow_version" in block:
            own = block["workflow_version"]
            found = Counter(own.filter(pa.array(chosen)).to_pylist())
            self._seen_versions.update({_text(one): number for one, number in found.items()})
            good = [one for one in found if not self.versions or is_version(_text(one), self.versions)]
            if len(good) < len(found):
                fits = pc.is_in(own, value_set=pa.array(good, pa.binary())).to_numpy(zero_copy_only=False)
                self.left_out[OTHER_VERSION] += int((chosen & ~fits).sum())
                chosen &= fits
        return np.flatnonzero(chosen)

    def check(self, path: Path) -> None:
        """Raise InputError, naming what there is, where not one workflow and wanted versions of it were found."""
        numbers = self._workflows.most_common()
        listed = name_some([f"{one}{_named(name, one)}: {number:,} rows" for (one, name), number in numbers], 10)
        if self.is_ambiguous:
            raise InputError(
                f"{path}: found several workflows ({listed}), expected one",
                f"choose one, e.g. --workflow {numbers[0][0][0]}",
            )
        if self.workflow is not None and not any(self.workflow in both for both in self._workflows):
            raise InputError(
                f"{path}: found {f'other workflows ({listed})' if numbers else 'no rows'}, expected workflow "
                f"{self.workflow}; the export may be that of another project",
                "give the export of the project that has this workflow, or choose another --workflow",
            )
        if self.versions and sum(self._seen_versions.values()) == self.left_out[OTHER_VERSION]:
            found = [f"{one}: {number:,} rows" for one, number in self._seen_versions.most_common()]
            raise InputError(
                f"{path}: found other versions of the workflow ({name_some(found, 10)}), expected "
                f"{', '.join(self.versions)}",
                "choose others with --version, e.g. --version 12 for all of 12.x",
            )


def is_version(version: str, wanted: Collection[str]) -> bool:
    """Return whether 12.34 is among ``12`` (all of 12.x) or ``12.34``; it is neither 12.3 nor 12.340."""
    parsed = parse_version(version)
    for one in wanted:
        other, parts = parse_version(one), 1 + ("." in one)
        if version == one or (parsed and other and parsed[:parts] == other[:parts]):
            return True
    return False


def _named(name: str, number: str) -> str:
    return f" {name}" if name and name != number else ""


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
