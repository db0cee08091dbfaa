"""scan, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convnet_galaxies.cli.checks import check_paths
from convnet_galaxies.cli.options import (
    BlueFirst,
    Cluster,
    DeviceChoice,
    DeviceOption,
    Force,
    Grey,
    HduOption,
    Json,
    Missing,
    OwnViews,
    PixelScale,
    Planes,
    Quiet,
    ShardPart,
    ZeroPointOption,
    progress_bar,
    remark,
    report_session,
    require_all_done,
    show_json,
)
from convnet_galaxies.errors import UsageError

if TYPE_CHECKING:
    from convnet_galaxies.scan.merge import MergeSummary
    from convnet_galaxies.scan.scan import Status


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.command()(scan)
    app.command()(export)


def scan(
    run: Annotated[str | None, typer.Argument(help="Run folder, or builtin:NAME.")] = None,
    tiles: Annotated[
        str | None,
        typer.Argument(help="Folder of tiles, a tile, a table (tile, band, path ...), or FOLDER/{tile}_{band}.fits."),
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder of the scan.")] = None,
    at: Annotated[
        str, typer.Option(metavar="objects|grid|FILE", help="Where to look: detected objects, a grid, or positions.")
    ] = "objects",
    step: Annotated[float | None, typer.Option(help="Pixels between the positions of a grid.")] = None,
    detect_in: Annotated[str | None, typer.Option(help="Band in which objects are detected; default: the sum.")] = None,
    threshold: Annotated[float, typer.Option(help="Pixels of an object are so many sigma above the sky.")] = 1.5,
    min_area: Annotated[int, typer.Option(min=1, help="Smallest number of such pixels of an object.")] = 5,
    cutout_px: Annotated[
        int | None, typer.Option(min=1, help="Side of the cutouts, for a run that takes whole images of any size.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of --at FILE with the size of each object in arcsec.")
    ] = None,
    size_factor: Annotated[
        float | None,
        typer.Option(help="Side of each cutout in sizes of its object: of --size, or its radius of 90 % of the light."),
    ] = None,
    pattern: Annotated[
        str | None, typer.Option(help="Names of the tiles' files in the folder, such as {tile}_{band}.fits.")
    ] = None,
    regrid: Annotated[bool, typer.Option("--regrid", help="Resample bands that lie on other pixel grids.")] = False,
    views: OwnViews = None,
    grey: Grey = False,
    rank_by: Annotated[
        str | None, typer.Option(help="Column by which candidates are ranked; default: lens_probability.")
    ] = None,
    known: Annotated[Path | None, typer.Option(help="List of known systems, to be matched with candidates.")] = None,
    known_arcsec: Annotated[float, typer.Option(help="Largest distance of a candidate from a known system.")] = 3.0,
    same_arcsec: Annotated[
        float | None,
        typer.Option(help="Objects of overlapping tiles closer than this are one; default: 1, or half a step."),
    ] = None,
    prevalence: Annotated[
        float | None, typer.Option(help="Share of lenses among all positions: gives the expected purity at each rank.")
    ] = None,
    pixel_scale: PixelScale = None,
    zero_point: ZeroPointOption = None,
    bands: Planes = None,
    blue_first: BlueFirst = False,
    hdu: HduOption = None,
    missing: Missing = 0.1,
    cluster: Cluster = None,
    part: ShardPart = None,
    merge: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Join the parts of a finished scan, or rank it again.")
    ] = None,
    status: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Print progress and failures of a scan, also at work.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, and write nothing.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Use only the first LIMIT tiles.")] = None,
    device: DeviceOption = DeviceChoice.AUTO,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Scan survey images of any size: a ranked table of sky positions.

    Writes FOLDER/candidates.parquet. The same command goes on after an interruption, and tries again what failed. A
    tile that cannot be read is recorded and passed over; the exit code is 1 then.

    Examples: `convnet-galaxies scan builtin:lens tiles/ -o found`;
    `convnet-galaxies scan builtin:lens tiles.csv -o found --at catalogue.fits --cluster 4`;
    `convnet-galaxies scan --status found`
    """
    alone = [name for name, value in (("--merge", merge), ("--status", status)) if value is not None]
    if alone and (run is not None or output is not None or len(alone) > 1):
        raise UsageError(
            f"{' and '.join(alone)}: takes the folder of a scan, and no run", f"give {alone[0]} FOLDER alone"
        )
    if status is not None:
        check_paths(inputs=[status])
        _show_status(status, as_json=as_json)
        return
    if merge is None and (run is None or tiles is None or (output is None and not dry_run)):
        raise UsageError("scan: expected a run, tiles and --output", "see `convnet-galaxies scan --help`")
    places = [Path(at)] if at not in ("objects", "grid") else []
    check_paths(
        runs=[run],
        inputs=[None if tiles is None or "{" in tiles else Path(tiles), merge, known, *places],
    )
    from convnet_galaxies.scan.merge import MergeOptions

    merging = MergeOptions(rank_by, same_arcsec, known, known_arcsec, prevalence)
    if merge is not None:
        from convnet_galaxies.scan.merge import merge as merge_shards

        found = merge_shards(merge, merging)
        show_json(found) if as_json else _show_merged(found, quiet=quiet)
        return
    from convnet_galaxies.cli.predict_commands import read_options
    from convnet_galaxies.data.survey.detection import Detection
    from convnet_galaxies.predict.predictor import Predictor
    from convnet_galaxies.scan.plan import planned_precision
    from convnet_galaxies.scan.run import Part
    from convnet_galaxies.scan.scan import preview, scan_tiles
    from convnet_galaxies.scan.survey import SurveyOptions

    share = Part.read(part)
    predictor = Predictor(
        str(run),
        device=device.value,
        views=None if views is None else int(views.value),  # type: ignore[arg-type]
        precision=planned_precision(output),
        grey=grey,
    )
    reading = read_options(predictor, pixel_scale, zero_point, bands, blue_first, hdu, missing)
    options = SurveyOptions(
        at,
        step,
        Detection(detect_in, threshold, min_area),
        cutout_px,
        pattern,
        regrid,
        limit,
        reading,
        size,
        size_factor,
    )
    if dry_run:
        seen = preview(predictor, str(tiles), options)
        if as_json:
            show_json(seen)
            return
        for text in seen.remarks:
            remark(text, quiet=quiet)
        about = "about " if at == "objects" else ""
        area = "" if seen.area_deg2 is None else f", {seen.area_deg2:.4g} square degrees"
        typer.echo(f"{seen.tiles:,} tiles{area}, {seen.shards:,} shards, {about}{seen.positions:,} positions")
        if seen.unreadable:
            typer.echo(f"{len(seen.unreadable):,} tiles cannot be read, such as {seen.unreadable[0]}")
        return
    with progress_bar("Scanning", quiet=quiet) as update:
        summary = scan_tiles(
            predictor,
            str(tiles),
            Path(str(output)),
            options,
            merging=merging,
            part=share,
            cluster=cluster,
            planning=lambda done, total: update(done, total, "(planning)"),
            progress=lambda found: update(
                found.done + found.failed, found.shards, f"{found.images:,} positions, shards"
            ),
        )
    if as_json:
        show_json(summary)
        require_all_done(summary.session)
        return
    if summary.merged is not None:
        _show_merged(summary.merged, quiet=quiet)
    report_session(summary.session, quiet=quiet, as_json=False)


