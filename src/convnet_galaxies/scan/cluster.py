"""Shards on Dask: local processes, or any scheduler. A shard goes out with its content and comes back as a table.

This process alone writes files and ledger, so that workers need to read the tiles and nothing else. Dask gives the work
of a lost worker to another one; a shard that several workers in a row died of is an error of that shard.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from convnet_galaxies.data.decoding import count_processors
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.scan.engine import predict_shards
from convnet_galaxies.scan.shards import Reader, Shard, ShardResult

AHEAD = 2
"""Tasks per worker that are sent or under way, so that none waits for this process."""
TASK_IMAGES = 2048
"""Shards of few images go together up to this number, since the last batch of a task is filled up."""


@contextmanager
def on_cluster(
    cluster: str, reader: Reader, predictor: dict[str, Any]
) -> Iterator[Callable[[Iterable[Shard]], Generator[ShardResult]]]:
    """Yield a function from shards to their results, in the order in which workers finish them.

    cluster: a number of local processes, or the address of a scheduler (``tcp://host:8786``), or its file.
    predictor: arguments of Predictor, which each worker makes once.
    Raises InputError without Dask or scheduler.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise InputError(
            "--cluster: found no Dask", "pip install 'convnet-galaxies[cluster]', or use --part K/N"
        ) from None
    with ExitStack() as stack:
        if cluster.isdecimal():
            number = int(cluster)
            if not 1 <= number <= 1024:
                raise UsageError(f"--cluster: found {number}, expected processes from 1 on", "give e.g. 4")
            local = LocalCluster(
                n_workers=number,
                threads_per_worker=1,
                dashboard_address="127.0.0.1:0",  # a fixed port may be taken
                memory_limit=0,
                silence_logs=40,
            )
            client = stack.enter_context(Client(stack.enter_context(local)))
            threads: int | None = max(1, count_processors() // number)
        else:
            try:
                client = stack.enter_context(
                    Client(scheduler_file=cluster) if cluster.endswith(".json") else Client(cluster, timeout="20s")
                )
            except (OSError, ValueError) as error:
                raise InputError(
                    f"--cluster: found no Dask scheduler at {cluster} ({error})",
                    "start one with Dask's own command, dask scheduler, or give a number of local processes",
                ) from None
            threads = None
        setting = client.scatter((reader, predictor, threads), broadcast=True, hash=False)
        yield lambda shards: _run(client, setting, shards)


def _run(client: Any, setting: Any, shards: Iterable[Shard]) -> Generator[ShardResult]:
    from distributed import as_completed

    tasks = group_shards(shards)
    under_way: dict[Any, tuple[Shard, ...]] = {}
    finished = as_completed()

    def send() -> None:
        workers = max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
        while len(under_way) < AHEAD * workers and (some := next(tasks, ())):
            future = client.submit(_predict, setting, some, pure=False, retries=0)
            under_way[future] = some
            finished.add(future)

    send()
    for future in finished:
        some = under_way.pop(future)
        error = future.exception()
        if error is None:
            yield from future.result()
        else:
            reason = f"{type(error).__name__}: {error}"
            yield from (ShardResult(shard.number, shard.name, None, reason) for shard in some)
        send()


def group_shards(shards: Iterable[Shard]) -> Iterator[tuple[Shard, ...]]:
    """Yield shards in groups: those of unknown size alone, others up to TASK_IMAGES images together."""
    some: list[Shard] = []
    total = 0
    for shard in shards:
        size = TASK_IMAGES if shard.images is None else shard.images
        if some and total + size > TASK_IMAGES:
            yield tuple(some)
            some, total = [], 0
        some.append(shard)
        total += size
    if some:
        yield tuple(some)


_PREDICTORS: dict[str, Predictor] = {}


def _predict(setting: tuple[Reader, dict[str, Any], int | None], shards: Sequence[Shard]) -> list[ShardResult]:
    """Predict shards on a worker, whose networks stay between tasks."""
    import torch

    reader, options, threads = setting
    key = repr(options)
    if key not in _PREDICTORS:
        if threads is not None:
            torch.set_num_threads(threads)
        _PREDICTORS.clear()
        _PREDICTORS[key] = Predictor(**options)
    return list(predict_shards(reader, shards, _PREDICTORS[key]))
