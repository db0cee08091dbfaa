"""A whole simulated Space Warps in its real formats, with the truth beside it and that of the test fields sealed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from convnet_galaxies.data.click_clusters import (
    FIELD_COLUMNS,
    cut_clusters,
    measure_clusters,
)
from convnet_galaxies.data.markers import CATALOG_NAME, CUTOUTS_NAME, FIELDS_NAME, holds_cutouts
from convnet_galaxies.data.output import new_folder
from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.swap import Verdicts, expected_information_bits, state_of, status_of
from convnet_galaxies.paths import StrPath
from convnet_galaxies.simulate.libraries import require_libraries
from convnet_galaxies.simulate.space_warps_field import (
    Subject,
    draw_image,
    hex_name,
    kind_of,
    leaves_field,
    save_image,
)
from convnet_galaxies.simulate.space_warps_showings import Pools, Showing, choose_showings, gather, plan_rows
from convnet_galaxies.workers import RunInWorkers, worker_pool

MARKERS_NAME = "markers.csv"
TRUTH_NAME = "truth.csv"
SEALED_NAME = "sealed/test_truth.csv"
FIELDS_FOLDER = "fields"

README = """A simulated Space Warps: everything in it is drawn, nothing is of the sky.

cluster_catalog.csv   one row per cutout, with the columns of the published catalogue
cutouts_good/         the cutouts, 96 px PNG, <object_id>_<ZooID>.png; zeros where they leave their field
fields/               the fields, PNG: RGBA for training fields, where only the painted features are opaque (255) and
                      the rest a hair less (254); RGB for test fields
fields.csv            one row per field and stage; column location names the image, which several fields may share
markers.csv           the volunteers' clicks (pixels, 0-based from the top left); skill in bits
truth.csv             the lenses of the sims
sealed/               the truth of the test cutouts (truth UNKNOWN in the catalogue): open it to judge, never to train

