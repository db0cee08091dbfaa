"""Checkpoints of an unfinished run, and Ctrl-C that waits for the end of the step."""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn

from convnet_galaxies.data.output import new_file
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.model.torch_file import read_torch_file
from convnet_galaxies.runs.folder import RunFolder
from convnet_galaxies.training.average import WeightAverage

_FIX = "start the run again with --force"


@dataclass(frozen=True)
class Checkpoint:
    """Content of a checkpoint, and the file it was read from."""

    state: dict[str, Any]
    path: Path

    def restore(
        self, net: nn.Module, optimizers: list[torch.optim.Optimizer], average: WeightAverage
    ) -> tuple[int, float, float, float]:
        """Fill all parts; returns steps done, best validation loss, seconds trained, sum of the epoch's losses.

        Raises InputError for a checkpoint that does not fit them.
        """
        try:
            return self._restore(net, optimizers, average)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[-1].strip()
            raise InputError(f"{self.path}: does not fit the network ({reason})", _FIX) from None

    def _restore(
        self, net: nn.Module, optimizers: list[torch.optim.Optimizer], average: WeightAverage
    ) -> tuple[int, float, float, float]:
        net.load_state_dict(self.state["net"])
        average.net.load_state_dict(self.state["average"])
        for optimizer, saved in zip(optimizers, self.state["optimizers"], strict=True):
            peaks = [group["lr"] for group in optimizer.param_groups]
            optimizer.load_state_dict(saved)
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["initial_lr"] = peak  # for the schedule, which begins after this
        best, seconds, loss_sum = (float(self.state[name]) for name in ("best", "spent", "gathered"))
        return int(self.state["step"]), best, seconds, loss_sum


def save_checkpoint(
    run: RunFolder,
    identity: str,
    net: nn.Module,
    optimizers: list[torch.optim.Optimizer],
    average: WeightAverage,
    *,
    step: int,
    best: float,
    seconds: float,
    loss_sum: float,
) -> None:
    """Write everything needed to continue, through a temporary name."""
    state = {
        "identity": identity,
        "net": net.state_dict(),
        "average": average.net.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "step": step,
        "best": best,
        "spent": seconds,  # the names on disk are those of the first runs
        "gathered": loss_sum,
    }
    with new_file(run.checkpoint, force=True) as temporary, temporary.open("wb") as file:
        torch.save(state, file)  # given a name, torch reports a full disk as a RuntimeError


def load_checkpoint(run: RunFolder, identity: str) -> Checkpoint:
    """Read an unfinished run. Raises UsageError when there is none, InputError when it is of another training."""
    if run.is_finished:
        raise UsageError(
            f"{run.path}: this run is finished", "leave out --resume, and choose another output or --force"
        )
    if not run.checkpoint.is_file():
        raise UsageError(f"{run.path}: found no resume.ckpt, nothing to resume", "leave out --resume")
    state = read_torch_file(run.checkpoint, "a checkpoint", _FIX, check=True)
    if not isinstance(state, dict) or "identity" not in state:
        raise InputError(f"{run.checkpoint}: found something else than a checkpoint", _FIX)
    if state["identity"] != identity:
        raise InputError(
            f"{run.path}: was started with other settings, images or parent",
            "repeat the original command with --resume",
        )
    return Checkpoint(state, run.checkpoint)


class Interrupts:
    """Delay the first Ctrl-C within this context, so that a step is never cut in half; the second one interrupts."""

    def __init__(self) -> None:
        self.caught = False

    def __enter__(self) -> Interrupts:
        self.here = threading.current_thread() is threading.main_thread()
        if self.here:
            self.before = signal.signal(signal.SIGINT, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.caught:
            raise KeyboardInterrupt
        self.caught = True

    def __exit__(self, *error: object) -> None:
        if self.here:
            signal.signal(signal.SIGINT, self.before)
