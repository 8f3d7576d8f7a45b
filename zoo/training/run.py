"""`genae train`: from a card to a folder that `from_pretrained` loads."""

import copy
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import set_seed
from transformers.trainer import TRAINER_STATE_NAME

from zoo import ranks
from zoo.card import CARD_FILE, Card
from zoo.data.identity import WHOLE, fingerprint
from zoo.data.sources import beside, locate
from zoo.errors import (
    ConflictError,
    DivergedError,
    InterruptedRunError,
    NotFoundError,
    UsageError,
)
from zoo.header import mark, marks
from zoo.loading import quietly
from zoo.models.images.distributed import alone
from zoo.models.seam import without_bars
from zoo.places import is_address
from zoo.progress import items_bar
from zoo.registry import manifest

from . import fsdp, processes
from .around.ema import EMA
from .best import BestCallback, best_of
from .callbacks import BarCallback, InterruptCallback, without_default_output
from .curve import Curve, CurveCallback
from .divergence import NOTED, advice, check_growth, check_model, check_value, is_finite
from .explaining import check_steps
from .fitting import stored_weights
from .material import Material
from .optimizing import AVERAGE
from .placing import placed
from .recipe import Recipe, one_line
from .recipes import build_recipe
from .remote import KeepingCallback, RemoteRun, destination
from .resuming import START_FILE, changes, check_output, check_start, explain
from .settings import blamed, with_settings
from .variants import card_of_weights


def train(
    card: Card,
    output: str | Path,
    *,
    overrides: Sequence[str] = (),
    resume: bool = False,
    quiet: bool = False,
) -> Path | str:
    """Train the model a card describes.

    Checkpoints live in `OUTPUT.training` beside the output until the run is complete; then the
    weights, config, image processor or tokenizer, card, manifest, README, the curve of the losses
    and, of images, some samples appear in the output folder at once.

    Args:
        card: with [data] and [train].
        output: folder to write; must not hold anything yet. An address that fsspec knows, such
            as `s3://bucket/run`: each checkpoint is put there, too, so that any machine resumes.
        overrides: `key=value` settings in place of the card's. Where they make another model, its
            card is that of a variant, named after the output: see `card_of_weights`.
        resume: continue from the last checkpoint of an interrupted run.
        quiet: draw no progress bar.

    Returns:
        The output folder, or its address.

    Raises:
        UsageError: the card or a setting is wrong, or batch, data set and model do not fit.
        DivergedError: the loss, a tensor or an output is not finite, or implausible;
            nothing is written.
        ConflictError: the output holds something, an interrupted run is in the way, or the run
            to resume was made from another card.
        NotFoundError: there is nothing to resume, or the data set is not found.
        InterruptedRunError: interrupted by Ctrl-C, after saving a checkpoint.
    """
    place, quiet = destination(output), quiet or not ranks.is_first()
    with processes.leaving():
        if isinstance(place, Path):
            return _train(card, place, overrides, resume, quiet)
        resume = place.begin(resume)
        with place.named():
            _train(card, place.folder, overrides, resume, quiet, place)
        if ranks.is_first():
            place.finish()
        return place.address


def _train(
    card: Card,
    output: Path,
    overrides: Sequence[str],
    resume: bool,
    quiet: bool,
    remote: RemoteRun | None = None,
) -> Path:
    """Train in this process; of several the first alone writes and finishes the model."""
    output = output if output.name else output.absolute()
    work = output.with_name(output.name + ".training")
    original, card = card, with_settings(card, overrides)
    with blamed(card, overrides):
        recipe = build_recipe(card, work)

        def find() -> str | None:
            again = ranks.restarts() > 0 and bool(complete_checkpoints(work))
            return find_checkpoint(card, output, work, resume or again)

        checkpoint = processes.agreed(find)
        if checkpoint is not None:
            processes.check_checkpoint(checkpoint)
            fsdp.check_checkpoint(Path(checkpoint), card.train.arguments)
            check_start(work, recipe.start_record)
        check_steps(recipe)
        material = recipe.load(quiet=quiet)
    note_other_files(card)
    set_seed(recipe.arguments.seed)
    with quietly():
        model = material.make_model()
        loss = material.loss(model)
    with checkpoints_in(work, card, recipe.start_record), without_bars():
        try:
            with processes.together(model):
                model, average, history, best = fit(
                    model, recipe, material, checkpoint, quiet, remote
                )
            if not ranks.is_first():
                return output
            with alone(), finished(model, recipe, material, average) as (done, variants):
                check_growth(loss, trained := material.loss(done))
                curve = Curve.of(history, loss, trained, best)
                named = placed(card_of_weights(card, original, output), None if remote else output)
                export(done, recipe, named, material, curve, output, variants, quiet)
        except DivergedError as error:
            last = next(iter(complete_checkpoints(work)[::-1]), None)
            text = advice(str(error), recipe.arguments.learning_rate, work, last)
            raise DivergedError(text) from error
    shutil.rmtree(work)
    if not quiet:
        print(curve.in_words(), file=sys.stderr)
    if trained - loss > NOTED * max(abs(loss), 1) and not quiet:
        print(
            f"the loss is {trained:.4g} and was {loss:.4g} before training: nothing was learnt; a "
            "lower learning_rate may help",
            file=sys.stderr,
        )
    return output


