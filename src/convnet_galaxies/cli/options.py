"""Options that mean the same in every command, and how results, remarks and progress are shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any

import typer

from convnet_galaxies.data.json_values import as_plain


class DeviceChoice(StrEnum):
    """Which processor computes."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


Seed = Annotated[int, typer.Option(min=0, help="Seed of all randomness; the same seed gives the same result.")]
Device = Annotated[DeviceChoice, typer.Option(help="Processor that computes; auto takes a GPU when there is one.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Take only the first so many images.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no remarks.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that is there already.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out images that cannot be used, and list them.")]
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
