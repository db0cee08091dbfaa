"""ensemble, calibrate, familiarity: from trained runs to one for publication."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from convnet_galaxies.cli.checks import check_paths
from convnet_galaxies.cli.options import (
    Consensus,
    DeviceChoice,
    DeviceOption,
    Force,
    Grades,
    Json,
    PartChoice,
    PartOption,
    Quiet,
    RunArgument,
    RunOutput,
    Seed,
    ViewChoice,
    ViewsOption,
    accept_old_names,
    apply_grades,
    progress_bar,
    remark,
    show_json,
    warn_of_names_only,
)
from convnet_galaxies.runs.folder import BUILTIN


class MethodChoice(StrEnum):
    """Kinds of calibration."""

    LOGISTIC = "logistic"
    ISOTONIC = "isotonic"


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    accepting = accept_old_names({"--half": "--float16"})
    app.command(cls=accepting)(ensemble)
    app.command("committee", hidden=True, cls=accepting)(ensemble)  # its name until 0.1
    app.command()(calibrate)
    app.command()(familiarity)


def ensemble(
    runs: Annotated[
        list[str], typer.Argument(help="Finished runs of the same images and tasks, with the same input square.")
    ],
    output: RunOutput,
    half: Annotated[
        bool, typer.Option("--float16", help="Store weights in half precision (float16), in half the bytes.")
    ] = False,
    publish: Annotated[
        bool,
        typer.Option("--publish", help="For published weights: remove names of images and folders, and hash the keys."),
    ] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Join runs into an ensemble (deep ensemble) that predicts the mean of their probabilities.

    An image counts as held out only if no member was trained on it. Run `calibrate` and `familiarity` after joining.
    A single run with --publish keeps both. `train --from` an ensemble starts from its first member.

    Example: `convnet-galaxies ensemble seed0 seed1 seed2 -o three --float16`
    """
    check_paths(runs=runs, output=output, force=force)
    from convnet_galaxies.runs.ensemble import join_runs

    result = join_runs(runs, output, half=half, publish=publish, force=force)
    if as_json:
        show_json(result)
        return
    used = ", ".join(f"{count:,} {part}" for part, count in result.used.items())
    members = f"{result.members} member{'s' if result.members > 1 else ''}"
    typer.echo(f"{result.run}: {members}, {result.size_bytes / 1e6:.1f} MB of weights; images: {used}")


def calibrate(
    run: RunArgument,
    pack: Annotated[Path, typer.Argument(help="Pack with labels that the run was not trained on.")],
    output: RunOutput,
    method: Annotated[
        MethodChoice, typer.Option(help="Slope and intercept of the log odds, or any rising function (isotonic).")
    ] = MethodChoice.LOGISTIC,
    prevalence: Annotated[
        float | None,
        typer.Option(help="Fraction of lenses (prevalence) for which to calibrate; default: that of the pack."),
    ] = None,
    part: PartOption = PartChoice.HELDOUT,
    grades: Grades = None,
    consensus: Consensus = False,
    views: ViewsOption = ViewChoice.EIGHT,
    seed: Seed = 0,
    device: DeviceOption = DeviceChoice.AUTO,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Calibrate the lens probability of a run on held-out images, into a new run.

    Fits a slope and an intercept of the log odds, which keeps the order of the images. With many held-out images,
    --method isotonic fits any rising function of the probability, which produces ties. In the new run, these images
    are marked `validation`; compute its test figures from other images. With --grades, images of grade 2 and more count
    as lenses, those below 1 as others.

    Example: `convnet-galaxies calibrate three candidates.pack -o lens --prevalence 0.01`
    """
    check_paths(runs=[run], inputs=[pack, *(grades or ())], output=output, force=force)
    from convnet_galaxies.data.pack import read_pack
    from convnet_galaxies.predict.calibrate import calibrate as calibrate_run
    from convnet_galaxies.predict.predictor import Predictor

    predictor = Predictor(run, device=device.value, views=int(views.value))  # type: ignore[arg-type]
    images = apply_grades(read_pack(pack), grades, soft=False, use_consensus=consensus)
    warn_of_names_only(images, run)
    result = calibrate_run(
        predictor,
        images,
        output,
        method=method.value,
        prevalence=prevalence,
        part=part.value,
        seed=seed,
        force=force,
    )
    one = result.calibration
    if one.caution:
        remark(f"Warning: {one.caution}.")
    if as_json:
        show_json(result)
        return
    after = "unknown" if result.log_loss_after is None else f"{result.log_loss_after:.4f}"
    scaling = f"log odds x {one.slope:.3f} {one.intercept:+.3f}"
    if one.isotonic_knots:
        scaling = f"a rising function with {len(one.isotonic_knots)} knots, log odds {one.intercept:+.3f}"
    typer.echo(
        f"{result.run}: {scaling}, for {one.prevalence:.3%} lenses; fitted on "
        f"{one.images:,} images ({one.positives:,} lenses, {one.groups:,} groups); log loss "
        f"{result.log_loss_before:.4f} before, {after} after (cross-fitted, at the pack's prevalence)"
    )
    typer.echo(
        f"90 % intervals over groups: {'' if one.isotonic_knots else f'slope {result.slope:.3f}, '}intercept "
        f"{result.intercept:.3f}; the median labelled lens gets probability {result.typical:.3g}"
    )
    if result.refused:
        typer.echo(
            f"{result.refused:,} images refused: the run or an ancestor was trained on them or on their neighbours"
        )


def familiarity(
    run: Annotated[str, typer.Argument(help="Run folder.")],
    packs: Annotated[list[Path], typer.Argument(help="All packs on which the run was trained.")],
    seed: Seed = 0,
    device: DeviceOption = DeviceChoice.AUTO,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Fit the distribution of known images, from which `predict` computes familiarity (an out-of-distribution score).

    Writes familiarity.safetensors into the folder of the run. Predictions get a column familiarity: the fraction of
    known images that look at least as unusual.

    Example: `convnet-galaxies familiarity lens lenses.pack`
    """
    check_paths(runs=[None if run.startswith(BUILTIN) else run], inputs=packs)  # fit_familiarity refuses these
    from convnet_galaxies.data.pack import read_pack
    from convnet_galaxies.data.records import join_sets
    from convnet_galaxies.predict.fit_familiarity import fit_familiarity

    images = join_sets([read_pack(pack) for pack in packs])
    if not run.startswith(BUILTIN):
        warn_of_names_only(images, run, quiet=quiet)
    with progress_bar("Looking", quiet=quiet) as update:
        result = fit_familiarity(run, images, device=device.value, seed=seed, force=force, progress=update)
    if as_json:
        show_json(result)
        return
    kind = "that the run was not trained on" if result.are_unseen else "of other groups, which the run was trained on"
    typer.echo(f"{result.path}: fitted on {result.fitted:,} images, calibrated on {result.held_out:,} {kind}")