def export(
    folder: Annotated[Path, typer.Argument(help="Folder of a scan.")],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="CSV, FITS, VOTable, Parquet, DS9 region file (.reg) or pack (.pack), by its ending, or a folder.",
        ),
    ],
    top: Annotated[int | None, typer.Option(min=1, help="Only the TOP candidates of best rank.")] = None,
    min_probability: Annotated[float | None, typer.Option(help="Lowest lens probability.")] = None,
    apart_arcsec: Annotated[
        float | None, typer.Option(help="Of candidates closer than this, only the best, since arcs are objects too.")
    ] = None,
    side_px: Annotated[
        int | None, typer.Option(min=1, help="Pixels of the tile in a cutout; default: what the network got.")
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write the best candidates of a scan as a table, as regions for DS9, as a pack, or as cutouts.

    An OUTPUT without an ending is a folder: per candidate a PNG as the network sees it, a FITS file with the values of
    the tile and world coordinates, and a table of them. A pack is for `inspect`, and then for `train --grades`.
    Subject sets for Zooniverse are written by `zooniverse subjects FOLDER`, with training images mixed in.

    Examples: `convnet-galaxies export found -o best.fits --top 1000`;
    `convnet-galaxies export found -o best.reg --min-probability 0.9`;
    `convnet-galaxies export found -o cutouts --top 100 --apart-arcsec 5`
    """
    check_paths(inputs=[folder], output=output, force=force)
    from convnet_galaxies.scan.export import export_scan
    from convnet_galaxies.scan.folder import open_scan

    with progress_bar("Cutting", quiet=quiet) as update:
        found = export_scan(
            open_scan(folder),
            output,
            top=top,
            min_probability=min_probability,
            apart_arcsec=apart_arcsec,
            side_px=side_px,
            force=force,
            progress=update,
        )
    for text in found.remarks:
        remark(text, quiet=quiet)
    show_json(found) if as_json else typer.echo(f"{output}: {found.candidates:,} of {found.of:,} candidates")


def _show_merged(found: MergeSummary, *, quiet: bool) -> None:
    for text in found.remarks:
        remark(text, quiet=quiet)
    area = "" if found.area_deg2 is None else f" on {found.area_deg2:.4g} square degrees"
    typer.echo(f"{found.path}: {found.candidates:,} candidates{area} ({found.doubles:,} doubles left out)")
    if found.known_rows is not None:
        there = "" if found.known_systems is None else f"{found.known_systems:,} on these tiles, "
        typer.echo(
            f"known systems: {there}{found.known_found:,} with a candidate (the list has {found.known_rows:,} rows)"
        )
    if found.lenses is not None:
        value, low, high = found.lenses
        typer.echo(f"expected lenses: {value:,.1f} ({low:,.0f} to {high:,.0f}, 90 % interval)")


def _show_status(folder: Path, *, as_json: bool) -> None:
    from convnet_galaxies.scan.scan import read_status

    found: Status = read_status(folder)
    if as_json:
        show_json(found)
        return
    left = (
        ""
        if found.seconds_left is None or found.done + found.failed == found.shards
        else _name_time(found.seconds_left)
    )
    parts = "" if found.parts == 1 else f", {found.parts_begun} of {found.parts} parts begun"
    typer.echo(
        f"{folder}: {found.done:,} of {found.shards:,} shards done, {found.failed:,} failed, {found.images:,} images"
        f"{parts}{left}"
    )
    for failure in found.failures:
        typer.echo(f"shard {failure.number} ({failure.name}): {failure.error.strip().splitlines()[-1]}")


def _name_time(seconds: float) -> str:
    hours = seconds / 3600
    return f", about {hours:.1f} h left" if hours >= 1 else f", about {seconds / 60:.0f} min left"
