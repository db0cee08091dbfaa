"""Work spread over processes: results in order, faults passed on, no process left."""

from __future__ import annotations

import math
import multiprocessing
import operator

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


def interrupt_after_the_first() -> None:
    with worker_pool(2) as run:
        for _ in run(math.factorial, range(10_000)):
            raise KeyboardInterrupt("by the user")


def test_an_interrupt_ends_the_workers_and_leaves_waiting_work_undone() -> None:
    with pytest.raises(KeyboardInterrupt, match="by the user"):
        interrupt_after_the_first()
    assert multiprocessing.active_children() == []
