"""Training in several processes, which `torchrun` or `accelerate launch` has started.

Nothing of our own: the Trainer, accelerate and torch.distributed do it. Here stands what they are
told: a card's batch is that of all processes together, each of which takes its part of it; on the
CPU they speak by gloo; and the first alone writes.
"""

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn
from transformers import TrainerCallback, TrainingArguments

from zoo.errors import ConflictError, GenaeError, NotFoundError, UsageError
from zoo.gathering import meet, others
from zoo.models.images.distributed import whole_batch_norms
from zoo.ranks import count, is_first, rank, restarts


def arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    """What the Trainer is told besides a card's own options.

    Args:
        options: of the card.
    """
    if count() == 1:
        return {}
    told: dict[str, Any] = {"accelerator_config": {"split_batches": True}}
    if options.get("use_cpu") or not torch.cuda.is_available():
        told |= {"use_cpu": True, "ddp_backend": "gloo"}
    if restarts() and not distributed.is_initialized():
        meet(told.get("ddp_backend"))
    return told


def check_batch(found: TrainingArguments, where: str) -> None:
    """Refuse a batch that the processes cannot share equally.

    Raises:
        UsageError: naming the setting that fixes it.
    """
    processes, batch = count(), found.per_device_train_batch_size
    if batch % processes:
        fitting = max(processes, batch - batch % processes)
        raise UsageError(
            f"{where}: [train] per_device_train_batch_size {batch} is the batch of all "
            f"{processes} processes together, which cannot share it equally; change it with "
            f"--set per_device_train_batch_size={fitting}"
        )


def check_last(rows: int, found: TrainingArguments, where: str) -> None:
    """Refuse a smaller last batch, of which processes would have parts of different sizes.

    Raises:
        UsageError: naming the setting that fixes it.
    """
    if count() > 1 and not found.dataloader_drop_last and rows % found.train_batch_size:
        raise UsageError(
            f"{where} leaves {rows % found.train_batch_size} for the last batch, which "
            f"{count()} processes would not share equally; change it with "
            "--set dataloader_drop_last=true"
        )


def check_checkpoint(folder: str | Path | None) -> None:
    """Refuse to resume with another number of processes, whose random numbers are not kept.

    Raises:
        ConflictError: the checkpoint was written by more or fewer.
    """
    if folder is None:
        return
    written = len([*Path(folder).glob("rng_state*.pth")])
    if written != count():
        one = f"torchrun --nproc-per-node {written} -m zoo train" if written > 1 else "genae train"
        raise ConflictError(
            f"{folder} was written by {_processes(written)}, and this is {_processes(count())}: "
            f"resume it with `{one} ... --resume`, or remove {Path(folder).parent} to start anew"
        )


def agreed(find: Callable[[], str | None]) -> str | None:
    """What one process finds to resume from, if all of them find the same; None for a new run.

    Args:
        find: gives a checkpoint's folder, or refuses.

    Raises:
        ConflictError: another machine does not see the checkpoint of the first, or refuses.
        GenaeError: as `find` does.
    """
    if count() == 1:
        return find()
    checkpoint, refused = None, None
    try:
        checkpoint = find()
    except GenaeError as error:
        refused = error
    seen = Path(checkpoint).name if checkpoint else ""
    reason = "" if refused is None or isinstance(refused, NotFoundError) else str(refused)
    found: list[Any] = [None] * count()
    distributed.all_gather_object(found, (seen, reason, socket.gethostname()))
    for number, (name, why, machine) in enumerate(found):
        if why and refused is None:
            raise ConflictError(f"process {number}, on {machine}, refuses: {why}")
        if name != found[0][0] and not (why or found[0][1]):
            raise ConflictError(
                f"process {number}, on {machine}, sees {name or 'nothing'} to resume, and process "
                f"0, on {found[0][2]}, {found[0][0] or 'nothing'}: --output has to lie in a "
                "folder that all machines share"
            )
    if refused is not None:
        raise refused
    return checkpoint


def _processes(number: int) -> str:
    return "1 process" if number == 1 else f"{number} processes"


@contextmanager
def together(model: nn.Module) -> Iterator[None]:
    """For the length of a `with`, what couples a batch sees that of all processes."""
    if count() == 1:
        yield
        return
    names = getattr(model, "sees_whole_batch", ())
    parts = [part for name in names if (part := getattr(model, name, None)) is not None]
    given = {each for part in parts for each in part.modules()}
    with whole_batch_norms(model, given):
        yield


@contextmanager
def leaving() -> Iterator[None]:
    """Take leave of the other processes at the end, also after an error.

    Raises:
        LeftError: another process has ended before.
    """
    try:
        with others() if count() > 1 else nullcontext():
            yield
    finally:
        if count() > 1 and distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()


class RankCallback(TrainerCallback):
    """Random numbers of its own for every process but the first, whose are those of a lone one.

    They begin behind the making of data loaders, which draw the order that all share.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Seed torch's generators anew."""
        if not is_first():
            torch.manual_seed(args.seed + 1_000_003 * rank())
