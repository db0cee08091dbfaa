"""predict, evaluate, submit, mine."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from convnet_galaxies.cli.checks import check_paths
from convnet_galaxies.cli.options import (
    BlueFirst,
    Cluster,
    Consensus,
    DeviceChoice,
    DeviceOption,
    Force,
    Grades,
    Grey,
    HduOption,
    Json,
    Limit,
    Missing,
    OwnViews,
    PackOutput,
    PartChoice,
    PartOption,
    PixelScale,
    Planes,
    Quiet,
    RunArgument,
    Seed,
    ShardPart,
    SkipBad,
    StageOption,
    ViewChoice,
    ViewsOption,
    ZeroPointOption,
    accept_old_names,
    apply_grades,
    progress_bar,
    refuse_options,
    remark,
    show_json,
    warn_of_names_only,
)


class BreakdownChoice(StrEnum):
    """Columns by which figures can be broken down."""

    QUESTION = "question"
    FLAVOR = "flavor"
    STAGE = "stage"


class WindowChoice(StrEnum):
    """Centres of windows."""

    GRID = "grid"
    OBJECTS = "objects"


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.command()(predict)
    app.command(cls=accept_old_names({"--by": "--breakdown"}))(evaluate)
    app.command(cls=accept_old_names({"--sample": "--sample-submission"}))(submit)
    app.command(
        cls=accept_old_names(
            {
                "--above": "--min-probability",
                "--on": "--windows",
                "--stride": "--stride-px",
                "--context": "--margin-px",
            }
        )
    )(mine)


def predict(
    context: typer.Context,
    run: RunArgument,
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="Pack, folder, zip or image.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="CSV, Parquet or FITS file, by its ending, or a folder.")
    ],
    views: OwnViews = None,
    grey: Grey = False,
    embeddings: Annotated[
        Path | None,
        typer.Option(help="Also write the features of the last layer, a Parquet file for `similar` and `unusual`."),
    ] = None,
    volunteers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="For runs trained on counts of votes: also the fractions of all volunteers, the expected answers of "
            "so many, and the 90 % interval of their fraction.",
        ),
    ] = None,
    pixel_scale: PixelScale = None,
    zero_point: ZeroPointOption = None,
    bands: Planes = None,
    blue_first: BlueFirst = False,
    hdu: HduOption = None,
    missing: Missing = 0.1,
    device: DeviceOption = DeviceChoice.AUTO,
    limit: Limit = None,
    skip_bad: SkipBad = False,
    cluster: Cluster = None,
    part: ShardPart = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Predict votes, lens probabilities or flavors of images, one row per image.

    Images smaller than the network input, without colour, of a single value, or unlike all known images (column
    familiarity) are predicted too, and counted on standard error. Runs that stretch linear images (FITS, 16-bit PNG)
    by their brightness, such as builtin:lens, need the zero point of these images.

    In --grey, lens probabilities are not calibrated and there is no familiarity: use their order.

    An OUTPUT without an ending is a folder, for millions of images: they are predicted in shards, one Parquet file
    each in OUTPUT/shards, and the same command goes on after an interruption. --cluster and --part are for it.

    Examples: `convnet-galaxies predict zoo images_test_rev1.zip -o votes.csv --views 8`;
    `convnet-galaxies predict builtin:lens cutouts/ -o lenses.csv --pixel-scale 0.263`
    """
    if not output.suffix:
        if force:
            refuse_options(context, "force", because="a folder is gone on with; remove it to begin anew")
        refuse_options(context, "embeddings", because="OUTPUT is a folder")
        check_paths(runs=[run], inputs=[source])
        from convnet_galaxies.cli.folder_prediction import predict_into_folder

        def reading_of(one):  # type: ignore[no-untyped-def]
            return read_options(one, pixel_scale, zero_point, bands, blue_first, hdu, missing)

        predict_into_folder(
            run, source, output, views, grey, reading_of, device, limit, skip_bad, cluster, part, quiet, as_json
        )
        return
    refuse_options(context, "cluster", "part", because="OUTPUT is a single file; give a folder")
    check_paths(runs=[run], inputs=[source], output=embeddings, table=output, force=force)
    from convnet_galaxies.predict.predictor import Predictor
    from convnet_galaxies.predict.stream import predict_file

    wanted = None if views is None else int(views.value)
    predictor = Predictor(run, device=device.value, views=wanted, grey=grey)  # type: ignore[arg-type]
    reading = read_options(predictor, pixel_scale, zero_point, bands, blue_first, hdu, missing)
    with progress_bar("Predicting", quiet=quiet) as update:
        summary = predict_file(
            predictor,
            source,
            output,
            skip_bad=skip_bad,
            limit=limit,
            force=force,
            reading=reading,
            embeddings=embeddings,
            volunteers=volunteers,
            progress=update,
        )
    for text in (*(f"Warning: {text}" for text in summary.warnings), *summary.facts):
        remark(text, quiet=quiet)
    for text in summary.skipped:
        remark(f"left out: {text}", quiet=quiet)
    show_json(summary) if as_json else typer.echo(f"{output}: {summary.images:,} images")