@contextmanager
def checkpoints_in(work: Path, card: Card, start: Mapping[str, Any] | None) -> Iterator[None]:
    """The folder of a run with its card and what its weights began as, if they were given.

    After an error it stays if it has checkpoints.
    """
    if not ranks.is_first():
        yield
        if ranks.place() == 0 and not (work / CARD_FILE).is_file():  # of another machine's own
            shutil.rmtree(work, ignore_errors=True)
        return
    work.mkdir(parents=True, exist_ok=True)
    (work / CARD_FILE).write_text(card.text, encoding="utf-8")
    if start is not None:
        (work / START_FILE).write_text(json.dumps(start), encoding="utf-8")
    try:
        yield
    except BaseException:
        if {path.name for path in work.iterdir()} <= {CARD_FILE, START_FILE}:
            shutil.rmtree(work)
        raise


def fit(
    model: Any,
    recipe: Recipe,
    material: Material,
    checkpoint: str | None,
    quiet: bool,
    remote: RemoteRun | None = None,
) -> tuple[Any, EMA | None, list[dict[str, Any]], dict[str, Any] | None]:
    """Run the Trainer until it ends or Ctrl-C interrupts it.

    Returns:
        The model and the average of its weights, if any, on the first process whole; the
        Trainer's log, of an interrupted run before this one, too; and of the checkpoint that the
        model has in the end, if the card asks for the best, its step and score.

    Raises:
        UsageError: arguments exclude each other.
        ConflictError: the best checkpoint of the interrupted run is gone.
        DivergedError: the loss or a tensor is no longer a finite number.
        InterruptedRunError: interrupted by Ctrl-C, after saving a checkpoint.
    """
    try:
        trainer = material.trainer(
            model,
            rates=recipe.rates,
            operations=recipe.operations,
            ema=None if recipe.ema is None else EMA(model, **recipe.ema),
            evaluate_ema=not recipe.card.train.average_beside,
            validate=material.validate,
        )
    except ValueError as error:  # arguments that exclude each other
        raise UsageError(f"{recipe.card.path}: [train] {one_line(error)}") from error
    whole = fsdp.shard(trainer)
    without_default_output(trainer)
    trainer.add_callback(processes.RankCallback())
    trainer.add_callback(KeepingCallback(remote))
    told = not quiet and not sys.stderr.isatty()  # where the bar is drawn, it has the losses
    say = partial(print, file=sys.stderr, flush=True) if told else (lambda _: None)
    note = (lambda _: None) if quiet else partial(print, file=sys.stderr, flush=True)
    trainer.add_callback(CurveCallback(material.validation_loss, say))
    trainer.add_callback(BestCallback(recipe.card.train.early_stopping_patience, note))
    with InterruptCallback() as interrupt, items_bar("training", quiet=quiet, keep=True) as bar:
        trainer.add_callback(BarCallback(bar))
        trainer.add_callback(interrupt)
        trained = trainer.train(resume_from_checkpoint=checkpoint)
    if interrupt.interrupted:
        raise InterruptedRunError(
            f"stopped at step {trainer.state.global_step} of {trainer.state.max_steps}; saved in "
            f"{recipe.arguments.output_dir}; the same command with --resume continues from there"
        )
    recipe.arguments.distributed_state.wait_for_everyone()  # the others still write
    check_value("the loss", trained.training_loss)
    check_model(model)
    return *whole(), trainer.state.log_history, best_of(trainer.args, trainer.state)


