"""Run one command in a process of its own, forked with all libraries loaded, and break it at a step of its writing.

A step is whatever touches the folder of the outputs: to open, make, list, rename, remove or flush a file. Python's own
audit hooks name most of them; a hook that raises makes the call fail as the system would.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import pkgutil
import re
import resource
import select
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import convnet_galaxies
from convnet_galaxies import cli
from convnet_galaxies.data import output

STEPS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.scandir", "os.truncate")
READING = ("os.listdir", "os.scandir")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
LEFT_OVER = (".unfinished", ".lock", ".old", ".training")

Before = Callable[[], None]
OnStep = Callable[[int, "Step"], None]


@dataclass(frozen=True)
class Step:
    """A step of writing.

    what: the call. path: of the file. is_change: whether what is in the folder is otherwise after it, so not for
    reading, listing and flushing. lines: the lines of the package that led to it, as a hash.
    """

    what: str
    path: str
    is_change: bool
    lines: str

    @property
    def writes(self) -> bool:
        """Whether a full disk can hinder it."""
        return self.is_change or self.what == "fsync"

    @property
    def removes_lock(self) -> bool:
        """Whether it removes a lock, which a process that ends drops in any case."""
        return self.what == "os.remove" and self.path.endswith(".lock")

    def __str__(self) -> str:
        return f"{self.what} {self.path}"


@dataclass(frozen=True)
class End:
    """How a process ended.

    code: exit code, or minus the signal. out, err: what it printed. seconds: how long it took. is_hang: whether it was
    ended since it took too long.
    """

    code: int
    out: str
    err: str
    seconds: float
    is_hang: bool = False

    @property
    def is_one_message(self) -> bool:
        """Whether it ended with one message for users, and no traceback."""
        told = self.err.count("\nError: ") + self.err.startswith("Error: ")
        return self.code in (1, 2) and told == 1 and "\nFix: " in self.err and "Traceback" not in self.err


def load_everything() -> None:
    """Import every module of the package, so that forked processes start at once."""
    for module in pkgutil.walk_packages(convnet_galaxies.__path__, "convnet_galaxies."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


class Attempt:
    """A command that runs in a forked process; logs: folder for what it prints."""

    def __init__(self, arguments: list[str], logs: Path, before: Before = lambda: None) -> None:
        self.out, self.err = logs / "out", logs / "err"
        self.started = time.monotonic()
        sys.stdout.flush()
        sys.stderr.flush()
        self.process = os.fork()
        if not self.process:
            self._run(arguments, before)
        os.waitid(os.P_PID, self.process, os.WEXITED | os.WNOHANG | os.WNOWAIT)

    def _run(self, arguments: list[str], before: Before) -> None:
        code = 70
        try:
            os.setsid()
            for number, path in ((1, self.out), (2, self.err)):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            sys.argv = ["convnet-galaxies", *arguments]
            os.environ["COLUMNS"] = "300"
            before()
            try:
                cli.main()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                try:
                    stream.flush()
                except OSError:
                    code = code or 71
            os._exit(code)

    def wait(self, limit_s: float = 150) -> End:
        """Wait for the end; a process that takes longer is killed, with exit code -9."""
        handle = os.pidfd_open(self.process)
        try:
            is_hang = not select.select([handle], [], [], limit_s)[0]
            if is_hang:
                os.kill(self.process, signal.SIGKILL)
        finally:
            os.close(handle)
        code = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        seconds = time.monotonic() - self.started
        return End(
            code, self.out.read_text("utf-8", "replace"), self.err.read_text("utf-8", "replace"), seconds, is_hang
        )

    def kill(self, after_s: float) -> bool:
        """Kill the process after a time; return whether it still lived."""
        time.sleep(max(0.0, self.started + after_s - time.monotonic()))
        os.kill(self.process, signal.SIGKILL)
        return self.wait().code == -signal.SIGKILL

    def is_anything_left(self, limit_s: float = 20) -> bool:
        """Whether processes that it started live on; they get a while to notice that it is gone."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            try:
                os.killpg(self.process, 0)
            except ProcessLookupError:
                return False
            time.sleep(0.05)
        os.killpg(self.process, signal.SIGKILL)
        return True


