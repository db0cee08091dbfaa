"""explain: what in an image a prediction rests on."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from convnet_galaxies.cli.checks import check_paths
from convnet_galaxies.cli.options import (
    BlueFirst,
    DeviceChoice,
    Force,
    HduOption,
    Json,
    Missing,
    PixelScale,
    Planes,
    Quiet,
    RunArgument,
    ZeroPointOption,
    remark,
    show_json,
)
from convnet_galaxies.cli.predict_commands import read_options


class MethodChoice(StrEnum):
    """Methods of explanation."""

    INTEGRATED_GRADIENTS = "integrated-gradients"
    OCCLUSION = "occlusion"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(explain)


def explain(
    run: RunArgument,
    source: Annotated[
        Path, typer.Argument(metavar="IMAGE", help="Image, or pack, folder or zip that holds it (with --id).")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Drawing (.png, .svg, .pdf), or the map itself (.fits).")
    ],
    name: Annotated[str | None, typer.Option("--id", metavar="ID", help="Which of several images.")] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="What to explain: lens, or any column of the predictions, such as Class8.2; default: lens, else the "
            "likeliest answer.",
        ),
    ] = None,
    method: Annotated[MethodChoice, typer.Option(help="Method.")] = MethodChoice.INTEGRATED_GRADIENTS,
    check: Annotated[
        bool,
        typer.Option("--check", help="Compare with the maps of networks of random weights (takes four times as long)."),
    ] = False,
    pixel_scale: PixelScale = None,
    zero_point: ZeroPointOption = None,
    bands: Planes = None,
    blue_first: BlueFirst = False,
    hdu: HduOption = None,
    missing: Missing = 0.1,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Draw what in an image a prediction rests on.

    Vermilion pixels speak for the answer, blue ones against it. By integrated gradients they add up to the change of
    the answer from an empty sky to the image; by occlusion each pixel shows how much the answer falls when the squares
    around it are hidden. A map shows what the network uses, not why, and not that it is right.

    Examples: `convnet-galaxies explain builtin:lens J0912+0029.fits -o map.png`;
    `convnet-galaxies explain builtin:zoo zoo.pack --id 100053 --target Class4.1 --method occlusion -o map.png`
    """
    check_paths(runs=[run], inputs=[source], output=output, force=force)
    from convnet_galaxies.data.input_notes import InputNotes
    from convnet_galaxies.predict.explain import correlate_with_random, open_explainer, require_captum
    from convnet_galaxies.predict.predictor import Predictor
    from convnet_galaxies.predict.sources import read_one
    from convnet_galaxies.show.explanation import check_ending, draw_explanation

    require_captum()
    check_ending(output)
    predictor = Predictor(run, device=DeviceChoice.CPU.value, with_familiarity=False)
    notes = InputNotes(window_px=predictor.window_px)
    reading = read_options(predictor, pixel_scale, zero_point, bands, blue_first, hdu, missing)
    found_name, pixels = read_one(predictor, source, name, reading=reading, notes=notes)
    explainer = open_explainer(run)
    found = explainer.explain(pixels, target, method=method.value)
    draw_explanation(pixels, found, found_name, output, force=force)
    for text in (*(f"Warning: {text}" for text in notes.warnings()), *notes.facts()):
        remark(text, quiet=quiet)
    correlation = correlate_with_random(explainer, pixels, found.target, method=found.method) if check else None
    if as_json:
        facts = {"image": found_name, "target": found.target, "method": found.method, "answer": found.answer}
        facts |= {"empty_answer": found.empty_answer, "sum": float(found.map.sum())}
        show_json({**facts, "map": output, "correlation_with_random_weights": correlation})
        return
    typer.echo(
        f"{output}: {found.target} of {found_name}: {found.unit} {found.answer:.3g}, of empty sky "
        f"{found.empty_answer:.3g}"
    )
    if correlation is not None:
        typer.echo(
            f"rank correlation with the maps of networks of random weights: {correlation:.2f} (0: the map shows what "
            "was learned; 1: it shows the image alone)"
        )
