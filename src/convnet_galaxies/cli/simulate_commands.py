"""simulate and cutouts: data sets in their real formats, and clicks to cutouts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convnet_galaxies.cli.options import (
    Force,
    Json,
    Quiet,
    Seed,
    Workers,
    accept_old_names,
    progress_bar,
    remark,
    show_json,
)
from convnet_galaxies.errors import UsageError

simulate_app = typer.Typer(
    no_args_is_help=True, help="Simulate data in the real formats of the surveys, with a table of the truth."
)

Folder = Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.add_typer(simulate_app, name="simulate")
    app.command(cls=accept_old_names({"--fields": "--field-table"}))(cutouts)


@simulate_app.command("galaxy-zoo", cls=accept_old_names({"--test-share": "--test-fraction"}))
def galaxy_zoo(
    output: Folder,
    number: Annotated[int, typer.Option(help="Galaxies, training and test images together.")] = 2000,
    test_fraction: Annotated[float, typer.Option(help="Fraction of test images among them.")] = 0.2,
    tree: Annotated[
        str | None,
        typer.Option(help="Also write votes.csv, counts of votes on the questions of this tree (a name or a file)."),
    ] = None,
    seed: Seed = 0,
    workers: Workers = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Simulate the Galaxy Challenge: Kaggle's zips of 424 px JPEGs, and the votes of about 40 people per galaxy.

    Example: `convnet-galaxies simulate galaxy-zoo data --number 2000`
    """
    from convnet_galaxies.decision_tree import read_tree
    from convnet_galaxies.simulate.galaxy_zoo import simulate_galaxy_zoo

    chosen = None if tree is None else read_tree(tree)
    with progress_bar("Simulating galaxies", quiet=quiet) as update:
        summary = simulate_galaxy_zoo(
            output,
            number=number,
            seed=seed,
            workers=workers,
            test_fraction=test_fraction,
            tree=chosen,
            progress=update,
            force=force,
        )
    show_json(summary) if as_json else typer.echo(f"{output}: {number:,} galaxies")


