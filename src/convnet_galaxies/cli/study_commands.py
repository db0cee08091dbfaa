"""study, unknown, report, demo: results about strategies and unlabelled images, and their pages."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from convnet_galaxies.cli.checks import check_paths
from convnet_galaxies.cli.options import (
    ChangesOption,
    DeviceChoice,
    DeviceOption,
    Force,
    Json,
    PartChoice,
    PartOption,
    Quiet,
    RunArgument,
    Seed,
    SettingsFile,
    StageOption,
    ViewChoice,
    ViewsOption,
    Workers,
    accept_old_names,
    progress_bar,
    refuse_options,
    remark,
    show_json,
    warn_of_names_only,
)
from convnet_galaxies.errors import UsageError

Pair = tuple[float, float]


class SizeChoice(StrEnum):
    """Sizes of the demo."""

    AUTO = "auto"
    FULL = "full"
    SMALL = "small"


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.command(cls=accept_old_names({"--fractions": "--label-fractions"}))(study)
    app.command()(unknown)
    app.command(cls=accept_old_names({"--lenses": "--survey-lenses", "--fields": "--survey-images"}))(report)
    app.command()(demo)


def study(
    zoo: Annotated[Path, typer.Option("--zoo", help="Galaxy Zoo pack with votes.")],
    space_warps: Annotated[Path, typer.Option("--space-warps", help="Space Warps pack with both stages.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the study; an existing one is continued.")],
    seeds: Annotated[int, typer.Option(min=1, help="Training seeds per strategy.")] = 5,
    label_fractions: Annotated[
        str, typer.Option(metavar="F,...", help="Fractions of the training labels to train with.")
    ] = "0.05,0.2,1",
    zoo_epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of the Galaxy Zoo network.")] = None,
    lens_epochs: Annotated[int | None, typer.Option(min=1, help="Epochs on stage 1, or on stage 2 alone.")] = None,
    fine_epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of fine-tuning on stage 2.")] = None,
    settings: SettingsFile = None,
    changes: ChangesOption = None,
    device: DeviceOption = DeviceChoice.AUTO,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compare training strategies: scratch, fine-tuning and transfer, at several numbers of labels, over several seeds.

    All strategies share one split, which keeps whole fields together; differences are paired. Repeat the command to
    continue an interrupted study; `report` makes its page. Without --settings, a small network for a few thousand
    images is trained; with it, missing settings are those of `train`.

    Example: `convnet-galaxies study --zoo zoo.pack --space-warps lenses.pack --seeds 3 -o study`
    """
    shares = _read_shares(label_fractions)
    check_paths(inputs=[zoo, space_warps])
    from convnet_galaxies.data.pack import read_pack
    from convnet_galaxies.settings import load_settings
    from convnet_galaxies.study.demo_settings import SMALL_SETTINGS
    from convnet_galaxies.study.results import summarize_study
    from convnet_galaxies.study.study import StudyPlan, run_study
    from convnet_galaxies.study.study_report import study_report, write_results

    chosen = load_settings(settings, changes or [], base=SMALL_SETTINGS if settings is None else None)
    epochs = {"zoo_epochs": zoo_epochs, "lens_epochs": lens_epochs, "fine_epochs": fine_epochs}
    given: dict[str, Any] = {name: number for name, number in epochs.items() if number is not None}
    plan = StudyPlan(seeds=seeds, fractions=shares, **given)
    with progress_bar("Study", quiet=quiet) as update:
        run_study(
            read_pack(zoo), read_pack(space_warps), chosen, output, plan=plan, device=device.value, progress=update
        )
    with progress_bar("Measuring", quiet=quiet) as update:
        results = summarize_study(output, sources={"zoo": zoo, "space_warps": space_warps}, progress=update)
    write_results(output, results)
    show_json(results) if as_json else typer.echo(study_report(results).text())


