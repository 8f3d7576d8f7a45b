"""`genae train`: from a card to a folder that `from_pretrained` loads."""

import shutil
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from transformers import TrainingArguments, set_seed
from transformers.trainer import TRAINER_STATE_NAME

from zoo import catalog, plots
from zoo.card import CARD_FILE, Card, dumps
from zoo.data.pictures import PictureDataset, Pictures, load_pictures
from zoo.data.sources import locate
from zoo.errors import (
    ConflictError,
    GenaeError,
    InterruptedRunError,
    NotFoundError,
    UsageError,
)
from zoo.registry import manifest

from .fitting import calibrate_batch_norm, encode_all, fit_samplers, stored_weights
from .recipe import Recipe, build_recipe, one_line, override
from .trainer import BarCallback, InterruptCallback, PictureTrainer, without_default_output

SHOWN_SAMPLES = 64


def train(
    card: Card,
    output: str | Path,
    *,
    overrides: Sequence[str] = (),
    resume: bool = False,
    quiet: bool = False,
) -> Path:
    """Train the model a card describes.

    Checkpoints live in `OUTPUT.training` beside the output until the run is complete; then the
    weights, config, image processor, card, manifest, README and a picture of samples appear in
    the output folder at once.

    Args:
        card: with [data] and [train].
        output: folder to write; must not hold anything yet.
        overrides: `key=value` settings in place of the card's; the stated results, which are of
            the card as it stands, are then left out of the copy.
        resume: go on from the last checkpoint of an interrupted run.
        quiet: draw no progress bar.

    Returns:
        The output folder.

    Raises:
        UsageError: the card or a setting is wrong, or there are fewer pictures than a batch.
        ConflictError: the output holds something, an interrupted run is in the way, or the run
            to resume was made from another card.
        NotFoundError: nothing to resume, or the data set is nowhere.
        InterruptedRunError: stopped by Ctrl-C after a checkpoint was saved.
    """
    if overrides:
        table = override(tomllib.loads(card.text), list(overrides))
        table.pop("results", None)
        card = Card.parse(dumps(table), card.path)
    recipe = build_recipe(card)
    output = Path(output) if Path(output).name else Path(output).absolute()
    work = output.with_name(output.name + ".training")
    checkpoint = find_checkpoint(card, output, work, resume)
    pictures = load_training_pictures(recipe, quiet)
    work.mkdir(parents=True, exist_ok=True)
    (work / CARD_FILE).write_text(card.text, encoding="utf-8")

    arguments = recipe.training_arguments(work)
    set_seed(arguments.seed)
    model = catalog.load(catalog.find(card.architecture).model)(recipe.config)
    if hasattr(model, "begin_training"):  # weights that start from the data
        model.begin_training(pictures.pixels.double().mean(0) / 255)
    assert card.data is not None
    try:
        trainer = PictureTrainer(
            model=model,
            args=arguments,
            train_dataset=PictureDataset(placed(pictures, card, arguments)),
            binarization=card.data.binarization,
            augmentations=card.data.augmentations,
            num_views=card.data.num_views,
            cuda_graph=card.cuda_graph,
        )
    except ValueError as error:  # arguments that exclude each other
        raise UsageError(f"{card.path}: [train] {one_line(error)}") from error
    without_default_output(trainer)
    console = Console(stderr=True)
    if console.is_terminal and not quiet:
        trainer.add_callback(BarCallback(console))
    with InterruptCallback() as interrupt:
        trainer.add_callback(interrupt)
        trainer.train(resume_from_checkpoint=checkpoint)
    if interrupt.interrupted:
        raise InterruptedRunError(
            f"stopped at step {trainer.state.global_step} of {trainer.state.max_steps}; saved in "
            f"{work}; the same command with --resume goes on from there"
        )
    finish(model, recipe, pictures)
    export(model, recipe, output)
    shutil.rmtree(work)
    return output