def evaluate(
    context: typer.Context,
    run: RunArgument,
    pack: Annotated[Path, typer.Argument(help="Pack with labels.")],
    part: PartOption = PartChoice.TEST,
    stage: StageOption = None,
    breakdown: Annotated[
        list[BreakdownChoice] | None, typer.Option(help="Also score by question, flavor or stage; may be repeated.")
    ] = None,
    grades: Grades = None,
    consensus: Consensus = False,
    views: ViewsOption = ViewChoice.EIGHT,
    seed: Seed = 0,
    device: DeviceOption = DeviceChoice.AUTO,
    as_json: Json = False,
) -> None:
    """Score a run on images that it was not trained on, each figure with its 95 % interval.

    Refuses images that share a galaxy, field, image file or sky position with the training images of the run or of
    its ancestors. With --grades, images of grade 2 and more count as lenses, those below 1 as others.

    Example: `convnet-galaxies evaluate stage1 lenses.pack --breakdown flavor`
    """
    check_paths(runs=[run], inputs=[pack, *(grades or ())])
    from convnet_galaxies.data.pack import read_pack, summarise_pack
    from convnet_galaxies.predict.evaluation import evaluate as evaluate_run
    from convnet_galaxies.predict.evaluation_report import evaluation_report
    from convnet_galaxies.predict.predictor import Predictor

    images = apply_grades(read_pack(pack), grades, soft=False, use_consensus=consensus)
    predictor = Predictor(run, device=device.value, views=int(views.value))  # type: ignore[arg-type]
    chosen = [one.value for one in breakdown or ()]
    for name in chosen:
        wanted = ("votes", "counts", "counts-multinomial") if name == "question" else ("lens",)
        if not set(wanted) & set(predictor.classes):
            because = f"{run} predicts {', '.join(predictor.classes)}, not {wanted[0]}"
            refuse_options(context, "breakdown", because=because)
        if name != "question" and name not in images.table:
            refuse_options(context, "breakdown", because=f"the pack has no column '{name}'")
    result = evaluate_run(predictor, images, part=part.value, stage=stage, seed=seed)
    warn_of_names_only(images, run)
    for text in images.warnings:
        remark(f"Warning: When packed: {text}")
    for text in summarise_pack(pack).facts:
        remark(f"When packed: {text}")
    report = evaluation_report(result, by=chosen)
    show_json(result.figures()) if as_json else typer.echo(report.text())


