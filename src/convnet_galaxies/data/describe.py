"""Says what a data set, a pack or a table is, whether it is sound, and its counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from convnet_galaxies.blocks import Table
from convnet_galaxies.data.catalog_values import count_tables
from convnet_galaxies.data.fits_image import list_hdus
from convnet_galaxies.data.galaxy_zoo import SOLUTIONS, TEST, TRAINING, read_galaxy_zoo
from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.image_files import find_images, is_image, visible_members
from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.image_sample import sample_images
from convnet_galaxies.data.pack import DESCRIPTION, read_pack, summarise_pack, verify_pack
from convnet_galaxies.data.panoptes.blocks import is_export
from convnet_galaxies.data.panoptes.describe_export import describe_export
from convnet_galaxies.data.records import Records
from convnet_galaxies.data.space_warps import read_space_warps
from convnet_galaxies.data.table_notes import table_remarks
from convnet_galaxies.data.tables import is_table, pick_tables, read_table
from convnet_galaxies.data.vote_table import check_tree, read_votes
from convnet_galaxies.data.vote_tree import find_votes
from convnet_galaxies.decision_tree import KAGGLE, VOTE_COLUMNS, DecisionTree
from convnet_galaxies.errors import UsageError
from convnet_galaxies.paths import name_some, require_path, visible_names


@dataclass(frozen=True)
class Description:
    """Result of describing a source.

    title: the sources; kind: ``pack``, ``galaxy-zoo``, ``space-warps``, ``images``, ``table`` or
    ``classification export`` (of Zooniverse).
    lines: facts, one sentence each; tables: counts; problems: what is not sound, one sentence each.
    """

    title: str
    kind: str
    lines: tuple[str, ...]
    tables: tuple[Table, ...] = ()
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, texts and numbers, ready for JSON."""
        return asdict(self)


def describe(*sources: Path, verify: bool = False) -> Description:
    """Describe a pack, a Galaxy Zoo or Space Warps data set, images, or a table.

    sources: one path, or images and their table in any order. verify: compare a pack with its hashes.
    Raises InputError when a source does not exist or
    cannot be read at all; what is wrong with single rows and images is among the problems.
    """
    if not 1 <= len(sources) <= 2:
        raise UsageError(
            f"describe: found {len(sources)} sources, expected one, or images and their table", "give fewer"
        )
    for source in sources:
        require_path(source)
    tables = [source for source in sources if _holds_table(source)]
    images = [source for source in sources if source not in tables]
    if len(tables) > 1 or len(images) > 1:
        raise UsageError("describe: found two sources of one kind, expected images and their table", "give one by one")
    if tables and not images and is_export(tables[0]):
        lines, counts = describe_export(tables[0])
        described = Description("", "classification export", tuple(lines), tuple(counts))
    elif tables:
        described = _describe_table(tables[0], images[0] if images else None)
    elif (images[0] / DESCRIPTION).is_file():
        described = _describe_pack(images[0], verify=verify)
    else:
        described = _describe_images(images[0])
    return replace(described, title=" and ".join(map(str, sources)))


def render_description(description: Description) -> str:
    """Render the description as plain text, tables in aligned columns."""
    blocks = [f"{description.title}: {description.kind}", "\n".join(f"  {line}" for line in description.lines)]
    blocks += ["\n".join(table.lines()) for table in description.tables]
    if description.problems:
        blocks.append("Problems\n" + "\n".join(f"  {problem}" for problem in description.problems))
    else:
        blocks.append("No problems found")
    return "\n\n".join(block for block in blocks if block)


def _holds_table(source: Path) -> bool:
    if source.is_dir():
        return False
    if source.suffix.lower() == ".zip":
        members = visible_members(source)
        return bool(pick_tables(members)) and not any(is_image(name) for name in members)
    return is_table(source) and not (is_image(source.name) and _is_fits_image(source))


def _is_fits_image(source: Path) -> bool:
    """A FITS file may hold images and tables: it is what its first data are."""
    kinds = [kind for kind in list_hdus(source.read_bytes(), str(source)) if kind != "empty"]
    return not kinds or kinds[0] == "image"


