"""describe and pack: describe data, and decode its pixels once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convnet_galaxies.blocks import without_controls
from convnet_galaxies.cli.options import (
    BlueFirst,
    Force,
    HduOption,
    Json,
    Limit,
    Missing,
    PackOutput,
    Quiet,
    SkipBad,
    Workers,
    ZeroPointOption,
    progress_bar,
    refuse_options,
    remark,
    show_json,
)
from convnet_galaxies.data.default_pixels import STAMP_PX, ZOO_CROP_PX, ZOO_SIZE_PX, default_preprocess

pack_app = typer.Typer(no_args_is_help=True, help="Decode images once into a pack, which training reads at full speed.")

Crop = Annotated[int | None, typer.Option(min=1, help="Side in pixels of the central square to keep.")]
Size = Annotated[int, typer.Option(min=16, help="Side in pixels to which the square is shrunk.")]
Like = Annotated[
    str | None,
    typer.Option(
        metavar="RUN",
        help="Preprocess as for this run (a folder or builtin:NAME): its crop, size, bands, pixel scale and stretch "
        "replace the options given here.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.command()(describe)
    app.add_typer(pack_app, name="pack")


def describe(
    sources: Annotated[
        list[Path],
        typer.Argument(
            help="Kaggle zips, a Space Warps catalogue, a pack, a run, builtin:NAME, images, a table, or "
            "an export of Zooniverse."
        ),
    ],
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare all bytes of a pack with the hashes that were stored with it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Describe any data set, pack, run or table: contents, counts, and problems.

    The weights of runs are always compared with their hash.

    Example: `convnet-galaxies describe cluster_catalog.csv`
    """
    from convnet_galaxies.data.describe import describe as describe_data
    from convnet_galaxies.data.describe import render_description
    from convnet_galaxies.runs.folder import BUILTIN, is_run

    if len(sources) == 1 and (str(sources[0]).startswith(BUILTIN) or is_run(sources[0])):
        from convnet_galaxies.runs.describe import describe_run  # brings torch along

        description = describe_run(sources[0])
    else:
        description = describe_data(*sources, verify=verify)
    show_json(description) if as_json else typer.echo(without_controls(render_description(description)))


