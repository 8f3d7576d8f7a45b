"""What processes that a launcher started do together: each a part, and all know the whole.

On torch.distributed, by gloo, which speaks from any machine to any other. Every process goes
through the same items in the same order, so that what comes out is what one would have made.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar

from zoo import ranks
from zoo.errors import LeftError

A = TypeVar("A")
B = TypeVar("B")

#: A process may work on its part as long as it likes; one that dies is noticed at once.
PATIENCE = timedelta(days=30)
#: In what gloo says of a connection, whose errors have no class of their own.
GLOO = "gloo/transport"
#: In which all have to come that were started together: one that died before is not noticed.
MEETING = timedelta(minutes=5)
_JOINED: ContextVar[bool] = ContextVar("joined", default=False)


@contextmanager
def joined() -> Iterator[None]:
    """For the length of a `with`, all processes of the launcher share what can be shared.

    Every process must go through the same calls. Where there is one process, nothing changes.

    Raises:
        LeftError: another process has ended before.
    """
    if ranks.count() == 1:
        yield
        return
    from torch import distributed

    with others():
        meet("gloo", timeout=PATIENCE)
    token = _JOINED.set(True)
    try:
        yield
    finally:
        _JOINED.reset(token)
        distributed.destroy_process_group()


def meet(backend: str | None, **options: Any) -> None:
    """Join the other processes under names of this start.

    torchrun's store outlives a restart unless `--rdzv-backend c10d` is given, and torch would find
    in it the addresses of the processes that have died.

    Args:
        backend: of torch.distributed; None is the one of the device.
        **options: of `init_process_group`.

    Raises:
        LeftError: not all of them came.
    """
    from torch import distributed
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    try:
        store, own, size = next(rendezvous("env://", timeout=MEETING))
        store = PrefixStore(f"restart-{ranks.restarts()}", store)
        store.set(f"here-{own}", "")
        store.wait([f"here-{each}" for each in range(size)], MEETING)
    except distributed.DistError as error:
        raise LeftError(
            f"not all of {ranks.count()} processes came together within "
            f"{MEETING.total_seconds() / 60:.0f} minutes; where one has said nothing, it was "
            "killed or not started: start all of them again"
        ) from error
    distributed.init_process_group(backend, store=store, rank=own, world_size=size, **options)


def shared(items: Iterable[A], work: Callable[[A], B]) -> Iterator[B]:
    """What is made of each item, in order; of processes that have joined each makes its part.

    Args:
        items: the same in every process.
        work: makes something of one, on the CPU where it is a tensor.

    Raises:
        LeftError: another process has ended before.
    """
    if not _JOINED.get():
        yield from map(work, items)
        return
    source = iter(items)
    while turn := list(islice(source, ranks.count())):
        own = [work(item) for item in turn[ranks.rank() :][:1]]
        for each in _gathered(own):
            yield from each


def shared_rows(rows: Sequence[A], work: Callable[[Sequence[A]], Iterable[B]]) -> list[B]:
    """What is made of each row, in order, where one process works on many at a time.

    Args:
        rows: the same in every process.
        work: makes something of each of some rows, which does not depend on the others.

    Raises:
        LeftError: another process has ended before.
    """
    number = min(ranks.count() if _JOINED.get() else 1, len(rows))
    parts = [rows[first::number] for first in range(number)]
    found = [*shared(parts, lambda part: [*work(part)])]
    return [found[place % number][place // number] for place in range(len(rows))]


def of_all(value: A) -> list[A]:
    """The values of all processes that have joined, by rank, once every one is here.

    Raises:
        LeftError: another process has ended before.
    """
    return _gathered(value) if _JOINED.get() else [value]


def by_first(work: Callable[[], A]) -> A:
    """What the first of the processes that have joined makes, in all of them.

    Raises:
        LeftError: another process has ended before.
    """
    if not _JOINED.get():
        return work()
    made: list[Any] = _gathered(work() if ranks.is_first() else None)
    of_first: A = made[0]
    return of_first


def _gathered(value: Any) -> list[Any]:
    from torch import distributed

    found: list[Any] = [None] * ranks.count()
    with others():
        distributed.all_gather_object(found, value)
    return found


@contextmanager
def others() -> Iterator[None]:
    """Raise what torch says of a connection that broke as an error of genae.

    Raises:
        LeftError: another process has ended before.
    """
    from torch.distributed import DistError

    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, DistError) and GLOO not in str(error):
            raise
        raise LeftError(
            "another process has ended before its part was done; where it has said nothing of it, "
            "it was killed, as happens where memory is short: start all of them again"
        ) from error