def _describe_pack(path: Path, *, verify: bool) -> Description:
    pack = read_pack(path)
    n, h, w, bands = pack.images.shape
    lines = [
        f"{n:,} images of {w} x {h} px, {bands} bands ({pack.images.nbytes / 1e6:,.0f} MB), made of {pack.preprocess}",
        _line_on_groups(pack.table, pack.link_columns),
    ]
    tables, problems, more = _count_labels(pack.table)
    summary = summarise_pack(path)
    more += [*(f"when packed: {text}" for text in summary.warnings), *summary.facts]
    if summary.skipped:
        more.append(f"{len(summary.skipped):,} images were left out: {name_some(summary.skipped)}")
    if verify:
        faults, compared = verify_pack(path)
        problems += faults
        more.append(
            f"{compared} files compared with their hashes" if compared else "a pack of before, which has no hashes"
        )
    return Description("", "pack", (*lines, f"kind of data: {pack.kind}", *more), tuple(tables), tuple(problems))


def _describe_table(path: Path, images: Path | None) -> Description:
    frame = read_table(path)
    names = {name.lower() for name in frame}
    if len(set(frame) & set(VOTE_COLUMNS)) > len(VOTE_COLUMNS) / 2 and "GalaxyID" in frame:
        if images is not None:
            return _describe_records(read_galaxy_zoo(images, path, skip_bad=True))
        tables, problems, lines = _count_labels(read_votes(path))
        return Description(
            "",
            "galaxy-zoo",
            (f"votes for {len(frame):,} galaxies", *lines, *table_remarks(frame)),
            tuple(tables),
            tuple(problems),
        )
    if {"truth", "alpha"} <= names:
        return _describe_records(read_space_warps(path, images, skip_bad=True))
    if images is not None:
        return _describe_records(read_image_folder(images, path, skip_bad=True))
    rows = tuple((name, _kind_of(frame[name]), int(frame[name].isna().sum()), _range_of(frame[name])) for name in frame)
    table = Table("columns", ("column", "kind", "missing", "values"), rows)
    about = (f"{len(frame):,} rows and {len(frame.columns)} columns", *table_remarks(frame))
    return Description("", "table", about, (table,))


def _describe_images(path: Path) -> Description:
    names = visible_names(path) if path.is_dir() else []
    if any(name.lower().startswith("cluster_catalog") for name in names):
        return _describe_records(read_space_warps(path, skip_bad=True))
    is_zoo = [name for name in (path.name, *names) if TRAINING.match(name) or TEST.match(name) or SOLUTIONS.match(name)]
    if is_zoo:
        return _describe_records(read_galaxy_zoo(path, skip_bad=True))
    listing = find_images(path)
    lines, problems = _sample(listing.files)
    if listing.passed_over and not listing.remarks:
        lines.append(listing.sentence())
    return Description(
        "", "images", (f"{len(listing.files):,} images", *listing.joined, *lines), (), (*listing.remarks, *problems)
    )


def _describe_records(records: Records) -> Description:
    lines = [f"{len(records):,} {'rows' if records.files is None else 'images'}"]
    lines.append(_line_on_groups(records.table, records.link_columns))
    tables, problems, more = _count_labels(records.table)
    problems += [remark for remark in records.remarks if "left out" in remark or "passed over" in remark]
    more += [remark for remark in records.remarks if remark not in problems]
    if records.files is None:
        more.append("the images were not given")
    else:
        about, faults = _sample(records.files)
        more += about
        problems += faults
    return Description("", records.kind, (*lines, *more), tuple(tables), tuple(problems))