@pack_app.command("galaxy-zoo")
def pack_galaxy_zoo(
    context: typer.Context,
    images: Annotated[
        Path, typer.Argument(help="images_training_rev1.zip, its folder, or a folder that holds everything.")
    ],
    solutions: Annotated[
        Path | None, typer.Argument(help="training_solutions_rev1.zip or .csv; none for the test set.")
    ] = None,
    output: PackOutput = ...,  # type: ignore[assignment]
    crop: Crop = ZOO_CROP_PX,
    size: Size = ZOO_SIZE_PX,
    like: Like = None,
    limit: Limit = None,
    workers: Workers = None,
    skip_bad: SkipBad = False,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Pack the Kaggle Galaxy Challenge as downloaded.

    Example: `convnet-galaxies pack galaxy-zoo images_training_rev1.zip training_solutions_rev1.zip -o zoo.pack`
    """
    from convnet_galaxies.data.galaxy_zoo import read_galaxy_zoo

    records = read_galaxy_zoo(images, solutions, skip_bad=skip_bad)
    own = default_preprocess(records, crop_px=crop, size_px=size)
    preprocess, window_px = _like(context, like) or (own, None)
    _pack(records, preprocess, output, limit, workers, skip_bad, force, quiet, as_json, None, window_px)


@pack_app.command("space-warps")
def pack_space_warps(
    context: typer.Context,
    catalog: Annotated[
        Path, typer.Argument(help="Catalogue CSV, or a folder with cluster_catalog.csv and cutouts_good/.")
    ],
    cutouts: Annotated[Path | None, typer.Argument(help="Folder or zip of the cutouts.")] = None,
    output: PackOutput = ...,  # type: ignore[assignment]
    crop: Crop = STAMP_PX,
    size: Size = STAMP_PX,
    like: Like = None,
    limit: Limit = None,
    workers: Workers = None,
    skip_bad: SkipBad = False,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Pack a Space Warps catalogue and its cutouts.

    A cutout is labelled a lens only if truth is LENS and alpha is 1. The alpha channel itself is never read.

    Example: `convnet-galaxies pack space-warps cluster_catalog.csv cutouts_good -o lenses.pack`
    """
    from convnet_galaxies.data.space_warps import read_space_warps

    records = read_space_warps(catalog, cutouts, skip_bad=skip_bad)
    own = default_preprocess(records, crop_px=crop, size_px=size)
    preprocess, window_px = _like(context, like) or (own, None)
    _pack(records, preprocess, output, limit, workers, skip_bad, force, quiet, as_json, None, window_px)


@pack_app.command("images")
def pack_images(
    context: typer.Context,
    images: Annotated[Path, typer.Argument(help="Folder or zip of pictures (JPEG, PNG, TIFF, WebP) or FITS images.")],
    table: Annotated[Path | None, typer.Argument(help="Labels: CSV, Parquet, FITS or VOTable.")] = None,
    output: PackOutput = ...,  # type: ignore[assignment]
    label: Annotated[str | None, typer.Option(help="Column to learn: 0 and 1, or names.")] = None,
    group: Annotated[
        str | None, typer.Option(help="Column of groups: images with equal values stay on one side of a split.")
    ] = None,
    crop: Crop = None,
    size: Size = STAMP_PX,
    bands: Annotated[
        str,
        typer.Option(
            metavar="N|B,...",
            help="Number of bands per image; or the bands to use, or the bands of its planes: names (i,r,g), "
            "extensions, or numbers from 1.",
        ),
    ] = "3",
    pixel_scale: Annotated[
        float | None, typer.Option(help="Arcsec per pixel; default: that of the FITS headers.")
    ] = None,
    zero_point: ZeroPointOption = None,
    blue_first: BlueFirst = False,
    hdu: HduOption = None,
    missing: Missing = 0.1,
    like: Like = None,
    limit: Limit = None,
    workers: Workers = None,
    skip_bad: SkipBad = False,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Pack your own images, with a table of labels if you have one.

    Example: `convnet-galaxies pack images cutouts/ labels.csv --label is_lens --group field -o mine.pack`
    """
    from convnet_galaxies.data.image_folder import read_image_folder
    from convnet_galaxies.data.reading import ReadOptions, read_bands_option, split_option

    records = read_image_folder(images, table, label=label, group=group, skip_bad=skip_bad)
    names = None if bands.isdigit() else split_option(bands)
    own = _like(context, like, pixel_scale)
    if own is None:
        number = int(bands) if names is None else len(names)
        chosen = {"crop_px": crop, "size_px": size, "bands": number}
        own = (
            default_preprocess(records, pixel_scale_arcsec=pixel_scale, hdus=split_option(hdu), **chosen),
            None,
        )
    preprocess, window_px = own
    if names is None and int(bands) != preprocess.bands:
        refuse_options(context, "bands", because=f"--like takes {preprocess.bands} bands from {like}")
    planes = None if names is None else read_bands_option(bands, preprocess.bands)
    reading = ReadOptions(pixel_scale, blue_first, zero_point, planes, split_option(hdu), missing)
    _pack(records, preprocess, output, limit, workers, skip_bad, force, quiet, as_json, reading, window_px)


@pack_app.command("votes")
def pack_votes(
    context: typer.Context,
    images: Annotated[Path, typer.Argument(help="Folder or zip of pictures (JPEG, PNG, TIFF, WebP) or FITS images.")],
    table: Annotated[Path, typer.Argument(help="Catalogue of votes: CSV, Parquet, FITS or VOTable.")],
    tree: Annotated[
        list[str],
        typer.Option(
            help="Decision tree: its name, such as desi or euclid, or a TOML or JSON file; repeated for several "
            "campaigns in one table."
        ),
    ],
    output: PackOutput = ...,  # type: ignore[assignment]
    campaign: Annotated[
        str | None, typer.Option(help="Campaign whose columns are read, such as dr5 of bar-dr5_yes.")
    ] = None,
    crop: Crop = None,
    size: Size = STAMP_PX,
    like: Like = None,
    limit: Limit = None,
    workers: Workers = None,
    skip_bad: SkipBad = False,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Pack images with the votes of any Galaxy Zoo.

    Columns are question_answer. Counts of votes are preferred to fractions.

    Example: `convnet-galaxies pack votes cutouts/ gz_decals.parquet --tree decals-dr5 -o decals.pack`
    """
    from convnet_galaxies.data.vote_counts import read_vote_counts
    from convnet_galaxies.decision_tree import read_tree

    trees = [read_tree(one) for one in tree]
    records = read_vote_counts(images, table, trees, campaign=campaign, skip_bad=skip_bad)
    own = default_preprocess(records, crop_px=crop, size_px=size)
    preprocess, window_px = _like(context, like) or (own, None)
    _pack(records, preprocess, output, limit, workers, skip_bad, force, quiet, as_json, None, window_px)


def _like(  # type: ignore[no-untyped-def]
    context: typer.Context, run: str | None, pixel_scale_arcsec: float | None = None
):
    """Return the Preprocess of a run and the function for the side of its input square; None without a run."""
    if run is None:
        return None
    refuse_options(context, "crop", "size", because=f"--like takes them from {run}")
    from convnet_galaxies.data.input_notes import require_scale
    from convnet_galaxies.runs.card import read_card

    card = read_card(run)
    require_scale(pixel_scale_arcsec, card.preprocess)
    return card.preprocess, card.window_px


def _pack(  # type: ignore[no-untyped-def]
    records, preprocess, output, limit, workers, skip_bad, force, quiet, as_json, reading=None, window_px=None
) -> None:
    import numpy as np

    from convnet_galaxies.data.pack import write_pack

    if limit is not None and limit < len(records):
        records = records.select(np.arange(limit))
    with progress_bar("Packing", quiet=quiet) as update:
        summary = write_pack(
            records,
            preprocess,
            output,
            force=force,
            skip_bad=skip_bad,
            workers=workers,
            reading=reading,
            window_px=window_px,
            progress=update,
        )
    warnings = [f"Warning: {text}" for text in summary.warnings]
    for text in (*summary.remarks, *warnings, *summary.facts, *(f"left out: {text}" for text in summary.skipped)):
        remark(text, quiet=quiet)
    if as_json:
        show_json(summary)
    elif summary.unchanged:
        typer.echo(f"{summary.path}: nothing changed, {summary.images:,} images as before")
    else:
        h, w, bands = summary.shape
        size = f"{h} x {w} px, {bands} bands, {summary.size_bytes / 1e6:,.0f} MB"
        typer.echo(f"{summary.path}: {summary.images:,} images of {size}")
