"""Subject sets for Zooniverse: small pictures and manifests, with training images among them that nothing gives away.

What is real, simulated, a dud or known stands in a file of our own, which is not uploaded. All pictures are made in the
same way (bands, stretch, form, no alpha channel) and named by numbers that are dealt at random.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from PIL import Image

from convnet_galaxies.data.output import new_folder
from convnet_galaxies.data.tables import read_table
from convnet_galaxies.errors import BadImageError, InputError, UsageError
from convnet_galaxies.inspection.choice import read_columns
from convnet_galaxies.inspection.open_source import open_source
from convnet_galaxies.inspection.render import render, resize
from convnet_galaxies.inspection.sources import Source
from convnet_galaxies.paths import StrPath, name_some, require_path

Kind = Literal["simulated", "dud", "known"]
Form = Literal["jpeg", "png"]

IS_LENS: dict[str, int] = {"simulated": 1, "dud": 0, "known": 1}
CANDIDATE = "candidate"
MOST_BYTES = 1_000_000
MOST_PER_SET = 10_000
MANIFEST_NAME, KEY_NAME, README_NAME = "manifest.csv", "key.csv", "README.txt"
HIDDEN_ID = "#id"
"""Metadata whose name begins with # are not shown to volunteers."""

_QUALITIES = (95, 90, 85, 80, 70, 60, 50, 40)
_ENDING = {"jpeg": ".jpg", "png": ".png"}
_LEAST_TRAINING = 10

README = """Subject sets for Zooniverse.

set_1 ...      pictures and manifest.csv of each subject set; upload these
key.csv        what each subject is: kind, source, lens (1, 0, empty), place of the lens. Never upload it

With Panoptes' own client (pip install panoptescli), for each set:

    panoptes configure
    panoptes subject-set create PROJECT_ID "set 1"
    panoptes subject-set upload-subjects SUBJECT_SET_ID set_1/manifest.csv
    panoptes workflow add-subject-sets WORKFLOW_ID SUBJECT_SET_ID

When the classifications are there:

    convnet-galaxies zooniverse weigh classifications.csv --id id --truth key.csv --question T0 -o crowd.csv
"""


@dataclass(frozen=True)
class SubjectSets:
    """What was written: the folder, subjects, sets, and numbers by kind. remarks: what should be known."""

    output: Path
    subjects: int
    sets: int
    kinds: dict[str, int]
    remarks: tuple[str, ...]


