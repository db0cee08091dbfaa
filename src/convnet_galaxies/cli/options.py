"""Options shared by all commands, their old names, and the output of results, remarks and progress."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from convnet_galaxies.blocks import without_controls
from convnet_galaxies.data.output import as_plain
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.paths import name_some

if TYPE_CHECKING:
    from convnet_galaxies.data.records import ImageSet
    from convnet_galaxies.scan.session import SessionSummary


class DeviceChoice(StrEnum):
    """Devices for computing."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class ViewChoice(StrEnum):
    """Views of each image that are averaged."""

    ONE = "1"
    EIGHT = "8"
    SIXTEEN = "16"


class PartChoice(StrEnum):
    """Held-out images."""

    TEST = "test"
    VALIDATION = "validation"
    HELDOUT = "heldout"


RunArgument = Annotated[str, typer.Argument(help="Run folder, or builtin:NAME.")]
ViewsOption = Annotated[ViewChoice, typer.Option(help="Views averaged per image (test-time augmentation).")]
PartOption = Annotated[PartChoice, typer.Option(help="Held-out images to score: test, validation, or both.")]
StageOption = Annotated[int | None, typer.Option(min=1, help="Only images of this Space Warps stage.")]
PackOutput = Annotated[Path, typer.Option("-o", "--output", help="Folder of the pack.")]
RunOutput = Annotated[Path, typer.Option("-o", "--output", help="Folder of the new run.")]
Parent = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="Parent run, or builtin:NAME, from whose weights to start: builtin:lens for lenses, builtin:zoo for "
        "shapes of galaxies.",
    ),
]
SettingsFile = Annotated[Path | None, typer.Option("--settings", help="TOML file of settings.")]
ChangesOption = Annotated[
    list[str] | None, typer.Option("--set", help="One setting, e.g. train.epochs=12. May be repeated.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all randomness; the same seed gives the same result.")]
SettingsSeed = Annotated[int | None, typer.Option(help="Seed; default: that of the settings.")]
DeviceOption = Annotated[DeviceChoice, typer.Option(help="Device for computing; auto selects a GPU if there is one.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Use only the first LIMIT images.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress and no remarks.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing output.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out unusable images, and list them.")]
PixelScale = Annotated[
    float | None,
    typer.Option(help="Arcsec per pixel of the images; default: that of their FITS headers, else that of the run."),
]
BlueFirst = Annotated[
    bool,
    typer.Option("--blue-first", help="Read the planes of FITS images without band names as blue to red (g, r, i)."),
]
ZeroPointOption = Annotated[
    float | None,
    typer.Option(help="AB magnitude of one count of linear images; default: that of the FITS header."),
]
Planes = Annotated[
    str | None,
    typer.Option(
        "--bands",
        metavar="B,...",
        help="Bands to use, or the bands of the planes of a file: names (i,r,g), extensions, or numbers from 1.",
    ),
]
HduOption = Annotated[
    str | None,
    typer.Option(metavar="H,...", help="Extensions of FITS files that hold the image, by name or number from 0."),
]
Missing = Annotated[
    float,
    typer.Option(
        help="Largest fraction of missing pixels (NaN, blank, masked) per band; they are filled with its sky."
    ),
]
OwnViews = Annotated[
    ViewChoice | None, typer.Option(help="Views averaged per image; default: 1, and 8 for built-in weights.")
]
Grey = Annotated[
    bool,
    typer.Option(
        "--grey", help="Show the network the mean of the bands, for a survey whose colours it has not learned."
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="N|ADDRESS",
        help="Dask: number of local processes, or the address of a scheduler, such as tcp://host:8786.",
    ),
]
ShardPart = Annotated[
    str | None,
    typer.Option("--part", metavar="K/N", help="Do every N-th shard from the K-th on: one job of an array of N."),
]
Grades = Annotated[
    list[Path] | None,
    typer.Option(
        "--grades",
        help="Grades as labels of images without one: the table of `inspect`, its export, or any table of ids and "
        "grades from 0 to 3. Repeat.",
    ),
]
Consensus = Annotated[
    bool, typer.Option("--consensus", help="Take the model of graders (column lens_consensus), not the mean grade.")
]
Workers = Annotated[int | None, typer.Option(min=1, help="Threads or processes; default: one per processor.")]


