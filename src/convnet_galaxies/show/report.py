"""Reports: one HTML file about a run, a study, a demo or a result of `unknown`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from convnet_galaxies.blocks import Page
from convnet_galaxies.data.output import new_file
from convnet_galaxies.data.tables import read_table
from convnet_galaxies.errors import InputError, OutputExistsError
from convnet_galaxies.model.device import Device
from convnet_galaxies.paths import StrPath
from convnet_galaxies.predict.evaluation import Part
from convnet_galaxies.predict.predictor import Views
from convnet_galaxies.runs.folder import BUILTIN, is_run
from convnet_galaxies.show.demo_page import demo_page, is_demo
from convnet_galaxies.show.lens_sections import Survey
from convnet_galaxies.show.page import render_page
from convnet_galaxies.show.run_page import run_page
from convnet_galaxies.show.study_page import study_page
from convnet_galaxies.show.unknown_page import unknown_page
from convnet_galaxies.study.results import is_study
from convnet_galaxies.study.unknown_run import is_unknown

MOST_BYTES = 10_000_000


@dataclass(frozen=True)
class ReportSummary:
    """The written report: file, kind of source, sections, and size."""

    path: Path
    kind: str
    sections: tuple[str, ...]
    size_bytes: int


def write_report(
    source: str | Path,
    output: StrPath,
    *,
    pack: StrPath | None = None,
    part: Part = "test",
    stage: int | None = None,
    views: Views = 8,
    device: Device = "auto",
    truth: StrPath | None = None,
    survey: Survey | None = None,
    seed: int = 0,
    force: bool = False,
) -> ReportSummary:
    """Write the report of a run folder, a study, a demo's folder, or what `unknown` wrote.

    pack: where the pixels are; a run needs it for figures and galleries. truth: truth.csv of a simulation, for the
    selection function. survey: the prevalence that purity is stated for.
    Raises InputError when source is none of these, UsageError for an impossible survey.
    """
    output = Path(output)
    pack = None if pack is None else Path(pack)
    truth = None if truth is None else Path(truth)
    if output.exists() and not force:
        raise OutputExistsError(output)
    kind, folder = find_kind(source), Path(source)
    page: Page
    if kind == "unknown":
        page = unknown_page(folder, pack=pack)
    elif kind == "study":
        page = study_page(folder, pack=pack)
    elif kind == "demo":
        page = demo_page(folder, views=views, device=device, survey=survey, seed=seed)
    else:
        page = run_page(
            source,
            pack,
            part=part,
            stage=stage,
            views=views,
            device=device,
            survey=survey,
            lens_table=None if truth is None else read_table(truth),
            seed=seed,
        )
    size = write_page(page, output, force=force)
    return ReportSummary(output, kind, tuple(one.title for one in page.sections), size)


def write_page(page: Page, output: StrPath, *, force: bool = False) -> int:
    """Write one page; returns its size in bytes. Raises InputError for one that is too large."""
    output = Path(output)
    data = render_page(page).encode()
    if len(data) > MOST_BYTES:
        raise InputError(
            f"{output}: the report would take {len(data) / 1e6:.0f} MB, expected at most {MOST_BYTES / 1e6:.0f} MB",
            "pack smaller images with `pack --size`, whose galleries take less",
        )
    with new_file(output, force=force) as temporary:
        temporary.write_bytes(data)
    return len(data)


def find_kind(source: str | Path) -> str:
    """``run``, ``study``, ``demo`` or ``unknown``. Raises InputError."""
    folder = Path(source)
    if str(source).startswith(BUILTIN) or (folder.is_dir() and is_run(folder)):
        return "run"
    for kind, test in (("unknown", is_unknown), ("study", is_study), ("demo", is_demo)):
        if folder.is_dir() and test(folder):
            return kind
    found = "a folder with none of their files" if folder.is_dir() else "no such folder"
    raise InputError(
        f"{source}: found {found}, expected a run, a study, a demo's folder, or what `unknown` wrote",
        "give what `train`, `study`, `demo` or `unknown` wrote with -o",
    )
