"""Work spread over processes: results in order, faults passed on, no process left."""

from __future__ import annotations

import math
import multiprocessing
import operator
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from convnet_galaxies.workers import worker_pool

HANGS_AFTER_SECONDS = 600
"""What nothing is measured by: it ends a test that would wait for ever."""


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
            wait_for_workers(process)
            process.send_signal(number)
            # The pipe ends when all who hold it have ended, and the workers do.
            process.communicate(timeout=HANGS_AFTER_SECONDS)
        finally:
            process.kill()  # else a failure would wait for the whole simulation
    assert not output.exists()
    if number != signal.SIGKILL:  # nobody can tidy up after that
        assert list(tmp_path.iterdir()) == []
        assert process.returncode == 130


def wait_for_workers(process: subprocess.Popen[str]) -> None:
    """Return once both workers are there."""
    end = time.monotonic() + HANGS_AFTER_SECONDS
    while len(spawned_by(process.pid)) < 2:
        assert process.poll() is None, "it ended before it had workers"
        assert time.monotonic() < end, "no workers started"
        time.sleep(0.1)


def spawned_by(parent: int) -> list[int]:
    """Process ids of the workers of a pool."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status, line = (folder / "stat").read_text(), (folder / "cmdline").read_text()
        except OSError:
            continue
        if int(status.rsplit(")", 1)[1].split()[1]) == parent and "spawn_main" in line:
            found.append(int(folder.name))
    return found