def accept_old_names(names: dict[str, str]) -> type[TyperCommand]:
    """Return a class of commands that takes options under old names too, for one release.

    names: old to new. Help lists only the new ones; the use of an old one prints a remark on standard error.
    """

    class Command(TyperCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            end = args.index("--") if "--" in args else len(args)
            renamed = []
            for word in args[:end]:
                option, equals, value = word.partition("=")
                if option in names:
                    remark(
                        f"{option} is now called {names[option]}; the old name goes with the next release",
                        quiet=bool({"-q", "--quiet"} & set(args)),
                    )
                renamed.append(names.get(option, option) + equals + value)
            return super().parse_args(ctx, [*renamed, *args[end:]])

    return Command


def refuse_options(context: typer.Context, *names: str, because: str) -> None:
    """Raise UsageError if one of these options was given: it would change nothing.

    names: names of the command's parameters. because: the reason, as the end of a sentence.
    """
    options = [
        next(name for name in one.opts if name.startswith("--"))
        for one in context.command.params
        if one.name in names and (source := context.get_parameter_source(one.name)) and source.name == "COMMANDLINE"
    ]
    if options:
        text = " and ".join(options)
        raise UsageError(f"{text}: would change nothing, since {because}", f"leave out {text}")


def show_json(result: Any) -> None:
    """Print a dataclass, dict or list as JSON on standard output."""
    typer.echo(json.dumps(as_plain(result), indent=2, ensure_ascii=False, allow_nan=False))


def remark(text: str, *, quiet: bool = False) -> None:
    """Print a remark on standard error."""
    if not quiet:
        typer.echo(without_controls(text), err=True)


def report_session(summary: SessionSummary, *, quiet: bool, as_json: bool) -> None:
    """Print what a session of a scan left. Raises InputError when shards of it failed."""
    for text in (*(f"Warning: {text}" for text in summary.warnings), *summary.facts):
        remark(text, quiet=quiet)
    for text in summary.left_out:
        remark(f"left out: {text}", quiet=quiet)
    if summary.n_left_out > len(summary.left_out):
        remark(f"left out: {summary.n_left_out:,} images in all", quiet=quiet)
    if as_json:
        show_json(summary)
    else:
        typer.echo(f"{summary.folder}: {summary.images:,} images in {summary.shards:,} shards")
    require_all_done(summary)


def require_all_done(summary: SessionSummary) -> None:
    """Raise InputError that names what failed, if anything did."""
    if not summary.failures:
        return
    names = list(dict.fromkeys(one.name for one in summary.failures))
    first = summary.failures[0].error.strip().splitlines()[-1]
    raise InputError(
        f"{summary.folder}: {len(summary.failures):,} of {summary.shards:,} shards could not be done, of "
        f"{name_some(names)}; the first: {first}",
        "mend or replace the files, and run the same command again, which does them alone; "
        f"`scan --status {summary.folder}` lists all",
    )


def warn_of_names_only(images: ImageSet, run: str | Path | None, *, quiet: bool = False) -> None:
    """Say where nothing but names tells which of the images a run was trained on."""
    from convnet_galaxies.runs.split import remark_on_recognition

    if run is not None and (text := remark_on_recognition(images, run)):
        remark(f"Warning: {text}", quiet=quiet)


def apply_grades(
    images: ImageSet, grades: list[Path] | None, *, soft: bool, use_consensus: bool, quiet: bool = False
) -> ImageSet:
    """Return the set with grades as labels (see training.grade_labels), and print what became of them."""
    if not grades:
        if use_consensus:
            raise UsageError("--consensus: would change nothing without --grades", "give --grades, or leave it out")
        return images
    from convnet_galaxies.training.grade_labels import label_by_grades

    found = label_by_grades(images, grades, soft=soft, use_consensus=use_consensus)
    for text in found.remarks:
        remark(f"Grades: {text}.", quiet=quiet)
    return found.images


@contextmanager
def progress_bar(text: str, *, quiet: bool) -> Iterator[Callable[..., None]]:
    """Show a progress bar with the time left, if standard error is a terminal; yield update(done, total, note)."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(text, total=None)

        def update(done: int, total: int, note: str = "") -> None:
            bar.update(task, completed=done, total=total, description=f"{text} {note}".strip())

        yield update