def watch(folder: Path, on_step: OnStep) -> None:
    """Call on_step(number, step) before each step of this process that touches the folder."""
    top = os.path.realpath(folder)
    count, is_within = 0, False

    def touch(what: str, path: str, is_change: bool) -> None:
        nonlocal count, is_within
        if is_within:
            return
        count += 1
        is_within = True
        try:
            on_step(count, Step(what, path, is_change, _lines()))
        finally:
            is_within = False

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in STEPS and isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.fsdecode(arguments[0])
            if path.startswith((top, str(folder))):
                touch(event, path, bool(arguments[2] & WRITING) if event == "open" else event not in READING)

    flush, exchange = os.fsync, output._exchange

    def fsync(handle: int) -> None:
        path = str(Path(f"/proc/self/fd/{handle}").readlink())
        if path.startswith(top):
            touch("fsync", path, False)
        flush(handle)

    def exchanged(first: Path, second: Path) -> bool:
        touch("exchange", str(first), True)
        return exchange(first, second)

    os.fsync = fsync
    output._exchange = exchanged
    sys.addaudithook(hook)


def count_steps(folder: Path, log: Path) -> Before:
    """Write the steps of a process into a log, one per line."""

    def before() -> None:
        file = log.open("w", buffering=1)
        watch(folder, lambda number, step: print(json.dumps(asdict(step)), file=file))

    return before


def read_steps(log: Path) -> list[Step]:
    """Return the steps of a log."""
    return [Step(**json.loads(line)) for line in log.read_text().splitlines()]


def _lines() -> str:
    """Return a hash of the lines of the package in the stack."""
    frame, lines = sys._getframe(2), []
    while frame is not None:
        if "convnet_galaxies" in frame.f_code.co_filename:
            lines.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        frame = frame.f_back
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def fail_at(folder: Path, step: int, error: int) -> Before:
    """Make one step fail with an error of the system, such as ENOSPC."""

    def on_step(number: int, at: Step) -> None:
        if number == step:
            raise OSError(error, os.strerror(error), at.path if at.what != "fsync" else None)

    return lambda: watch(folder, on_step)


def die_at(folder: Path, step: int) -> Before:
    """Kill the process before one step."""

    def on_step(number: int, at: Step) -> None:
        if number == step:
            os.kill(os.getpid(), signal.SIGKILL)

    return lambda: watch(folder, on_step)


def pause_at(folder: Path, step: int, told: int, go: int) -> Before:
    """Write a byte to told before one step, and go on when one can be read from go."""

    def on_step(number: int, at: Step) -> None:
        if number == step:
            os.write(told, b"x")
            os.read(go, 1)

    return lambda: watch(folder, on_step)


def limit(what: int, value: int) -> Before:
    """Set a limit of resources, such as RLIMIT_NOFILE."""
    return lambda: resource.setrlimit(what, (value, value))


def fingerprint(path: Path, varies: tuple[str, ...] = ()) -> dict[str, str]:
    """Return a hash of each file of a tree by its place, of folders and of files whose content varies their kind."""
    found = {}
    for file in [path, *sorted(path.rglob("*"))] if path.is_dir() else [path]:
        place = file.relative_to(path).as_posix()
        if file != path and is_left_over(file.name):
            continue
        if file.is_dir():
            found[place] = "folder"
        else:
            data = file.read_bytes()
            if file.name == "metrics.csv":  # its second column is a time
                data = re.sub(rb"(?m)^([^,\n]*),[^,\n]*", rb"\1", data)
            found[place] = "varies" if file.name in varies else hashlib.sha256(data).hexdigest()
    return found


def outputs(place: Path, varies: tuple[str, ...] = ()) -> dict[str, dict[str, str]]:
    """Return the fingerprint of each output, by name; what an interrupted writing leaves counts as none."""
    return {path.name: fingerprint(path, varies) for path in sorted(place.iterdir()) if not is_left_over(path.name)}


def state(place: Path, varies: tuple[str, ...] = ()) -> str:
    """Return a hash of all that is in a folder, whatever the process that left it and the time were."""
    found = []
    for path in sorted(place.rglob("*")):
        at = re.sub(r"(unfinished-?)\d+", r"\1", path.relative_to(place).as_posix())
        is_dull = path.is_dir() or path.name.endswith(".lock") or path.name in varies
        found.append((at, "" if is_dull else fingerprint(path)["."]))
    return hashlib.sha256(repr(sorted(found)).encode()).hexdigest()


def is_left_over(name: str) -> bool:
    """Whether a name is one of unfinished writing."""
    return name.startswith(".") and any(ending in name for ending in LEFT_OVER)


def left_over(place: Path) -> Iterator[str]:
    """Yield whatever below a folder is hidden, as all that is unfinished is."""
    yield from (str(path.relative_to(place)) for path in place.rglob(".*"))


def empty(folder: Path) -> None:
    """Remove everything in a folder."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
