"""A command, its inputs and what it writes when it is left alone, against which what a broken attempt left is held."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from attempts import Attempt, Before, End, Step, count_steps, empty, left_over, outputs, read_steps, state
from commands import WRITES, Case
from world import make_world

from convnet_galaxies.measure import prevalence
from convnet_galaxies.study import unknown

Outputs = dict[str, dict[str, str]]


@dataclass
class Tally:
    """attempts: by what was done. findings: sentences about what is not as promised."""

    attempts: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def find(self, text: str) -> None:
        """Note and print a finding."""
        self.findings.append(text)
        print(f"--- {text}", flush=True)

    def close(self, commands: int, seconds: float) -> int:
        """Print the table of what was done, and return the exit code."""
        print("\n| what | times |\n| --- | --- |")
        for what, times in sorted(self.attempts.items()):
            print(f"| {what} | {times:,} |")
        print(f"{commands} commands, {len(self.findings)} findings, {seconds:.0f} s")
        return int(bool(self.findings))


class Bench:
    """One command, its inputs, and what it writes when it is left alone."""

    def __init__(self, name: str, case: Case, top: Path, place: Path, tally: Tally) -> None:
        self.name, self.case, self.top, self.place, self.tally = name, case, top, place, tally
        self.prepare()
        log = top / "steps"
        end = self.start(before=count_steps(place, log)).wait()
        if end.code:
            raise RuntimeError(f"{name}: ends with {end.code} when left alone: {end.err}")
        self.seconds = end.seconds
        self.steps: list[Step] = read_steps(log)
        self.states: set[str] = set()
        self.whole = outputs(place, case.varies)
        self.kept = top / "whole"
        shutil.rmtree(self.kept, ignore_errors=True)
        shutil.copytree(place, self.kept)

    def start(self, *more: str, before: Before = lambda: None, logs: Path | None = None) -> Attempt:
        """Start the command."""
        arguments = self.case.arguments(self.top / "world", self.place, *more)
        return Attempt(arguments, logs or self.top, before)

    def prepare(self, *, with_old: bool = False) -> Outputs:
        """Empty the folder of the outputs; put in what the command needs, or an older output. Return what is there."""
        empty(self.place)
        for to, source in self.case.copies.items():
            shutil.copytree(source.format(w=self.top / "world"), self.place / to)
        if with_old:
            shutil.copytree(self.kept, self.place, dirs_exist_ok=True)
            for path in self.place.rglob("*"):
                if path.is_file() and path.suffix in (".csv", ".json", ".html", ".reg", ".png", ".parquet", ".fits"):
                    path.write_bytes(path.read_bytes() + b"\n")
        return outputs(self.place, self.case.varies)

    def judge(self, what: str, before: Outputs) -> None:
        """Look at what an attempt that did not end well left, then run again, and look at that."""
        found = outputs(self.place, self.case.varies)
        if not self.case.goes_on:
            for name in {*before, *self.whole, *found}:
                if found.get(name) not in (before.get(name), self.whole.get(name)):
                    self.tally.find(f"{self.name}, {what}: {name} is neither as before nor whole")
        if found == before and not any(left_over(self.place)) and not self.case.goes_on:
            return  # as if nothing had been
        here = state(self.place, self.case.varies)
        if here in self.states:  # the next run does the same with the same
            self.tally.attempts["next runs left out, since the same was left before"] += 1
            return
        self.states.add(here)
        self.tally.attempts["next runs"] += 1
        self.run_again(what)

    def run_again(self, what: str) -> None:
        """Repeat the command as its user would; the outputs must be those of a run that was left alone."""
        more = ["--force"] if self.case.can_force else []
        if self.name == "train":
            run = self.place / "run"
            done, begun = (run / "model.json").is_file(), (run / "resume.ckpt").is_file()
            more = [] if not run.exists() else ["--resume"] if begun and not done else ["--force"]
        end = self.start(*more).wait()
        if end.code:
            self.tally.find(f"{self.name}, {what}: the next run ends with {end.code}: {end.err[-1500:]}")
        elif changed := self._changed():
            self.tally.find(f"{self.name}, {what}: the next run gives other bytes: {changed}")
        if beside := list(left_over(self.place)):
            self.tally.find(f"{self.name}, {what}: {', '.join(beside)} is left over after the next run")

    def _changed(self) -> list[str]:
        """Return the files that are not those of a run that was left alone."""
        found = outputs(self.place, self.case.varies)
        pairs = [(found.get(name, {}), self.whole.get(name, {}), name) for name in {*found, *self.whole}]
        return [f"{name}/{file}" for a, b, name in pairs for file in {*a, *b} if a.get(file) != b.get(file)]

    def note_hang(self, what: str, end: End) -> None:
        """A process that took too long and was ended from outside is a finding, whatever else it left."""
        if end.is_hang:
            self.tally.find(f"{self.name}, {what}: takes longer than {end.seconds:.0f} s")

    def judge_end(self, what: str, end: End, before: Outputs) -> None:
        """Look at the end of an attempt that was given an obstacle: all of its output, or one message."""
        self.note_hang(what, end)
        if end.code == 0:
            if changed := self._changed():
                self.tally.find(f"{self.name}, {what}: ends well, with other bytes: {changed}")
            return
        if not end.is_one_message:
            self.tally.find(f"{self.name}, {what}: ends with {end.code}, and not with one message: {end.err[-1500:]}")
        self.judge(what, before)

    def choose_old(self, draw: random.Random) -> tuple[bool, list[str]]:
        """Whether an older output is there, and the words that allow to replace it."""
        with_old = self.case.can_force and draw.random() < 0.5
        return with_old, ["--force"] if with_old else []


def make_inputs(top: Path, names: list[str]) -> None:
    """Make the inputs of these commands in top/world, and the empty folder top/place."""
    (top / "place").mkdir()
    unknown.quantify = partial(prevalence.quantify, n_resamples=20)  # 6 s of resampling
    child = os.fork()
    if not child:  # where threads of torch may live
        make_world(top / "world", " ".join(f"{WRITES[name].words} {WRITES[name].copies}" for name in names))
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("the inputs could not be made")