def write_subject_sets(
    source: StrPath,
    output: StrPath,
    *,
    images: StrPath | None = None,
    top: int | None = None,
    mixed: Mapping[Kind, tuple[StrPath, float]] | None = None,
    form: Form = "jpeg",
    side_px: int | None = None,
    per_set: int = MOST_PER_SET,
    seed: int = 0,
    skip_bad: bool = False,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> SubjectSets:
    """Write pictures and manifests of subject sets into the folder output.

    source, images: candidates, see inspection.sources.open_source: a folder or zip of images, a pack, the folder of a
    scan, or a table with the folder of its images. top: only so many of the best, by the column rank or
    lens_probability. mixed: by kind, a source of images and their share among all subjects; the output of
    `simulate injected-lenses` also gives the places of lenses. Each image is shown once. side_px: of the pictures, by
    default that of the images. per_set: most subjects of a set.
    Raises InputError for images that are missing or damaged (unless skip_bad) or above 1 MB as PNG, UsageError for
    shares that leave no candidates, and for top of candidates that have no rank.
    """
    mixed = dict(mixed or {})
    _check_shares({kind: share for kind, (_, share) in mixed.items()}, per_set)
    sources: dict[str, Source] = {CANDIDATE: open_source(source, images=images)}
    places: dict[str, pd.DataFrame | None] = {CANDIDATE: None}
    shares: dict[str, float] = {}
    for kind, (path, share) in mixed.items():
        sources[kind], places[kind] = _open_mixed(Path(path))
        shares[kind] = share
    remarks: list[str] = []
    rng = np.random.default_rng([seed, 1 << 27])
    chosen = _choose(sources, shares, top, rng, remarks, skip_bad=skip_bad)
    dealt = enumerate(_deal(chosen, -(-len(chosen) // per_set), rng), start=1)
    # In the order of their sources, so that each tile of a scan is opened once; names are dealt.
    order = sorted(((*subject, name) for name, subject in dealt), key=lambda one: (list(sources).index(one[0]), one[1]))
    written: list[dict[str, object]] = []
    sizes: dict[str, set[tuple[int, ...]]] = {}
    with new_folder(Path(output), force=force, is_ours=_is_ours) as folder:
        for done, (one, row, number, dealt_as) in enumerate(order, start=1):
            name, own = f"subject-{dealt_as:06d}", str(sources[one].table["id"].iloc[row])
            file = f"set_{number}/{name}{_ENDING[form]}"
            try:
                image = sources[one].image(row)
                whole = render(image)
                picture = whole if side_px is None else resize(whole, side_px)
                data = encode_picture(picture, form, where=f"{sources[one].name}, {own}")
            except BadImageError as error:
                if not skip_bad:
                    raise
                remarks.append(f"left out: {error.message}")
                continue
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_bytes(data)
            sizes.setdefault(one, set()).add(picture.shape)
            x_px, y_px = _find_place(places[one], own, whole.shape[:2], side_px, image.rows_from_bottom)
            where = own if one == CANDIDATE else f"{one}/{own}"
            written.append({"id": name, "source_id": where, "kind": one, "lens": IS_LENS.get(one)})
            written[-1] |= {"x_px": x_px, "y_px": y_px, "set": number, "file": file}
            if progress is not None:
                progress(done, len(order))
        if not written:
            raise InputError(f"{source}: found no image that can be read, expected some", "give other images")
        key = pd.DataFrame(written).astype({"lens": "Int64"}).sort_values("id", ignore_index=True)
        _write_tables(folder, key)
    if len({frozenset(found) for found in sizes.values()}) > 1:
        remarks.append("pictures of the kinds differ in size, which may give training images away: pass --side")
    kinds = {str(kind): int(number) for kind, number in key["kind"].value_counts().items()}
    return SubjectSets(Path(output), len(key), int(key["set"].nunique()), kinds, tuple(remarks))


def encode_picture(pixels: np.ndarray, form: Form, *, where: str = "picture", most_bytes: int = MOST_BYTES) -> bytes:
    """Encode uint8 [h, w, 3] in less than most_bytes: JPEG of the highest quality that fits, or PNG.

    Raises BadImageError where it does not fit.
    """
    image = Image.fromarray(np.ascontiguousarray(pixels))
    found = 0
    for quality in _QUALITIES if form == "jpeg" else (0,):
        buffer = io.BytesIO()
        if form == "jpeg":
            image.save(buffer, "JPEG", quality=quality, subsampling=0)
        else:
            image.save(buffer, "PNG", optimize=True)
        found = buffer.tell()
        if found < most_bytes:
            return buffer.getvalue()
    h, w = pixels.shape[:2]
    raise BadImageError(
        f"{where}: found {found:,} bytes as {form.upper()} of {w} x {h} px, expected less than {most_bytes:,}",
        "make the pictures smaller with --side" + (", or pass --form jpeg" if form == "png" else ""),
    )


def _check_shares(shares: Mapping[str, float], per_set: int) -> None:
    for kind, share in shares.items():
        if not 0 < share < 1:
            raise UsageError(f"--{kind}-share: found {share:g}, expected a fraction between 0 and 1", "give e.g. 0.05")
    if sum(shares.values()) > 0.9:
        raise UsageError(
            f"found shares of {sum(shares.values()):g} in all of what is mixed in, expected at most 0.9",
            "leave room for the candidates",
        )
    if not 1 <= per_set <= MOST_PER_SET:
        raise UsageError(
            f"--per-set: found {per_set}, expected 1 to {MOST_PER_SET:,}, the most that Zooniverse takes", "give fewer"
        )


def _open_mixed(path: Path) -> tuple[Source, pd.DataFrame | None]:
    """A source of images, and the places of lenses where it is the output of `simulate injected-lenses`."""
    truth = require_path(path) / "truth.csv"
    if not (path.is_dir() and truth.is_file() and (path / "images").is_dir()):
        return open_source(path), None
    table = read_table(truth)
    name = next((column for column in ("image", "file", "id") if column in table), None)
    if name is None or not {"x_px", "y_px"} <= set(table):
        return open_source(path / "images"), None
    stems = table[name].astype("str").map(lambda one: Path(one).stem)
    return open_source(path / "images"), table[["x_px", "y_px"]].set_index(stems)


def _choose(
    sources: Mapping[str, Source],
    shares: Mapping[str, float],
    top: int | None,
    rng: np.random.Generator,
    remarks: list[str],
    *,
    skip_bad: bool,
) -> list[tuple[str, int]]:
    """Kind and row of each subject, the candidates first."""
    chosen: list[tuple[str, int]] = []
    candidates = 0
    for kind, source in sources.items():
        remarks += [text for text in source.remarks if skip_bad or "have no image" not in text]
        absent = source.table["id"][~source.has_image].tolist()
        if absent and not skip_bad:
            raise InputError(
                f"{source.name}: found no image of {len(absent):,} of {len(source):,} rows ({name_some(absent)}), "
                "expected one of each",
                "add the images, remove the rows, or pass --skip-bad",
            )
        rows = np.flatnonzero(source.has_image)
        if kind == CANDIDATE and top is not None:
            rows = _take_best(source, rows, top)
        if kind != CANDIDATE:
            wanted = round(candidates * shares[kind] / (1 - sum(shares.values())))
            if wanted > len(rows):
                remarks.append(
                    f"{kind}: {wanted:,} are wanted for a share of {shares[kind]:g}, {len(rows):,} are there"
                )
            elif wanted < _LEAST_TRAINING:
                remarks.append(f"{kind}: only {wanted:,} for a share of {shares[kind]:g}; skills need more of them")
            rows = np.sort(rng.permutation(rows)[:wanted])
        else:
            candidates = len(rows)
        chosen += [(kind, int(row)) for row in rows]
    return chosen


def _take_best(source: Source, rows: np.ndarray, top: int) -> np.ndarray:
    """The rows (int [n]) of the best ranks, in their own order."""
    rank = read_columns(source.table, source.has_image).rank[rows]
    if not np.isfinite(rank).any():
        raise UsageError(
            f"--top: found neither rank nor lens_probability in {source.name}, expected one of them",
            "leave --top out, or give a table of predictions with --images",
        )
    best = np.argsort(rank, kind="stable")[: min(top, int(np.isfinite(rank).sum()))]
    return np.sort(rows[best])


def _deal(chosen: list[tuple[str, int]], sets: int, rng: np.random.Generator) -> list[tuple[str, int, int]]:
    """Kind, row and set of each subject in random order; each set has its share of each kind."""
    kinds = np.array([kind for kind, _ in chosen])
    set_of = np.empty(len(chosen), int)
    dealt = 0
    for kind in dict.fromkeys(kinds.tolist()):
        rows = rng.permutation(np.flatnonzero(kinds == kind))
        set_of[rows] = (dealt + np.arange(len(rows))) % sets
        dealt += len(rows)
    order = rng.permutation(len(chosen))
    order = order[np.argsort(set_of[order], kind="stable")]
    return [(*chosen[one], int(set_of[one]) + 1) for one in order.tolist()]


def _find_place(
    places: pd.DataFrame | None, own: str, shape: tuple[int, ...], side_px: int | None, from_bottom: bool
) -> tuple[float, float]:
    """Where the lens is in the picture, which render.resize made of a whole of this shape; NaN where not known."""
    if places is None or own not in places.index:
        return np.nan, np.nan
    (height, width), longer = shape, max(shape)
    x, y = (float(places.loc[own, name]) for name in ("x_px", "y_px"))
    y = height - 1 - y if from_bottom else y  # the truth counts the rows of the file
    if side_px is not None:
        scale = side_px / longer
        # Pixel centres are whole numbers; a shorter side has black margins.
        x = (x + 0.5) * scale - 0.5 + (side_px - round(width * scale)) // 2
        y = (y + 0.5) * scale - 0.5 + (side_px - round(height * scale)) // 2
    return round(x, 2), round(y, 2)


def _write_tables(folder: Path, key: pd.DataFrame) -> None:
    key.to_csv(folder / KEY_NAME, index=False, lineterminator="\n")
    for number, rows in key.groupby("set"):
        manifest = pd.DataFrame({"image": [Path(one).name for one in rows["file"]], HIDDEN_ID: rows["id"]})
        manifest.to_csv(folder / f"set_{number}" / MANIFEST_NAME, index=False, lineterminator="\n")
    (folder / README_NAME).write_text(README)


def _is_ours(folder: Path) -> bool:
    return (folder / KEY_NAME).is_file() and (folder / README_NAME).is_file()