Split by image file (location) and by ZooID together, across both stages: stage 2 shows sims of stage 1 again, and
most of its duds are the image of a test field under another ZooID.
The clicks made {found} clusters, of which {rows} are in the catalogue, chosen to meet the published proportions.
`convnet-galaxies cutouts fields markers.csv` cuts them all.
"""


@dataclass(frozen=True)
class SpaceWarpsSummary:
    """The written folder, and the numbers of catalogue rows, field images and clicks."""

    output: Path
    cutouts: int
    fields: int
    clicks: int


def simulate_space_warps(
    output: StrPath,
    *,
    number: int,
    seed: int,
    workers: int | None = None,
    unknown_prevalence: float = 0.03,
    progress: Callable[[int, int], None] | None = None,
    force: bool = False,
) -> SpaceWarpsSummary:
    """Write a data set of ``number`` cutouts into the folder output; README.txt in it lists the files.

    The proportions are those of the published catalogue (space_warps_showings). The same arguments give the same
    bytes for any number of workers (processes; None takes one for each core).
    unknown_prevalence: fraction of the test cutouts that show a lens; these lenses differ a little from the sims.
    progress: called with the fields shown and drawn so far and those expected in all.
    Raises InputError for numbers that cannot be met, OutputExistsError without force.
    """
    output = Path(output)
    require_libraries()
    wanted = plan_rows(number, unknown_prevalence=unknown_prevalence)
    workers = workers or os.cpu_count() or 1
    if workers < 1:
        raise InputError(f"simulate space-warps: found {workers} workers, expected at least 1", "pass --workers 1")
    with (
        new_folder(Path(output), force=force, is_ours=_is_ours) as folder,
        worker_pool(workers, modules=["torch", __name__]) as run,
    ):
        (folder / FIELDS_FOLDER).mkdir()
        counted = _counted(run, progress, expected=round(0.9 * number))
        showings, verdicts = gather(Pools(seed, counted), wanted)
        cells = [cell for showing in showings for cell in showing.cells]
        centres = np.concatenate([showing.subject.clusters for showing in showings])
        taken = choose_showings(np.random.default_rng([seed, 1 << 23]), cells, leaves_field(centres), wanted)
        table = _list_showings(seed, showings, taken, verdicts)
        clicks = _list_clicks(table, verdicts)
        catalog = _cut(folder, seed, table, clicks, counted)
        _write_tables(folder, catalog, table, clicks)
        (folder / "README.txt").write_text(README.format(found=len(cells), rows=len(catalog)))
    return SpaceWarpsSummary(Path(output), len(catalog), table["location"].nunique(), len(clicks))


def _counted(run: RunInWorkers, progress: Callable[[int, int], None] | None, expected: int) -> RunInWorkers:
    """Return the same map, which reports each result."""
    done = 0

    def mapped(function: Callable[[Any], Any], arguments: Any) -> Any:
        nonlocal done
        for result in run(function, arguments):
            done += 1
            if progress is not None:
                progress(done, max(done, expected))
            yield result

    return mapped


def _list_showings(
    seed: int, showings: list[Showing], taken: np.ndarray, verdicts: dict[int, Verdicts]
) -> pd.DataFrame:
    """One row a showing with a cutout: FIELD_COLUMNS, people_looking_at_field, the Showing, where its looks begin in
    the verdicts, and which of its clusters are taken. Sorted by stage and ZooID, which tells nothing."""
    names = _name_fields(seed, showings)
    first_row, first_look, rows = 0, {1: 0, 2: 0}, []
    counts = {stage: iter(verdicts[stage].probability.tolist()) for stage in verdicts}
    for showing in showings:
        subject, probability = showing.subject, next(counts[showing.stage])
        chosen = taken[first_row : first_row + len(subject.clusters)]
        if chosen.any():
            rows.append(
                {
                    "ID": hex_name(seed, subject.pool, subject.index, f"ID {showing.recycled}"),
                    "ZooID": names[showing.key],
                    "location": f"{FIELDS_FOLDER}/{subject.image}",
                    "mean_probability": probability,
                    "category": "test" if showing.kind == "test" else "training",
                    "kind": showing.kind,
                    "flavor": showing.flavor,
                    "state": state_of(probability, showing.kind),
                    "status": status_of(probability),
                    "truth": {"sim": "LENS", "dud": "NOT", "test": "UNKNOWN"}[showing.kind],
                    "stage": showing.stage,
                    "people_looking_at_field": len(subject.looks.lookers),
                    "showing": showing,
                    "first_look": first_look[showing.stage],
                    "chosen": chosen,
                }
            )
        first_row += len(chosen)
        first_look[showing.stage] += len(subject.looks.lookers)
    return pd.DataFrame(rows).sort_values(["stage", "ZooID"], ignore_index=True)


def _list_clicks(table: pd.DataFrame, verdicts: dict[int, Verdicts]) -> pd.DataFrame:
    """Return the clicks on all listed showings: row (of the table), stage, ZooID, volunteer, x, y, skill."""
    skill = {stage: expected_information_bits(one.pl, one.pd) for stage, one in verdicts.items()}
    parts = []
    for row, (showing, zoo_id, start) in enumerate(
        zip(table["showing"], table["ZooID"], table["first_look"], strict=True)
    ):
        looks = showing.subject.looks
        order = np.argsort(looks.lookers)
        look = order[np.searchsorted(looks.lookers[order], looks.volunteer)]
        columns = {"row": row, "stage": showing.stage, "ZooID": zoo_id, "volunteer": looks.volunteer}
        place = {"x": looks.x_px, "y": looks.y_px, "skill": skill[showing.stage][start + look].round(6)}
        parts.append(pd.DataFrame({**columns, **place}))
    clicks = pd.concat(parts, ignore_index=True)
    return clicks.assign(volunteer=clicks["volunteer"].map("volunteer-{:04d}".format))


def _cut(folder: Path, seed: int, table: pd.DataFrame, clicks: pd.DataFrame, run: RunInWorkers) -> pd.DataFrame:
    """Write fields and stamps, and return the catalogue with column shows_lens, which is sealed for test cutouts."""
    (folder / CUTOUTS_NAME).mkdir()
    ends = np.cumsum([int(chosen.sum()) for chosen in table["chosen"]])
    own_clicks = dict(iter(clicks.groupby("row")))
    fields = table[[*FIELD_COLUMNS, "people_looking_at_field"]]
    tasks: dict[str, list[_Cut]] = {}
    for row, location in enumerate(table["location"]):
        showing, chosen = table["showing"].iloc[row], table["chosen"].iloc[row]
        cut = _Cut(row, showing.subject, own_clicks[row], fields.iloc[row], chosen, int(ends[row]))
        tasks.setdefault(location, []).append(cut)
    found = {row: rows for parts in run(partial(_cut_image, folder, seed), tasks.values()) for row, rows in parts}
    catalog = pd.concat([found[row] for row in range(len(table))], ignore_index=True)
    shows = [
        showing.subject.shows_lens[chosen] for showing, chosen in zip(table["showing"], table["chosen"], strict=True)
    ]
    return catalog.assign(shows_lens=np.concatenate(shows))


@dataclass(frozen=True)
class _Cut:
    """Cutouts of one showing: its row in the table, its clicks, its columns of the catalogue, which of its
    clusters are taken (bool), and the number after that of its last cutout."""

    row: int
    subject: Subject
    clicks: pd.DataFrame
    field: pd.Series
    chosen: np.ndarray
    end: int


def _cut_image(folder: Path, seed: int, cuts: list[_Cut]) -> list[tuple[int, pd.DataFrame]]:
    """Draw and save one field, and cut the stamps of all its showings; rows of the table with rows of the catalogue."""
    pixels = draw_image(seed, cuts[0].subject)
    save_image(folder / FIELDS_FOLDER, cuts[0].subject, pixels)
    found = []
    for cut in cuts:
        clusters = measure_clusters(cut.clicks, cut.subject.labels)[cut.chosen].reset_index(drop=True)
        clusters["object_id"] = np.arange(cut.end - len(clusters), cut.end)
        image = pixels[..., :3] if kind_of(cut.subject.pool) == "test" else pixels
        found.append((cut.row, cut_clusters(image, clusters, cut.field, folder / CUTOUTS_NAME)))
    return found


def _write_tables(folder: Path, catalog: pd.DataFrame, fields: pd.DataFrame, clicks: pd.DataFrame) -> None:
    def write(table: pd.DataFrame, name: str) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        table.to_csv(folder / name, index=False, lineterminator="\n")

    write(catalog.drop(columns="shows_lens"), CATALOG_NAME)
    write(fields[[*FIELD_COLUMNS, "people_looking_at_field"]], FIELDS_NAME)
    write(clicks.drop(columns="row"), MARKERS_NAME)
    lenses = pd.DataFrame(
        [
            {"ZooID": zoo_id, "location": location, "kind": showing.kind, **showing.subject.truth}
            for zoo_id, location, showing in zip(fields["ZooID"], fields["location"], fields["showing"], strict=True)
            if showing.subject.truth is not None
        ]
    ).drop_duplicates("ZooID")
    write(lenses[lenses["kind"] == "sim"].drop(columns="kind"), TRUTH_NAME)
    sealed = catalog.loc[catalog["truth"] == "UNKNOWN", ["cutoutname", "ZooID", "x", "y", "shows_lens"]]
    hidden = lenses[lenses["kind"] == "test"].drop(columns=["kind", "location"])
    write(sealed.merge(hidden, on="ZooID", how="left"), SEALED_NAME)


def _name_fields(seed: int, showings: list[Showing]) -> dict[tuple[str, int, bool], str]:
    """A ZooID for each key. Numbers are dealt at random; those of recycled duds are the last."""
    keys = list(dict.fromkeys(showing.key for showing in showings))
    order = np.random.default_rng([seed, 1 << 24]).permutation(len(keys))
    shuffled = sorted((keys[i] for i in order), key=lambda key: key[2])
    return {key: f"ASW{_base36(36**3 + number)}" for number, key in enumerate(shuffled)}


def _base36(number: int) -> str:
    return np.base_repr(number, 36).lower().zfill(7)


def _is_ours(folder: Path) -> bool:
    return holds_cutouts(folder) and (folder / TRUTH_NAME).is_file()
