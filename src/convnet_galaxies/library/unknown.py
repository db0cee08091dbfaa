"""Estimate the number of lenses in an unlabelled sample, in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from convnet_galaxies.blocks import Page
from convnet_galaxies.library.run import load
from convnet_galaxies.model.device import Device
from convnet_galaxies.paths import StrPath
from convnet_galaxies.predict.predictor import Views
from convnet_galaxies.study.unknown import UnknownResult
from convnet_galaxies.study.unknown_report import unknown_report
from convnet_galaxies.study.unknown_run import study_unknown


@dataclass(frozen=True)
class LensEstimate(UnknownResult):
    """Number of lenses in an unlabelled sample; a notebook shows it as a page of tables."""

    def page(self) -> Page:
        """Return the result in words and tables."""
        return unknown_report(self)

    def _repr_html_(self) -> str:
        return self.page().html()


def estimate_lenses(
    run: StrPath,
    pack: StrPath,
    output: StrPath,
    *,
    known: StrPath | None = None,
    stage: int | None = None,
    grades: Sequence[StrPath] = (),
    crowd: Sequence[StrPath] = (),
    completeness_ratio: tuple[float, float] = (0.5, 1.0),
    false_positive_ratio: tuple[float, float] = (0.5, 2.0),
    views: Views = 8,
    seed: int = 0,
    device: Device = "auto",
    force: bool = False,
) -> LensEstimate:
    """Estimate the number of lenses among the unlabelled images of a pack, and write the folder output.

    run: run, its folder, or ``builtin:NAME``. pack: with images without a label. output: see study_unknown.
    known: pack with the run's held-out labelled images, None for pack itself; stage: of these.
    grades, crowd: files of expert grades and of the crowd's probabilities, for a comparison subject by subject.
    completeness_ratio, false_positive_ratio: assumed lowest and highest ratio of the rates for unlabelled images to
        those for the labelled ones.
    Raises InputError as study_unknown does.
    """
    found = study_unknown(
        load(run, device=device).predictor(views),
        pack,
        output,
        known=known,
        stage=stage,
        grades=[Path(one) for one in grades],
        crowd=[Path(one) for one in crowd],
        completeness_ratio=completeness_ratio,
        false_positive_ratio=false_positive_ratio,
        seed=seed,
        force=force,
    )
    return LensEstimate(**{one.name: getattr(found, one.name) for one in fields(found)})
