"""A run whose output is an address: it works in the cache, and what it makes is put there.

    ADDRESS/                             the model, its manifest last
    ADDRESS.training/card.toml ...       what the run was started from
    ADDRESS.training/checkpoint-N/...    the checkpoints that are kept, the state of each last

A store has no folders that appear as a whole: a model is there with its manifest, a checkpoint
with the Trainer's state, which is written last and removed first.
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import constants
from torch import distributed
from transformers import TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME

from zoo import ranks
from zoo.card import CARD_FILE
from zoo.errors import ConflictError, GenaeError, NotFoundError, UsageError
from zoo.places import Place, is_address
from zoo.registry.manifest import MANIFEST_FILE

from .resuming import START_FILE

WORK = ".training"  # what is behind the name of the folder where a run works
COMPANIONS = (CARD_FILE, START_FILE)


class RemoteRun:
    """The output of a run in a store, and the folder in the cache that it is made in.

    Args:
        address: of fsspec; the last part of it names the model.

    Attributes:
        folder: where the run writes, as if that were its output.

    Raises:
        UsageError: no such protocol, or no name in the address.
        MissingDependencyError: the protocol needs a package that is not installed.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        named = is_address(self.address) and "/" in Place(self.address).root  # no bucket alone
        if not named:
            raise UsageError(f"{address}: names no folder; add one, such as /run")
        self.output, self.work = Place(self.address), Place(f"{self.address}{WORK}")
        name = self.output.root.rpartition("/")[2]
        key = hashlib.sha256(self.address.encode()).hexdigest()[:16]
        self.folder = Path(constants.HF_HOME) / "genae" / "training" / key / name
        self._work = self.folder.with_name(name + WORK)

    def begin(self, resume: bool) -> bool:
        """Make the folder of the run what the store has: nothing, or the run to go on with.

        Args:
            resume: whether to go on.

        Returns:
            Whether the run goes on: if it is to, or a launcher has started its processes again.

        Raises:
            ConflictError: the address holds something.
            NotFoundError: there is nothing to resume.
        """
        kept = self._checkpoints()
        names = self.output.names()
        if self.output.is_file or MANIFEST_FILE in names or (names and not kept):
            raise ConflictError(
                f"{self.address} exists already; choose another --output or remove it"
            )
        resume = resume or (ranks.restarts() > 0 and bool(kept))
        if resume and not kept:
            raise NotFoundError(f"nothing to resume in {self.work}; start without --resume")
        if kept and not resume:
            raise ConflictError(
                f"{self.work} holds an interrupted run; continue it with --resume, or remove it"
            )
        with self._alone():
            shutil.rmtree(self.folder, ignore_errors=True)
            for folder in self._work.glob("checkpoint-*"):
                if folder.name not in kept or not self._same(folder):
                    shutil.rmtree(folder)
            if not kept:
                shutil.rmtree(self._work, ignore_errors=True)
            else:
                self._fetch(kept)
        return resume

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """What messages say of the folder in the cache, they say of the address."""
        try:
            yield
        except GenaeError as error:
            text = str(error).replace(str(self._work), str(self.work))
            raise type(error)(text.replace(str(self.folder), self.address)) from error

    def _same(self, folder: Path) -> bool:
        """Whether a checkpoint here is the one of the store."""
        state = folder / TRAINER_STATE_NAME
        there = self.work.read(f"{folder.name}/{TRAINER_STATE_NAME}")
        return state.is_file() and state.read_bytes() == there

    def _fetch(self, kept: Iterable[str]) -> None:
        self._work.mkdir(parents=True, exist_ok=True)
        for name in COMPANIONS:
            if (content := self.work.read(name)) is not None:
                (self._work / name).write_bytes(content)
        for name in kept:
            if (self._work / name).is_dir():
                continue
            place = Place(f"{self.work}/{name}")
            for path in _marked_last(place.listed(), TRAINER_STATE_NAME):
                place.fetch(path, self._work / name / path)

    def _checkpoints(self) -> list[str]:
        """The names of complete checkpoints in the store."""
        names = [name for name in self.work.names() if name.startswith("checkpoint-")]
        return [name for name in names if TRAINER_STATE_NAME in self.work.names(name)]

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Of several processes on this machine one works at a time."""
        import filelock

        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self.folder.parent / ".lock"):
            yield

    def keep(self, checkpoint: Path) -> None:
        """Put a checkpoint into the store, and remove those that are no longer kept.

        The first process of each machine puts what its processes have written; all meet before
        the state, which says that the checkpoint is complete.
        """
        _meet()
        place = Place(f"{self.work}/{checkpoint.name}")
        names = _marked_last(_files(checkpoint), TRAINER_STATE_NAME)
        if ranks.is_first():
            for name in COMPANIONS:
                if (self._work / name).is_file():
                    self.work.put(self._work / name, name)
        if ranks.place() == 0:
            for name in names:
                if name != TRAINER_STATE_NAME:
                    place.put(checkpoint / name, name)
        _meet()
        if not ranks.is_first():
            return
        place.put(checkpoint / TRAINER_STATE_NAME, TRAINER_STATE_NAME)
        kept = {folder.name for folder in self._work.glob("checkpoint-*")}
        for name in self._checkpoints():
            if name not in kept:
                self.work.remove(f"{name}/{TRAINER_STATE_NAME}")
                self.work.remove(name)

    def finish(self) -> None:
        """Put the finished model into the store, and remove the run from there and from here."""
        for name in _marked_last(_files(self.folder), MANIFEST_FILE):
            self.output.put(self.folder / name, name)
        for name in self._checkpoints():
            self.work.remove(f"{name}/{TRAINER_STATE_NAME}")
        self.work.remove("")
        shutil.rmtree(self.folder.parent)


def destination(output: str | os.PathLike[str]) -> "Path | RemoteRun":
    """Where a run writes: a folder of this machine, or what an address names.

    Raises:
        UsageError: as `RemoteRun`.
        MissingDependencyError: likewise.
    """
    name = os.fspath(output)
    if not is_address(name):
        return Path(os.path.expanduser(name))
    place = Place(name)
    return Path(place.root) if place.local else RemoteRun(name)


class KeepingCallback(TrainerCallback):
    """Put each checkpoint into a store.

    Args:
        remote: the run; None to put nothing anywhere.
    """

    def __init__(self, remote: RemoteRun | None) -> None:
        self.remote = remote

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Put the checkpoint of this step."""
        if self.remote is not None:
            self.remote.keep(Path(args.output_dir) / f"checkpoint-{state.global_step}")


def _files(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def _marked_last(names: Iterable[str], marker: str) -> list[str]:
    return sorted(names, key=lambda name: (name == marker, name))


def _meet() -> None:
    """Wait until all processes have come here."""
    if ranks.count() > 1 and distributed.is_initialized():
        distributed.barrier()
