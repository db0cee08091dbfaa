"""Work spread over processes: results in order, faults passed on, no process left."""

from __future__ import annotations

import math
import multiprocessing
import operator
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convnet_galaxies.simulate.workers import worker_pool


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_arguments(workers: int) -> None:
    with worker_pool(workers) as run:
        assert list(run(math.factorial, range(40))) == [math.factorial(n) for n in range(40)]
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_fault_in_a_worker_is_raised_where_its_result_is_asked_for(workers: int) -> None:
    with worker_pool(workers) as run:
        results = iter(run(operator.neg, [1, 2, "three", 4]))
        assert [next(results), next(results)] == [-1, -2]
        with pytest.raises(TypeError, match="bad operand"):
            next(results)


def threads_of_torch(_: int) -> int:
    import torch

    return int(torch.get_num_threads())


@pytest.mark.parametrize("workers", [1, 2])
def test_the_modules_of_a_pool_compute_on_one_thread(workers: int) -> None:
    with worker_pool(workers, modules=["torch"]) as run:
        assert list(run(threads_of_torch, range(3))) == [1, 1, 1]


def interrupt_after_the_first() -> None:
    with worker_pool(2) as run:
        for _ in run(math.factorial, range(10_000)):
            raise KeyboardInterrupt("by the user")


def test_an_interrupt_ends_the_workers_and_leaves_waiting_work_undone() -> None:
    with pytest.raises(KeyboardInterrupt, match="by the user"):
        interrupt_after_the_first()
    assert multiprocessing.active_children() == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc, which is not there")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_simulation_that_is_killed_leaves_no_worker_and_no_output(tmp_path: Path, number: signal.Signals) -> None:
    output = tmp_path / "sky"
    # As a shell starts what runs in the background; but under nohup, where these tests may run, SIGHUP is ignored too.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGHUP, signal.SIG_DFL); "
        "from convnet_galaxies.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "simulate", "galaxy-zoo"]
    options = [str(output), "--number", "100000", "--workers", "2", "--quiet"]
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True) as process:
        try:
            workers = wait_for(lambda: spawned_by(process.pid), "no worker started")
            process.send_signal(number)
            process.wait(30)
            wait_for(lambda: not any(map(is_alive, workers)), "a worker is still there")
        finally:
            process.kill()  # else a failure would wait for the whole simulation
    assert not output.exists()
    if number != signal.SIGKILL:  # nobody can tidy up after that
        assert list(tmp_path.iterdir()) == []
        assert process.returncode == 130


def wait_for(answer: Callable[[], Any], complaint: str) -> Any:
    """The first answer that is true, within a minute."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = answer()
        if found:
            return found
        time.sleep(0.1)
    pytest.fail(complaint)


def is_alive(process: int) -> bool:
    """Whether there is such a process; a dead one that nobody waited for is none."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def spawned_by(parent: int) -> list[int]:
    """Process ids of both workers of a pool, once they are there."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status, line = (folder / "stat").read_text(), (folder / "cmdline").read_text()
        except OSError:
            continue
        if int(status.rsplit(")", 1)[1].split()[1]) == parent and "spawn_main" in line:
            found.append(int(folder.name))
    return found if len(found) == 2 else []
