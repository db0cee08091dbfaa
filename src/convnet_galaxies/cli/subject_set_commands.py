"""zooniverse subjects: subject sets to upload."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from convnet_galaxies.cli.checks import check_paths
from convnet_galaxies.cli.options import Force, Json, Quiet, Seed, SkipBad, progress_bar, remark, show_json


class FormChoice(StrEnum):
    """Forms of pictures."""

    JPEG = "jpeg"
    PNG = "png"


def register(app: typer.Typer) -> None:
    """Add this command to the group."""
    app.command()(subjects)


def subjects(
    source: Annotated[Path, typer.Argument(help="Candidates: a folder or zip of images, a pack, a scan, or a table.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the subject sets.")],
    images: Annotated[Path | None, typer.Option("--images", help="Folder or zip of the images of a table.")] = None,
    top: Annotated[
        int | None, typer.Option(min=1, help="Only so many of the best candidates, by rank or lens_probability.")
    ] = None,
    simulated: Annotated[
        Path | None,
        typer.Option("--simulated", help="Simulated lenses: images, or the folder of `simulate injected-lenses`."),
    ] = None,
    simulated_share: Annotated[float, typer.Option(help="Fraction of all subjects that are simulated lenses.")] = 0.05,
    dud: Annotated[Path | None, typer.Option("--dud", help="Images that are known to show no lens.")] = None,
    dud_share: Annotated[float, typer.Option(help="Fraction of all subjects that are duds.")] = 0.05,
    known: Annotated[Path | None, typer.Option("--known", help="Images of known lenses.")] = None,
    known_share: Annotated[float, typer.Option(help="Fraction of all subjects that are known lenses.")] = 0.01,
    form: Annotated[FormChoice, typer.Option(help="Form of all pictures.")] = FormChoice.JPEG,
    side: Annotated[
        int | None, typer.Option(min=16, help="Side of the pictures in pixels; default: that of the images.")
    ] = None,
    per_set: Annotated[int, typer.Option(min=1, help="Most subjects of a set; Zooniverse takes 10,000.")] = 10_000,
    seed: Seed = 0,
    skip_bad: SkipBad = False,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write subject sets for Zooniverse: pictures below 1 MB and a manifest each, training images mixed in.

    key.csv has the truth and is not uploaded. README.txt shows the upload by Panoptes' own client.

    Example: `convnet-galaxies zooniverse subjects cutouts/ --simulated sims --dud duds/ -o sets`
    """
    paths = {"simulated": (simulated, simulated_share), "dud": (dud, dud_share), "known": (known, known_share)}
    check_paths(inputs=[source, images, simulated, dud, known], output=output, force=force)
    from convnet_galaxies.inspection.subject_sets import write_subject_sets

    mixed = {kind: (path, share) for kind, (path, share) in paths.items() if path is not None}
    with progress_bar("Writing subjects", quiet=quiet) as update:
        done = write_subject_sets(
            source,
            output,
            images=images,
            top=top,
            mixed=mixed,  # type: ignore[arg-type]
            form=form.value,
            side_px=side,
            per_set=per_set,
            seed=seed,
            skip_bad=skip_bad,
            force=force,
            progress=update,
        )
    for text in done.remarks:
        remark(text, quiet=quiet)
    if as_json:
        show_json(done)
        return
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in done.kinds.items())
    typer.echo(f"{output}: {done.subjects:,} subjects in {done.sets:,} {'set' if done.sets == 1 else 'sets'} ({kinds})")
