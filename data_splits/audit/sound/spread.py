"""The same function over many batches: in this process, over the cores there are, or over a Ray cluster."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

Batch = TypeVar("Batch")
Result = TypeVar("Result")


def spread(
    work: functools.partial[Result], batches: Sequence[Batch], jobs: int = 1, ray: str | None = None
) -> Iterator[tuple[Batch, Result]]:
    """What `work` makes of each batch, with the batch, as they are finished.

    Args:
        work: a function of a module and its first arguments, which any process can be given.
        batches: its last argument.
        jobs: processes on this machine; 1 works in this one.
        ray: address of a Ray cluster that works instead; every node sees the same files under the same paths.

    Raises:
        ValueError: a worker died, or Ray is not installed.
    """
    if ray is not None:
        yield from _over_ray(work, batches, ray)
    elif jobs > 1 and len(batches) > 1:
        yield from _over_processes(work, batches, jobs)
    else:
        for batch in batches:
            yield batch, work(batch)


def _over_processes(work: Callable[[Batch], Result], batches: Sequence[Batch], jobs: int) -> Iterator[Any]:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool

    # Fresh processes: a fork of this one would share locks of threads that it does not have.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(batches)), mp_context=context) as pool:
        futures = {pool.submit(work, batch): batch for batch in batches}
        try:
            for future in as_completed(futures):
                yield futures.pop(future), future.result()
        except BrokenProcessPool as error:
            raise ValueError(
                "a worker died, killed or out of memory; run the same command again (what was measured is "
                "kept), with fewer --jobs"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _over_ray(work: functools.partial[Result], batches: Sequence[Batch], address: str) -> Iterator[Any]:
    try:
        import ray
    except ImportError as error:
        raise ValueError("--ray: needs the package ray; pip install ray, on every node") from error
    ray.init(address=address, ignore_reinit_error=True)
    remote = ray.remote(num_cpus=1, max_retries=2)(work.func)
    pending = {remote.remote(*work.args, batch): batch for batch in batches}
    while pending:
        done, _ = ray.wait(list(pending))
        yield pending.pop(done[0]), ray.get(done[0])