@simulate_app.command("space-warps")
def space_warps(
    output: Folder,
    number: Annotated[int, typer.Option(help="Cutouts in the catalogue.")] = 2000,
    onto: Annotated[Path | None, typer.Option(hidden=True)] = None,
    unknown_prevalence: Annotated[
        float | None, typer.Option(help="Fraction of lenses among the test cutouts; default: 0.03.")
    ] = None,
    seed: Seed = 0,
    workers: Workers = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Simulate Space Warps: fields, volunteers' clicks, cutouts and their catalogue, in the published proportions.

    Example: `convnet-galaxies simulate space-warps data --number 2000`
    """
    from convnet_galaxies.simulate.space_warps import simulate_space_warps

    if onto is not None:
        if unknown_prevalence is not None or workers is not None:
            name = "--workers" if workers is not None else "--unknown-prevalence"
            raise UsageError(
                f"{name}: does not apply to --onto, which paints one lens into each field in one process",
                f"leave out {name}",
            )
        remark(
            "--onto is now the command `simulate injected-lenses FIELDS OUT`; it goes with the next release",
            quiet=quiet,
        )
        injected_lenses(onto, output, number, seed, force, quiet, as_json)
        return
    with progress_bar("Simulating fields", quiet=quiet) as update:
        summary = simulate_space_warps(
            output,
            number=number,
            seed=seed,
            workers=workers,
            unknown_prevalence=0.03 if unknown_prevalence is None else unknown_prevalence,
            progress=update,
            force=force,
        )
    show_json(summary) if as_json else typer.echo(f"{output}: {number:,} cutouts")


@simulate_app.command("injected-lenses")
def injected_lenses(
    fields: Annotated[Path, typer.Argument(help="Folder of fields (pictures or gri FITS) to paint lenses into.")],
    output: Folder,
    number: Annotated[int, typer.Option(help="Images to make, with one lens each.")] = 2000,
    seed: Seed = 0,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Inject simulated lenses into your own fields, around their red galaxies, as Space Warps did.

    Fields without room for a lens are counted by reason, and truth.csv lists the field of each lens.

    Example: `convnet-galaxies simulate injected-lenses fields data --number 200`
    """
    from convnet_galaxies.simulate.injection import inject

    with progress_bar("Painting lenses", quiet=quiet) as update:
        done = inject(fields, output, number, seed, progress=update, force=force)
    for text in done.remarks:
        remark(text, quiet=quiet)
    lenses, used = len(done.table), len(done.fields)
    if as_json:
        show_json({"fields": lenses, "different_fields": done.fields, "path": output, "remarks": done.remarks})
    else:
        typer.echo(f"{output}: {lenses:,} images with a lens each, in {used:,} different fields")


@simulate_app.command("survey", cls=accept_old_names({"--separate": "--file-per-band"}))
def survey(
    output: Folder,
    number: Annotated[int, typer.Option(help="Lenses in the survey.")] = 40,
    size: Annotated[
        int, typer.Option(min=64, help="Side of the mosaic, or of each tile, in pixels of 0.186 arcsec.")
    ] = 4096,
    file_per_band: Annotated[
        bool, typer.Option("--file-per-band", help="Write one FITS file per band instead of one cube.")
    ] = False,
    tiles: Annotated[
        str | None,
        typer.Option(help="Rows x columns of overlapping tiles, such as 3x3, each with masks and weights."),
    ] = None,
    overlap: Annotated[int | None, typer.Option(help="Pixels that neighbouring tiles share; default: 256.")] = None,
    seed: Seed = 0,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Simulate a gri FITS mosaic with WCS, noise, and lenses at known positions; memory does not grow with its size.

    With --tiles it is written as a survey: overlapping tiles with one file per band (image, mask, weight), the table
    tiles.csv, and the catalogue of their objects.

    Example: `convnet-galaxies simulate survey mosaic --number 40 --size 4096`

    Example: `convnet-galaxies simulate survey survey --tiles 3x3 --size 1024 --number 40`
    """
    from convnet_galaxies.simulate.survey import simulate_survey
    from convnet_galaxies.simulate.survey_tiles import simulate_tiles

    grid = _read_grid(tiles, overlap, file_per_band)
    with progress_bar("Simulating tiles", quiet=quiet) as update:
        if grid is None:
            truth = simulate_survey(
                output, number, seed, size_px=size, separate=file_per_band, force=force, progress=update
            )
        else:
            truth = simulate_tiles(
                output,
                number,
                seed,
                tiles=grid,
                size_px=size,
                overlap_px=256 if overlap is None else overlap,
                force=force,
                progress=update,
            )
    show_json({"path": output, "lenses": len(truth)}) if as_json else typer.echo(f"{output}: {len(truth):,} lenses")


def _read_grid(text: str | None, overlap: int | None, file_per_band: bool) -> tuple[int, int] | None:
    if text is None:
        if overlap is not None:
            raise UsageError("--overlap: does not apply to one mosaic", "add --tiles 3x3, or leave out --overlap")
        return None
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and 0 < int(part) <= 100 for part in parts):
        raise UsageError(f"--tiles: found {text!r}, expected rows x columns, each from 1 to 100", "give e.g. 3x3")
    if file_per_band:
        raise UsageError("--file-per-band: tiles have a file per band anyway", "leave out --file-per-band")
    return int(parts[0]), int(parts[1])


@simulate_app.command("zooniverse")
def zooniverse(
    output: Folder,
    number: Annotated[int, typer.Option(help="Subjects, for training and others together.")] = 500,
    looks: Annotated[
        int, typer.Option(help="Classifications per subject; training subjects have four times as many.")
    ] = 15,
    volunteers: Annotated[int, typer.Option(help="Volunteers.")] = 300,
    prevalence: Annotated[float, typer.Option(help="Fraction of lenses among the subjects not for training.")] = 0.05,
    pitfalls: Annotated[float, typer.Option(help="Fraction of rows that have each pitfall of real exports.")] = 0.05,
    seed: Seed = 0,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Simulate a classification export of Zooniverse with the pitfalls of real ones, counted, and the truth.

    Example: `convnet-galaxies simulate zooniverse crowd --number 500`
    """
    from convnet_galaxies.simulate.zooniverse import simulate_export

    with progress_bar("Writing classifications", quiet=quiet) as update:
        summary = simulate_export(
            output,
            subjects=number,
            seed=seed,
            looks=looks,
            volunteers=volunteers,
            prevalence=prevalence,
            pitfalls=pitfalls,
            progress=update,
            force=force,
        )
    show_json(summary) if as_json else typer.echo(f"{output}: {summary.rows:,} classifications of {number:,} subjects")


def cutouts(
    fields: Annotated[Path, typer.Argument(help="Folder of field images (PNG).")],
    markers: Annotated[
        Path,
        typer.Argument(
            help="CSV of clicks: ZooID, volunteer, x, y; optional stage, skill. Or an export of Zooniverse."
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the catalogue and its cutouts.")],
    table: Annotated[
        Path | None, typer.Option("--field-table", help="CSV with category, kind, flavor, truth, stage per field.")
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Cluster the clicks of volunteers, cut a 96 px stamp around each cluster, and write their catalogue.

    Example: `convnet-galaxies cutouts fields markers.csv -o data`
    """
    from convnet_galaxies.data.markers import cut_markers

    with progress_bar("Cutting", quiet=quiet) as update:
        catalog = cut_markers(fields, markers, output, fields=table, progress=update, force=force)
    show_json({"path": output, "cutouts": len(catalog)}) if as_json else typer.echo(
        f"{output}: {len(catalog):,} cutouts"
    )
