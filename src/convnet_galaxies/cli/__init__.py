"""The command ``convnet-galaxies``: parse, call one function, print.

Results go to standard output, progress and remarks to standard error. Exit codes: 0 done, 1 input at fault,
2 wrong usage, 130 stopped by Ctrl-C. A traceback means a bug of ours.
"""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from convnet_galaxies import __version__
from convnet_galaxies.blocks import without_controls
from convnet_galaxies.cli import (
    data_commands,
    demo_commands,
    ensemble_commands,
    explain_commands,
    feature_commands,
    inspect_commands,
    predict_commands,
    scan_commands,
    simulate_commands,
    study_commands,
    train_commands,
    zooniverse_commands,
)
from convnet_galaxies.cli.fixes import make_followable
from convnet_galaxies.errors import FAULTS, GalaxyError, find_lack


class Commands(TyperGroup):
    """All commands; handles interrupts and broken pipes itself instead of leaving them to typer."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("Stopped.", err=True)
            raise typer.Exit(130) from None
        except BrokenPipeError:
            # The reader of the output (head, less) has exited normally; Python would flush once more.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None


app = typer.Typer(
    cls=Commands,
    name="convnet-galaxies",
    help="Convolutional neural networks for images of galaxies: Galaxy Zoo votes and Space Warps lenses.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Print the version and stop.")) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


data_commands.register(app)
train_commands.register(app)
predict_commands.register(app)
scan_commands.register(app)
ensemble_commands.register(app)
explain_commands.register(app)
feature_commands.register(app)
simulate_commands.register(app)
study_commands.register(app)
inspect_commands.register(app)
zooniverse_commands.register(app)
demo_commands.register(app)


def main() -> None:
    """Run the command line; errors for users become one message and an exit code."""
    _end_as_by_ctrl_c()
    gc.set_threshold(100_000, 20, 20)  # the libraries make a million objects to keep: searches of them take 0.3 s
    try:
        try:
            app()
        except GalaxyError as error:
            fix = make_followable(error.fix, typer.main.get_command(app), sys.argv[1:])
            if lack := find_lack(error):  # what looks damaged or absent may be sound
                fix = f"{FAULTS[lack]} ({os.strerror(lack)}); if this is not the reason, {fix}"
            typer.echo(without_controls(f"Error: {error.message}\nFix: {fix}"), err=True)
            sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in FAULTS:
            raise
        _report_fault(error)
    except Exception as error:
        if not (lack := find_lack(error)):
            raise
        what = "the memory of this machine is" if lack == errno.ENOMEM else "the file handles of this process are"
        typer.echo(f"Error: {what} not enough\nFix: {FAULTS[lack]}", err=True)
        sys.exit(1)


def _report_fault(error: OSError) -> NoReturn:
    """End after a fault of the machine: of a file that the error names, or of standard output, such as a full disk."""
    printed = error.filename is None
    what = "what the command prints could not be written" if printed else f"{error.filename}: cannot be used"
    with suppress(OSError):
        typer.echo(f"Error: {what} ({error.strerror})\nFix: {FAULTS[error.errno or 0]}", err=True)
    with suppress(OSError):  # no more file handles
        for stream in (sys.stdout, sys.stderr):  # or Python fails once more while it empties their buffers at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(1)


def _end_as_by_ctrl_c() -> None:
    """Stop a command on SIGTERM and SIGHUP as on Ctrl-C: no partial output, no orphaned workers."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores one of them
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):  # a shell lets its background jobs ignore Ctrl-C, but a kill is meant
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)
