"""Work that is done ahead of those who need it, in threads."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future
from itertools import islice
from queue import Full, Queue
from typing import Any, TypeVar

A = TypeVar("A")
B = TypeVar("B")

WAIT = 0.1  # seconds between looks at whether anybody still wants more


def ahead(items: Iterable[A], depth: int) -> Generator[A]:
    """The same items, made by another thread before they are asked for.

    Args:
        items: an error of theirs is raised here, in its turn.
        depth: number of items that may wait.
    """
    queue: Queue[tuple[bool, Any]] = Queue(depth)
    left = threading.Event()

    def put(item: tuple[bool, Any]) -> bool:
        while not left.is_set():
            try:
                queue.put(item, timeout=WAIT)
            except Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put((True, item)):
                    return
            put((False, None))
        except BaseException as error:
            put((False, error))
        finally:  # here, where the work was done
            if isinstance(items, Generator):
                items.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            more, item = queue.get()
            if not more:
                if item is not None:
                    raise item
                return
            yield item
    finally:
        left.set()
        thread.join()


def in_order(
    pool: Executor, work: Callable[[A], B], items: Iterable[A], depth: int
) -> Iterator[tuple[A, B]]:
    """Each item and what is made of it, in order, by the threads of a pool.

    Args:
        pool: that does the work.
        work: for one item.
        items: are asked for in this thread.
        depth: number of items that are worked on or wait.
    """
    waiting: deque[tuple[A, Future[B]]] = deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) >= depth:
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()
    finally:
        for _, future in waiting:
            future.cancel()


def batched(items: Iterable[A], size: int) -> Iterator[tuple[A, ...]]:
    """The same items, so many at a time; the last may be fewer."""
    source = iter(items)
    while batch := tuple(islice(source, size)):
        yield batch