def find_checkpoint(card: Card, output: Path, work: Path, resume: bool) -> str | None:
    """Refuse to overwrite anything; the checkpoint to go on from, None for a new run."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConflictError(f"{output} exists already; choose another --output or remove it")
    found = complete_checkpoints(work)
    card_file = work / CARD_FILE
    if resume:
        if not card_file.is_file() or not found:
            raise NotFoundError(f"nothing to resume in {work}; start without --resume")
        if Card.load(card_file).to_dict() != card.to_dict():
            raise ConflictError(
                f"the run in {work} was started from another card or other settings; resume it "
                "with those, or remove it"
            )
        return str(found[-1])
    if found:
        raise ConflictError(
            f"{work} holds an interrupted run; --resume goes on with it, or remove it"
        )
    return None


def complete_checkpoints(work: Path) -> list[Path]:
    """Checkpoints by step, without one that a kill cut short: its state is written last."""
    folders = [file.parent for file in work.glob(f"checkpoint-*/{TRAINER_STATE_NAME}")]
    return sorted(folders, key=lambda folder: int(folder.name.rpartition("-")[2]))


def load_training_pictures(recipe: Recipe, quiet: bool) -> Pictures:
    """The train split, decoded; fewer pictures than a batch are refused."""
    data = recipe.card.data
    assert data is not None
    pictures = load_pictures(
        data.dataset, data.train_split, recipe.processor, config=data.config, quiet=quiet
    )
    note_other_files(recipe.card)
    batch = recipe.arguments.get("per_device_train_batch_size", 8)
    if recipe.arguments["dataloader_drop_last"] and len(pictures) < batch:
        raise UsageError(
            f"{data.dataset} {data.train_split} has {len(pictures)} pictures, fewer than one "
            f"batch of {batch}; lower it with --set per_device_train_batch_size={len(pictures)}"
        )
    components = getattr(recipe.config, "num_mixture_components", 0)
    if "mixture" in recipe.card.samplers and len(pictures) < components:
        raise UsageError(
            f"{data.dataset} {data.train_split} has {len(pictures)} pictures, fewer than the "
            f"mixture's {components} components; lower it with "
            f"--set num_mixture_components={len(pictures)}"
        )
    if "num_labels" in recipe.card.config and pictures.labels is None:
        raise UsageError(f"{data.dataset} {data.train_split} has no labels for a classifier")
    return pictures


def placed(pictures: Pictures, card: Card, arguments: TrainingArguments) -> Pictures:
    """The pictures on the GPU where a card asks for graphs, whose steps are shorter than copies.

    Elsewhere they stay in memory, which holds more; so they do for loaders that are other
    processes or pin what they load, as neither takes tensors of a GPU.
    """
    if not card.cuda_graph or arguments.dataloader_num_workers or arguments.dataloader_pin_memory:
        return pictures
    return pictures.to(arguments.device)


def note_other_files(card: Card) -> None:
    """Say on stderr which data files are not those the card names.

    A note and no error: the Hub's copies hold the same pictures in other bytes.
    """
    assert card.data is not None
    place = locate(card.data.dataset)
    for name, sha256 in card.data.sha256.items():
        files = list(place.rglob(name)) if isinstance(place, Path) else []
        if files and sha256 not in map(manifest.sha256, files):
            print(
                f"{card.data.dataset}: {name} is not the file that {card.id} was trained on; its "
                "stated results may not be reached",
                file=sys.stderr,
            )


def finish(model: Any, recipe: Recipe, pictures: Pictures) -> None:
    """Batch-norm statistics of the whole train split, then the samplers the card names."""
    data = recipe.card.data
    assert data is not None
    set_seed(recipe.arguments.get("seed", 42))
    calibrate_batch_norm(model, pictures.pixels, data.binarization)
    if recipe.card.samplers:
        seed = recipe.arguments.get("seed", 42)
        codes = encode_all(model, pictures.pixels, data.binarization, seed)
        if not codes.isfinite().all():
            raise GenaeError(
                "the training diverged: codes are not finite; train again with a lower "
                "learning_rate"
            )
        fit_samplers(model, codes, recipe.card.samplers, seed)


def export(model: Any, recipe: Recipe, output: Path) -> None:
    """Write the model's folder beside its place, then rename it there."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as place:
        folder = Path(place) / output.name
        stored = stored_weights(model.cpu(), recipe.card.stored_as)
        model.save_pretrained(folder, state_dict=stored)
        recipe.processor.save_pretrained(folder)
        (folder / CARD_FILE).write_text(recipe.card.text, encoding="utf-8")
        if hasattr(model, "sample"):
            pictures = model.sample(SHOWN_SAMPLES, seed=0)
            plots.save_grid(recipe.processor.crop_padding(pictures), folder / "samples.png")
        made = {"by": "genae train", "from": recipe.card.id, "torch": torch.__version__}
        manifest.write(folder, recipe.card, made, parameters=model.num_parameters())
        for file in folder.iterdir():  # safetensors makes its file private
            file.chmod(0o644)
        if not output.exists():
            folder.rename(output)
            return
        for file in sorted(folder.iterdir()):  # into an empty folder, as was checked
            file.rename(output / file.name)