def submit(
    run: RunArgument,
    images: Annotated[Path, typer.Argument(help="images_test_rev1.zip, its folder, or a pack of it.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The submission, a CSV file.")],
    sample: Annotated[
        Path | None,
        typer.Option(
            "--sample-submission", help="Kaggle's sample, e.g. all_zeros_benchmark.zip: its order of rows is kept."
        ),
    ] = None,
    views: ViewsOption = ViewChoice.EIGHT,
    device: DeviceOption = DeviceChoice.AUTO,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Write a Kaggle submission.

    Example: `convnet-galaxies submit zoo images_test_rev1.zip -o submission.csv`
    """
    check_paths(runs=[run], inputs=[images, sample], table=output, force=force)
    from convnet_galaxies.data.input_notes import InputNotes
    from convnet_galaxies.predict.predictor import Predictor
    from convnet_galaxies.predict.submission import submit as write

    predictor = Predictor(run, device=device.value, views=int(views.value))  # type: ignore[arg-type]
    notes = InputNotes()
    with progress_bar("Predicting", quiet=quiet) as update:
        count = write(predictor, images, output, sample=sample, force=force, notes=notes, progress=update)
    for text in notes.warnings():
        remark(f"Warning: {text}", quiet=quiet)
    typer.echo(f"{output}: {count:,} galaxies")


def mine(
    context: typer.Context,
    run: RunArgument,
    images: Annotated[Path, typer.Argument(help="Folder or zip of fields, or of cutouts, that hold no lens.")],
    output: PackOutput,
    number: Annotated[int, typer.Option(min=1, help="Largest number of stamps.")] = 200,
    min_probability: Annotated[float, typer.Option(help="Lowest lens probability of a stamp.")] = 0.5,
    windows: Annotated[
        WindowChoice, typer.Option(help="Where windows are centred: on a grid, or on each peak of brightness.")
    ] = WindowChoice.GRID,
    stride_px: Annotated[
        int | None, typer.Option(min=1, help="Pixels between windows of the grid; default: half of the network input.")
    ] = None,
    margin_px: Annotated[
        int, typer.Option(min=0, help="Pixels added at each side of the stamps: room for rotation in training.")
    ] = 0,
    views: ViewsOption = ViewChoice.ONE,
    pixel_scale: PixelScale = None,
    zero_point: ZeroPointOption = None,
    bands: Planes = None,
    blue_first: BlueFirst = False,
    hdu: HduOption = None,
    missing: Missing = 0.1,
    device: DeviceOption = DeviceChoice.AUTO,
    limit: Limit = None,
    skip_bad: SkipBad = False,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Mine hard negatives: pack the windows without a lens that score highest, for the next training.

    Stamps of one image never overlap. They are labelled lens 0, and stamps of one field stay together in a split.

    Example: `convnet-galaxies mine lens empty_fields/ -o mined.pack`;
    then `convnet-galaxies train lenses.pack mined.pack --from lens -o harder`
    """
    check_paths(runs=[run], inputs=[images], output=output, force=force)
    from convnet_galaxies.predict.mining import mine as mine_images
    from convnet_galaxies.predict.predictor import Predictor

    if windows is WindowChoice.OBJECTS:
        refuse_options(context, "stride_px", because="windows are centred on objects, not on a grid")
    predictor = Predictor(run, device=device.value, views=int(views.value), with_familiarity=False)  # type: ignore[arg-type]
    with progress_bar("Mining", quiet=quiet) as update:
        result = mine_images(
            predictor,
            images,
            output,
            number=number,
            above=min_probability,
            on=windows.value,
            stride_px=stride_px,
            context_px=margin_px,
            reading=read_options(predictor, pixel_scale, zero_point, bands, blue_first, hdu, missing),
            skip_bad=skip_bad,
            limit=limit,
            force=force,
            progress=update,
        )
    for text in (*(f"left out: {text}" for text in result.skipped), *result.remarks):
        remark(text, quiet=quiet)
    if as_json:
        show_json(result)
        return
    typer.echo(
        f"{result.pack}: {result.stamps:,} stamps with lens probability {result.lowest:.3f} to {result.highest:.3f}, "
        f"of {result.windows:,} windows in {result.images:,} images"
    )


def read_options(predictor, pixel_scale, zero_point, bands, blue_first, hdu, missing):  # type: ignore[no-untyped-def]
    """Return the ReadOptions of these options for the images of a run."""
    from convnet_galaxies.data.reading import ReadOptions, read_bands_option, split_option

    planes = read_bands_option(bands, predictor.preprocess.bands)
    return ReadOptions(pixel_scale, blue_first, zero_point, planes, split_option(hdu), missing)
