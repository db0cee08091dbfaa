"""Options that mean the same in every command, their old names, and how results, remarks and progress are shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from convnet_galaxies.data.output import as_plain
from convnet_galaxies.errors import UsageError


class DeviceChoice(StrEnum):
    """Which processor computes."""

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


Run = Annotated[str, typer.Argument(help="Run folder, or builtin:NAME.")]
Views = Annotated[ViewChoice, typer.Option(help="Views of each image that are averaged (test-time augmentation).")]
Part = Annotated[PartChoice, typer.Option(help="Held-out images that are scored: test, validation, or both.")]
Stage = Annotated[int | None, typer.Option(min=1, help="Only images of this Space Warps stage.")]
PackOutput = Annotated[Path, typer.Option("-o", "--output", help="Folder of the pack.")]
RunOutput = Annotated[Path, typer.Option("-o", "--output", help="Folder of the new run.")]
Parent = Annotated[str | None, typer.Option("--from", help="Run, or builtin:NAME, whose weights are the start.")]
SettingsFile = Annotated[Path | None, typer.Option("--settings", help="TOML file of settings.")]
Changes = Annotated[list[str] | None, typer.Option("--set", help="One setting, e.g. train.epochs=12. May be repeated.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all randomness; the same seed gives the same result.")]
SettingsSeed = Annotated[int | None, typer.Option(help="Seed; default: that of the settings.")]
Device = Annotated[DeviceChoice, typer.Option(help="Processor that computes; auto takes a GPU when there is one.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Take only the first so many images.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no remarks.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that is there already.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out images that cannot be used, and list them.")]
PixelScale = Annotated[
    float | None,
    typer.Option(
        help="Arcsec per pixel of the images; default: that of their FITS headers, else of the run's own images."
    ),
]
BlueFirst = Annotated[
    bool,
    typer.Option(
        "--blue-first", help="Planes of FITS images whose headers name no bands go from blue to red (g, r, i)."
    ),
]
ZeroPoint = Annotated[
    float | None,
    typer.Option(help="AB magnitude of one count of linear images; default: that of the FITS header."),
]
Planes = Annotated[
    str | None,
    typer.Option(
        "--bands",
        metavar="B,...",
        help="Bands that are shown, or what the planes of a file are: names (i,r,g), extensions, or numbers from 1.",
    ),
]
Hdu = Annotated[
    str | None,
    typer.Option(metavar="H,...", help="Extensions of FITS files that hold the image, by name or number from 0."),
]
Missing = Annotated[
    float,
    typer.Option(help="Largest share of missing pixels (NaN, blank, masked) in a band; they are filled with its sky."),
]
Workers = Annotated[int | None, typer.Option(min=1, help="Threads or processes; default: one a processor.")]


def accept_old_names(names: dict[str, str]) -> type[TyperCommand]:
    """Return a class of commands that takes options under old names too, for one release.

    names: old to new. Help lists only the new ones; a remark on standard error tells whoever uses an old one.
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
    """Raise UsageError when one of these options was given: it would change nothing.

    names: of the command's parameters. because: why, as the end of a sentence.
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
    """Say something on standard error."""
    if not quiet:
        typer.echo(text, err=True)


@contextmanager
def progress_bar(text: str, *, quiet: bool) -> Iterator[Callable[..., None]]:
    """A progress bar with the time left on standard error, if that is a terminal; yields update(done, total, note)."""
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