def find_checkpoint(card: Card, output: Path, work: Path, resume: bool) -> str | None:
    """Refuse to overwrite anything; return the checkpoint to resume, None for a new run."""
    check_output(output)
    found = complete_checkpoints(work)
    card_file = work / CARD_FILE
    if resume:
        if not card_file.is_file() or not found:
            raise NotFoundError(f"nothing to resume in {work}; start without --resume")
        if changed := changes(Card.load(card_file), card):
            raise ConflictError(
                f"the run in {work} was started from another card or other settings: "
                f"{explain(changed)}, or remove {work} to start anew"
            )
        for folder in reversed(found):
            if is_finite(folder):
                return str(folder)
        raise DivergedError(
            f"no checkpoint in {work} can be read and is finite; remove it and "
            "train again, with a lower learning_rate if the training diverged"
        )
    if found:
        raise ConflictError(
            f"{work} holds an interrupted run; continue it with --resume, or remove it"
        )
    return None


def complete_checkpoints(work: Path) -> list[Path]:
    """Complete checkpoints by step; the state is written last, so a killed one has none."""
    folders = [file.parent for file in work.glob(f"checkpoint-*/{TRAINER_STATE_NAME}")]
    return sorted(folders, key=lambda folder: int(folder.name.rpartition("-")[2]))


def note_other_files(card: Card) -> None:
    """Report on stderr the data files that are not those of the card.

    This is no error, as copies on the Hub hold the same images in other bytes.
    """
    assert card.data is not None
    name = beside(card.data.dataset, card.path)
    if not card.data.sha256 or is_address(name):
        return
    place = locate(name)
    for name, sha256 in card.data.sha256.items():
        if name == WHOLE and isinstance(place, Path) and fingerprint(place) != sha256:
            print(
                f"{card.data.dataset}: is not the data that {card.id} was trained on",
                file=sys.stderr,
            )
        if name == WHOLE:
            continue
        files = list(place.rglob(name)) if isinstance(place, Path) else []
        if files and sha256 not in map(manifest.sha256, files):
            print(
                f"{card.data.dataset}: {name} is not the file that {card.id} was trained on; its "
                "stated results may not be reached",
                file=sys.stderr,
            )


@contextmanager
def finished(
    model: Any, recipe: Recipe, material: Material, average: EMA | None
) -> Iterator[tuple[Any, dict[str, dict[str, Tensor]]]]:
    """The model with the weights that are to be its own, finished, and other weights of it.

    Its own are the average if there is one. Where the card wants it beside, they are the weights
    of the last step, and its finished tensors are handed out under the name of their variant.
    """
    variants = {}
    with ExitStack() as applied:
        if average is not None and recipe.card.train.average_beside:
            with average.applied():
                stored = stored_weights(material.finish(model), recipe.card.train.stored_as)
                variants[AVERAGE] = copy.deepcopy(stored)  # which keeps tied tensors one
        elif average is not None:
            applied.enter_context(average.applied())
        yield material.finish(model), variants


def export(
    model: Any,
    recipe: Recipe,
    card: Card,
    material: Material,
    curve: Curve,
    output: Path,
    variants: Mapping[str, dict[str, Tensor]],
    quiet: bool = True,
) -> None:
    """Write the model's folder under a temporary name, then rename it.

    What training alone needs is dropped from the model first (`leave_training`, where it has one).

    Args:
        model: finished.
        recipe: it was trained by.
        card: that goes with the weights.
        material: it was trained on.
        curve: of the training.
        output: the folder to write.
        variants: other weights of the model, each for a file that
            `from_pretrained(output, variant=name)` loads.
        quiet: draw no progress bar.
    """
    if hasattr(model, "leave_training"):
        model.leave_training()
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as place:
        folder = Path(place) / output.name
        stored = stored_weights(model.cpu(), recipe.card.train.stored_as)
        names = set(stored)  # saving empties the table
        model.save_pretrained(folder, state_dict=stored)
        for name, tensors in variants.items():
            kept = {key: tensor for key, tensor in tensors.items() if key in names}
            model.save_pretrained(folder, state_dict=kept, variant=name)
        (folder / CARD_FILE).write_text(card.text, encoding="utf-8")
        digest = manifest.sha256(folder / CARD_FILE)
        for file in folder.glob("*.safetensors"):
            mark(file, marks(id=card.id, version=card.version, card=digest))
        material.save(model, folder, quiet=quiet)
        curve.save(folder)
        made = {"by": "genae train", "from": recipe.card.id, "torch": torch.__version__}
        start = recipe.start_record
        known: dict[str, Any] = made if start is None else {**made, "start": start}
        # The page loads from its own folder, as the id may not exist yet, or have other weights.
        manifest.write(folder, card, known, parameters=model.num_parameters(), place=".")
        for file in folder.iterdir():  # safetensors makes its file private
            file.chmod(0o644)
        if not output.exists():
            folder.rename(output)
            return
        for file in sorted(folder.iterdir()):  # into an empty folder, as was checked
            file.rename(output / file.name)
