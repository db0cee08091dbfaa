"""demo: the full pipeline on simulated data."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from convnet_galaxies.cli.options import (
    ChangesOption,
    DeviceChoice,
    DeviceOption,
    Json,
    Quiet,
    Seed,
    SettingsFile,
    Workers,
    progress_bar,
    remark,
    show_json,
)


class SizeChoice(StrEnum):
    """Sizes of the demo."""

    AUTO = "auto"
    FULL = "full"
    SMALL = "small"


def register(app: typer.Typer) -> None:
    """Add this command to the app."""
    app.command()(demo)


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

    from convnet_galaxies.blocks import Page, Table, section, sections_of

    started = time.monotonic()
    remark("Simulating a few images for the built-in weights to predict", quiet=quiet)
    from convnet_galaxies.settings import load_settings
    from convnet_galaxies.show.first_look_page import first_look_page
    from convnet_galaxies.show.report import write_page, write_report
    from convnet_galaxies.study.demo import SIZES, choose_size, describe_size, run_demo
    from convnet_galaxies.study.demo_comparison import START_TITLE, comparison_blocks
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
    shown = section(START_TITLE, comparison_blocks(result.transfer, demo_size.lens_epochs))
    typer.echo(Page("Demo", sections=sections_of([shown])).text())