def unknown(
    run: RunArgument,
    pack: Annotated[Path, typer.Argument(help="Pack with UNKNOWN images, or with unlabelled images.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the result.")],
    known: Annotated[
        Path | None, typer.Option("--known", help="Pack with the run's held-out labelled images; default: PACK.")
    ] = None,
    stage: Annotated[int | None, typer.Option(min=1, help="Only known images of this Space Warps stage.")] = None,
    grades: Annotated[
        list[Path] | None,
        typer.Option("--grades", help="CSV of expert grades by ZooID (candidates.csv), or a filled-in plan. Repeat."),
    ] = None,
    plan: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Draw the N images whose grades are most informative, as plan.csv to be filled in."
        ),
    ] = None,
    crowd: Annotated[
        list[Path] | None, typer.Option("--crowd", help="The crowd's list: ZooID P Nclass image-file. Repeat.")
    ] = None,
    completeness_ratio: Annotated[
        Pair,
        typer.Option(
            metavar="LOW HIGH",
            help="Completeness for real lenses over that for the known ones: lowest and highest assumed.",
        ),
    ] = (0.5, 1.0),
    false_positive_ratio: Annotated[
        Pair,
        typer.Option(
            metavar="LOW HIGH",
            help="False positive rate of the unknown images over that of the known: lowest and highest assumed.",
        ),
    ] = (0.5, 2.0),
    views: ViewsOption = ViewChoice.EIGHT,
    seed: Seed = 0,
    device: DeviceOption = DeviceChoice.AUTO,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Estimate how many lenses are among unlabelled images, rank them, and test for domain shift.

    The score distributions of held-out labelled images are fitted to the scores of the unlabelled ones (a mixture).
    Expert grades or probabilities from the crowd are compared with the network, subject by subject. Grades of images
    drawn by `--plan` give an estimate of the number of lenses that does not depend on the network.

    Example: `convnet-galaxies unknown stage2 lenses.pack --grades candidates.csv -o unknown`

    Example: `convnet-galaxies unknown stage2 lenses.pack --plan 200 -o to-grade`, then `--grades to-grade/plan.csv`
    """
    check_paths(runs=[run], inputs=[pack, known, *(grades or ()), *(crowd or ())], output=output, force=force)
    from convnet_galaxies.predict.predictor import Predictor
    from convnet_galaxies.study.unknown_report import unknown_report
    from convnet_galaxies.study.unknown_run import study_unknown

    predictor = Predictor(run, device=device.value, views=int(views.value))  # type: ignore[arg-type]
    result = study_unknown(
        predictor,
        pack,
        output,
        known=known,
        stage=stage,
        grades=grades or (),
        crowd=crowd or (),
        plan=plan,
        completeness_ratio=completeness_ratio,
        false_positive_ratio=false_positive_ratio,
        seed=seed,
        force=force,
        progress=lambda text: remark(f"{text} ...", quiet=quiet),
    )
    show_json(result) if as_json else typer.echo(unknown_report(result).text())


def report(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="Run, study, folder of `demo`, or folder of `unknown`.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The page, an HTML file.")],
    pack: Annotated[
        Path | None, typer.Option("--pack", help="Pack of the images: a run needs it for figures and galleries.")
    ] = None,
    part: PartOption = PartChoice.TEST,
    stage: StageOption = None,
    truth: Annotated[
        Path | None, typer.Option(help="truth.csv of a simulation, for completeness by Einstein radius and magnitude.")
    ] = None,
    survey_lenses: Annotated[
        float, typer.Option(help="Expected number of lenses in a survey, for which purity is given.")
    ] = 90.0,
    survey_images: Annotated[int, typer.Option(help="Images of that survey, lenses included.")] = 430_000,
    views: ViewsOption = ViewChoice.EIGHT,
    seed: Seed = 0,
    device: DeviceOption = DeviceChoice.AUTO,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML page about a run, a study, a demo, or a result of `unknown`.

    Example: `convnet-galaxies report stage1 --pack lenses.pack -o report.html`
    """
    check_paths(inputs=[pack, truth], output=output, force=force)
    from convnet_galaxies.show.lens_sections import Survey
    from convnet_galaxies.show.report import find_kind, write_report

    kind = find_kind(source)
    of_run = ("part", "stage", "truth")
    of_scores = ("survey_lenses", "survey_images", "views", "seed")
    if kind == "run" and pack is None:
        refuse_options(context, *of_run, *of_scores, because="without --pack the report of a run has no figures")
    elif kind == "demo":
        refuse_options(
            context, "pack", *of_run, because=f"{source} is a demo; its report covers all its runs and packs"
        )
    elif kind != "run":
        refuse_options(context, *of_run, *of_scores, because=f"{source} already contains the figures of its report")
    if pack is not None:
        from convnet_galaxies.data.pack import read_pack

        warn_of_names_only(read_pack(pack), source)
    summary = write_report(
        source,
        output,
        pack=pack,
        part=part.value,
        stage=stage,
        views=int(views.value),  # type: ignore[arg-type]
        device=device.value,
        truth=truth,
        survey=Survey(survey_lenses, survey_images),
        seed=seed,
        force=force,
    )
    if as_json:
        show_json(summary)
    else:
        typer.echo(f"{output}: {summary.kind}, {len(summary.sections)} sections, {summary.size_bytes / 1e6:.1f} MB")


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of all results.")] = Path("demo-output"),
    size: Annotated[
        SizeChoice,
        typer.Option(
            help="Number of images: full has 2,400 cutouts, small 1,300; auto selects full if there is a GPU, two "
            "processors with bf16 arithmetic, or four."
        ),
    ] = SizeChoice.AUTO,
    settings: SettingsFile = None,
    changes: ChangesOption = None,
    seed: Seed = 0,
    device: DeviceOption = DeviceChoice.AUTO,
    workers: Workers = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Run the full pipeline on simulated data and write its report: a few minutes on two cores.

    In the first minute, writes first-look.html: predictions of the built-in weights for a few simulated images.

    Example: `convnet-galaxies demo`
    """
    import time

    from convnet_galaxies.blocks import Table

    started = time.monotonic()
    remark("Simulating a few images for the built-in weights to predict", quiet=quiet)
    from convnet_galaxies.settings import load_settings
    from convnet_galaxies.show.first_look_page import first_look_page
    from convnet_galaxies.show.report import write_page, write_report
    from convnet_galaxies.study.demo import SIZES, choose_size, describe_size, run_demo
    from convnet_galaxies.study.demo_settings import SMALL_SETTINGS
    from convnet_galaxies.study.first_look import FirstLook, first_look_report
    from convnet_galaxies.study.machine import look_at_machine

    chosen = load_settings(settings, changes or [], base=SMALL_SETTINGS)
    machine = look_at_machine(device.value)
    demo_size = choose_size(machine) if size is SizeChoice.AUTO else SIZES[size.value]

    def show(look: FirstLook) -> None:
        page = output / "first-look.html"
        write_page(first_look_page(look), page, force=True)
        remark(f"\nAfter {time.monotonic() - started:.0f} s:\n{first_look_report(look).text()}\n", quiet=quiet)
        remark("\n".join([f"Page: {page}", "", *describe_size(demo_size, str(machine))]), quiet=quiet)

    def tell(name: str, seconds: float) -> None:
        remark(f"{time.monotonic() - started:5.0f} s  {name}", quiet=quiet)

    with progress_bar("Demo", quiet=quiet) as update:
        result = run_demo(
            output,
            chosen,
            size=demo_size,
            machine=str(machine),
            seed=seed,
            device=device.value,
            workers=workers,
            progress=update,
            on_first_look=show,
            on_step=tell,
        )
        started_report = time.monotonic()
        update(0, 1, "writing the report")
        page = write_report(output, output / "report.html", device=device.value, seed=seed, force=True)
    result.seconds["writing the report"] = time.monotonic() - started_report
    result.paths["report"] = page.path
    if as_json:
        show_json(result)
        return
    times = {**result.seconds, "together": sum(result.seconds.values())}
    for table in (
        Table("", ("", "value (95 % interval)"), tuple((name, f"{one:.4f}") for name, one in result.figures)),
        Table("", ("", "time"), tuple((name, f"{seconds:.0f} s") for name, seconds in times.items())),
        Table("", ("", "written to"), tuple((name, str(path)) for name, path in result.paths.items())),
    ):
        typer.echo("\n".join([*table.lines(), ""]))


def _read_shares(text: str) -> tuple[float, ...]:
    try:
        shares = tuple(dict.fromkeys(float(word) for word in text.replace(",", " ").split()))
    except ValueError:
        shares = ()
    if not shares or not all(0 < share <= 1 for share in shares):
        raise UsageError(
            f"--label-fractions: found '{text}', expected numbers above 0 and at most 1",
            "write e.g. --label-fractions 0.05,0.2,1",
        )
    return shares