def _sample(files: Sequence[ImageFile]) -> tuple[list[str], list[str]]:
    sample = sample_images(files)
    lines = [f"{sample.looked_at:,} of {sample.total:,} images decoded to look at them:"]
    lines += [f"  {count:,} {form}" for form, count in sample.forms[:5]]
    if len(sample.forms) > 5:
        lines.append(f"  and {len(sample.forms) - 5:,} other forms")
    if sample.facts:
        lines.append("of the linear images (FITS, 16 bits):")
        lines += [f"  {count:,}: {text}" for text, count in sample.facts[:12]]
    if sample.with_holes:
        lines.append(
            f"found {sample.missing_pixels:,} pixels that are NaN, blank, masked or padded in {sample.with_holes:,} of "
            "these, to be filled with the sky of their band"
        )
    if sample.with_alpha:
        lines.append(f"{sample.with_alpha:,} of these have an alpha channel, which is never used as input")
    return lines, list(sample.faults)


def _line_on_groups(table: pd.DataFrame, links: tuple[str, ...]) -> str:
    sizes = table["group"].value_counts()
    by = f" linked by {', '.join(links)}" if links else ""
    return f"{len(sizes):,} groups{by}, which no split divides; the largest has {int(sizes.iloc[0]):,}"


def _count_labels(table: pd.DataFrame) -> tuple[list[Table], list[str], list[str]]:
    """Tables, problems and lines on whatever labels a table has."""
    tables: list[Table] = []
    problems: list[str] = []
    lines: list[str] = []
    votes_of = find_votes(table)
    if votes_of is not None and set(votes_of.tree.columns) <= set(table):
        votes = votes_of.read(table)
        if votes_of.tree != KAGGLE:
            lines.append(f"votes as {votes_of.kind}, of the tree {votes_of.tree}")
        if votes_of.kind == "counts":
            return [_count_votes(votes, votes_of.tree)], problems, lines
        tree = check_tree(votes[np.isfinite(votes).all(axis=1)], tree=votes_of.tree)
        rows = zip(votes_of.tree.questions, tree.broken_rows, tree.largest_deviation, strict=True)
        tables.append(
            Table(
                f"sums of the tree over {tree.rows:,} rows",
                ("question", "asks", f"rows beyond {tree.tolerance:g}", "largest deviation"),
                tuple((number, question.text, *counted) for number, (question, *counted) in enumerate(rows, 1)),
            )
        )
        (lines if tree.is_sound else problems).append(str(tree))
    names = {name.lower() for name in table}
    if {"truth", "alpha"} <= names and "lens" in names:
        tables += [_as_count_table(title, frame) for title, frame in count_tables(table).items()]
    else:
        for column in ("lens", "flavor_label"):
            if column in table:
                counts = table[column].astype("object").fillna("unknown").value_counts()
                found = tuple((str(value), int(count)) for value, count in counts.items())
                tables.append(Table(column, ("value", "count"), found))
    return tables, problems, lines


def _count_votes(counts: np.ndarray, tree: DecisionTree) -> Table:
    rows = []
    for question, part in zip(tree.questions, tree.slices, strict=True):
        votes = np.nansum(counts[:, part], axis=1)
        asked = votes > 0
        rows.append(
            (question.name, question.text, int(asked.sum()), float(np.median(votes[asked])) if asked.any() else 0.0)
        )
    return Table("votes by question", ("question", "asks", "images with votes", "median votes"), tuple(rows))


def _as_count_table(title: str, frame: pd.DataFrame) -> Table:
    rows = tuple(
        tuple(None if pd.isna(cell) else cell.item() if isinstance(cell, np.generic) else cell for cell in row)
        for row in frame.itertuples(index=False, name=None)
    )
    return Table(title, tuple(frame.columns), rows)


def _kind_of(values: pd.Series) -> str:
    if pd.api.types.is_bool_dtype(values):
        return "true or false"
    if pd.api.types.is_integer_dtype(values):
        return "whole number"
    return "number" if pd.api.types.is_numeric_dtype(values) else "text"


def _range_of(values: pd.Series) -> str:
    present = values.dropna()
    if not len(present):
        return "all missing"
    if pd.api.types.is_integer_dtype(values):
        return f"{present.min()} to {present.max()}"
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return f"{present.min():g} to {present.max():g}"
    return f"{present.nunique():,} different, e.g. {present.iloc[0]}"
