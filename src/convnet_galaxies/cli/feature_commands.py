"""similar, unusual, map: what a network's features tell about images."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convnet_galaxies.cli.checks import check_paths
from convnet_galaxies.cli.options import (
    DeviceChoice,
    DeviceOption,
    Force,
    Json,
    Quiet,
    RunArgument,
    Seed,
    SkipBad,
    progress_bar,
    remark,
    show_json,
)

if TYPE_CHECKING:
    import pandas as pd

    from convnet_galaxies.predict.embeddings import Embeddings


class ByChoice(StrEnum):
    """What makes an image unusual."""

    AUTO = "auto"
    FAMILIARITY = "familiarity"
    ISOLATION = "isolation"


Features = Annotated[
    Path, typer.Argument(metavar="INPUT", help="File of `predict --embeddings`, or a pack, folder or zip of images.")
]
Number = Annotated[int, typer.Option("-n", "--number", min=1, help="Number of images to list.")]
TableOutput = Annotated[
    Path | None, typer.Option("-o", "--output", help="Write a CSV, Parquet or FITS file, by its ending.")
]


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.command()(similar)
    app.command()(unusual)
    app.command("map")(draw_map)


def similar(
    run: RunArgument,
    source: Features,
    to: Annotated[list[str], typer.Option("--to", metavar="ID", help="Image to compare with; repeat for several.")],
    number: Number = 20,
    output: TableOutput = None,
    device: DeviceOption = DeviceChoice.AUTO,
    skip_bad: SkipBad = False,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """List the images that look most like a given one to a network.

    Compared are the square roots of the features of the last layer, by the cosine of their angle: 1 is most alike.
    Features are computed once by `predict --embeddings`; without that file they are computed here.

    Examples: `convnet-galaxies predict builtin:lens cutouts/ -o lenses.csv --embeddings features.parquet`;
    `convnet-galaxies similar builtin:lens features.parquet --to J0912+0029`
    """
    check_paths(runs=[run], inputs=[source], table=output, force=force)
    from convnet_galaxies.predict.neighbours import find_neighbours

    found = find_neighbours(_open(run, source, device, skip_bad, quiet), to, number=number)
    _show(found, output, force=force, as_json=as_json)


def unusual(
    run: RunArgument,
    source: Features,
    by: Annotated[
        ByChoice,
        typer.Option(
            help="Least familiar compared with the known images of the run, or most isolated among these images; auto: "
            "familiarity where the run has it."
        ),
    ] = ByChoice.AUTO,
    number: Number = 20,
    output: TableOutput = None,
    device: DeviceOption = DeviceChoice.AUTO,
    skip_bad: SkipBad = False,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """List the images that look most unusual to a network: artefacts, other instruments, rare objects.

    Example: `convnet-galaxies unusual builtin:zoo features.parquet --by isolation`
    """
    check_paths(runs=[run], inputs=[source], table=output, force=force)
    from convnet_galaxies.predict.neighbours import rank_unusual

    features = _open(run, source, device, skip_bad, quiet)
    wanted = None if by is ByChoice.AUTO else by.value
    _show(rank_unusual(features, run, by=wanted, number=number), output, force=force, as_json=as_json)  # type: ignore[arg-type]


def draw_map(
    run: RunArgument,
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="Pack, folder or zip of images.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The page, an HTML file.")],
    number: Annotated[
        int, typer.Option("-n", "--number", min=5, help="Largest number of images; of more, a random sample is drawn.")
    ] = 3000,
    seed: Seed = 0,
    device: DeviceOption = DeviceChoice.AUTO,
    skip_bad: SkipBad = False,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Draw a page with the two-dimensional map of a network's last layer (t-SNE), with thumbnails.

    Images that look alike to the network lie together. Points are coloured by predictions, or by labels of the pack.

    Example: `convnet-galaxies map builtin:zoo galaxies.pack -o map.html`
    """
    check_paths(runs=[run], inputs=[source], output=output, force=force)
    from convnet_galaxies.predict.predictor import Predictor
    from convnet_galaxies.show.feature_map import map_features, write_map

    skipped: list[str] = []
    with progress_bar("Features", quiet=quiet) as update:
        predictor = Predictor(run, device=device.value, views=None)
        options = {"number": number, "seed": seed, "skip_bad": skip_bad, "skipped": skipped}
        found = map_features(predictor, source, progress=update, **options)  # type: ignore[arg-type]
    size_bytes = write_map(found, output, force=force)
    for text in skipped:
        remark(f"left out: {text}", quiet=quiet)
    if as_json:
        show_json({"page": output, "images": len(found.table), "total": found.total, "size_bytes": size_bytes})
    else:
        typer.echo(f"{output}: {len(found.table):,} of {found.total:,} images, {size_bytes / 1e6:.1f} MB")


def _open(run: str, source: Path, device: DeviceChoice, skip_bad: bool, quiet: bool) -> Embeddings:
    from convnet_galaxies.predict.embeddings import embed_source, read_embeddings, read_facts

    if read_facts(source) is not None:
        return read_embeddings(source, run=run)
    from convnet_galaxies.data.input_notes import InputNotes
    from convnet_galaxies.predict.predictor import Predictor

    skipped: list[str] = []
    notes = InputNotes()
    predictor = Predictor(run, device=device.value, views=None)
    with progress_bar("Features", quiet=quiet) as update:
        found = embed_source(predictor, source, skip_bad=skip_bad, skipped=skipped, notes=notes, progress=update)
    for text in (*(f"Warning: {text}" for text in notes.warnings()), *(f"left out: {text}" for text in skipped)):
        remark(text, quiet=quiet)
    return found


def _show(table: pd.DataFrame, output: Path | None, *, force: bool, as_json: bool) -> None:
    if output is not None:
        from convnet_galaxies.data.tables import write_table

        write_table(output, table, force=force)
    if as_json:
        show_json(table.to_dict("records"))
    elif output is not None:
        typer.echo(f"{output}: {len(table):,} images")
    else:
        from convnet_galaxies.blocks import Table

        rows = tuple((name, f"{value:.4g}") for name, value in table.itertuples(index=False))
        typer.echo("\n".join(Table("", tuple(table.columns), rows).lines()))
