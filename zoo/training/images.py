"""Training on images, or on points of the plane."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import set_seed

from zoo import catalog, plots, ranks
from zoo.card import Card
from zoo.card.schema import TASKS
from zoo.data.binarization import binarize
from zoo.data.image_streams import stream_images
from zoo.data.images import ImageDataset, Images, load_images, to_values
from zoo.data.sources import DATASETS
from zoo.errors import UsageError
from zoo.models.images.energy_sampling import CHAIN_BATCH
from zoo.models.images.image_processing_genae import GenaeImageProcessor, GenaeImagesKwargs
from zoo.progress import items_bar

from .batches import check_together
from .divergence import LOSS_EXAMPLES, check_model, check_outputs, check_tensors, loss_in_use
from .fitting import batches, calibrate_batch_norm, encode_all, fit_samplers
from .image_examples import BUFFERED, ImageExamples
from .material import Material, held_out, some
from .recipe import Recipe, build_config, build_parts, check_known, one_line
from .streams import Endless
from .trainer import ImageTrainer

SHOWN_SAMPLES = 64
SHOWN_CLASSES, SHOWN_OF_CLASS = 16, 8  # rows of a grid by classes, and columns
SHOWN_POINTS = 10_000
VALIDATED = 1000  # images of the validation split, at most


@dataclass(frozen=True)
class ImageRecipe(Recipe):
    """A recipe for a model of images or of points.

    Attributes:
        processor: makes the model's images; None for a model of vectors.
    """

    processor: GenaeImageProcessor | None

    @property
    def model_class(self) -> Any:
        """The class of the model."""
        return catalog.load(self.entry.model)

    def make_model(self) -> Any:
        """A model with fresh weights."""
        return self.model_class(self.config)

    def load(self, *, quiet: bool = False) -> "ImageMaterial":
        """The train split, decoded."""
        data, asked = self.data, self.arguments.do_eval
        if data.streaming:
            stream = self._stream(data.train_split, quiet)
            sample = self._sampled(stream, data.train_split)

            def drawn(split: str) -> Images:
                return self._sampled(self._stream(split, quiet), split, VALIDATED)

            validation = held_out(data, drawn, quiet=quiet, needed=asked)
            return ImageMaterial(self, sample, validation, stream)

        def read(split: str) -> Images:
            return load_images(
                self.dataset, split, self.processor, config=data.config, quiet=quiet
            )

        images = read(data.train_split)
        return ImageMaterial(self, images, held_out(data, read, quiet=quiet, needed=asked))

    def _stream(self, split: str, quiet: bool) -> Endless:
        """The share of this process in images that have no length."""
        assert self.processor is not None
        rows = stream_images(self.dataset, split, config=self.data.config, quiet=quiet)
        return Endless(
            rows.rows,
            ImageExamples(rows, self.processor, self.data.dataset, quiet),
            self.arguments.train_batch_size // ranks.count(),
            seed=self.arguments.seed,
            rank=ranks.rank(),
            count=ranks.count(),
            name=f"data set {self.data.dataset} {split}",
        )

    def _sampled(self, stream: Endless, split: str, count: int = BUFFERED) -> Images:
        """Images of a stream in memory, the same in every process."""
        examples = stream.examples
        assert isinstance(examples, ImageExamples)
        return examples.images(stream.sample(count), split)


def image_recipe(card: Card, output_dir: str | Path) -> ImageRecipe:
    """Add the image processor to what any recipe has, and check that all fits together.

    The arguments are those of `build_recipe`.

    Raises:
        UsageError: with the card, the table and the key.
    """
    assert card.data is not None
    check_known(card, "processor", card.processor, GenaeImagesKwargs.__annotations__,
                "field of the image processor")  # fmt: skip
    config = build_config(card)
    parts = build_parts(card, output_dir, config)
    try:
        processor = GenaeImageProcessor(**card.processor)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{card.path}: {one_line(error)}") from error
    model_class = catalog.load(parts.entry.model)
    if card.data.num_views > 1 and "other_view" not in signature(model_class.forward).parameters:
        raise UsageError(
            f"{card.path}: [data] num_views {card.data.num_views}: {model_class.__name__} takes "
            "one view of each image; leave it out"
        )
    vectors = getattr(config, "input_shape", None)
    source = DATASETS.get(card.data.dataset)
    if source is not None and source.text_columns:
        raise UsageError(
            f"{card.path}: data set {card.data.dataset} has texts; a card of texts says in [data] "
            f"what for, by a task: {', '.join(TASKS)}"
        )
    points = source is not None and source.planar
    wanted = [2] if points else None
    if (None if vectors is None else list(vectors)) != wanted:
        has, change = ("points", "set it to [2]") if points else ("images", "leave it out")
        raise UsageError(
            f"{card.path}: data set {card.data.dataset} has {has}, and the config's input_shape "
            f"is {vectors}; {change}"
        )
    if points:
        return ImageRecipe(*parts, None)
    made = {"image_size": processor.output_size, "num_channels": processor.num_channels}
    for field, value in made.items():
        if value != getattr(config, field):
            raise UsageError(
                f"{card.path}: the processor makes images of {field} {value}, the config's "
                f"{field} is {getattr(config, field)}; make them equal"
            )
    return ImageRecipe(*parts, processor)


@dataclass(frozen=True)
class ImageMaterial(Material):
    """Images in memory.

    Attributes:
        recipe: of the training.
        images: the train split; of a stream a sample.
        validation: the validation split; None without one.
        stream: the train split, if it is streamed.
    """

    recipe: ImageRecipe
    images: Images
    validation: Images | None = None
    stream: Endless | None = None

    def make_model(self) -> Any:
        """A model that starts from the data, where its weights do."""
        model = self.recipe.make_model()
        check_together(model, self.recipe, self.images)
        if hasattr(model, "begin_training"):
            model.begin_training(self.images.pixels.double().mean(0) / 255)
        return model

    def trainer(self, model: Any, **settings: Any) -> ImageTrainer:
        """A Trainer that augments and binarises in the step."""
        data = self.recipe.data
        if self.stream is not None and model.learns_labels:
            examples = self.stream.examples
            assert isinstance(examples, ImageExamples)
            examples.num_labels = model.config.num_labels
        return ImageTrainer(
            model=model,
            args=self.recipe.arguments,
            train_dataset=self.stream or ImageDataset(self._placed()),
            binarization=data.binarization,
            augmentations=data.augmentations,
            num_views=data.num_views,
            cuda_graph=self.recipe.card.train.cuda_graph,
            **settings,
        )

    def _placed(self) -> Images:
        """The images, on the GPU if the card asks for graphs, whose steps are shorter than copies.

        Otherwise they stay in main memory, which is larger; so do those for loaders in other
        processes or with pinned memory, which do not take tensors of a GPU.
        """
        arguments = self.recipe.arguments
        apart = arguments.dataloader_num_workers or arguments.dataloader_pin_memory
        if apart or not self.recipe.card.train.cuda_graph:
            return self.images
        return self.images.to(arguments.device)

    def loss(self, model: Any) -> float:
        """The loss on the first images."""
        size = max(LOSS_EXAMPLES, model.min_batch_size)
        return loss_in_use(model, partial(self._inputs, model, self.images, slice(size)))

    def _inputs(self, model: Any, images: Images, rows: Any) -> dict[str, Any]:
        """Some images as a model is called with them."""
        pixels = to_values(images.pixels[rows].to(model.device))
        made = {"pixel_values": binarize(pixels, self.recipe.data.binarization)}
        if model.learns_labels and images.labels is not None:
            made["labels"] = images.labels[rows].to(model.device)
        return made

    def validation_inputs(self, model: Any) -> list[Callable[[], dict[str, Any]]]:
        """Batches of equally many images, `VALIDATED` in all or what there are."""
        if self.validation is None:
            return []
        chosen = some(len(self.validation), VALIDATED)
        size = max(VALIDATED // 4, model.min_batch_size)
        size = min(size, len(chosen))
        if size < model.min_batch_size:
            return []
        starts = range(0, len(chosen) - size + 1, size)
        return [
            partial(self._inputs, model, self.validation, chosen[start : start + size])
            for start in starts
        ]

    def finish(self, model: Any) -> Any:
        """Batch-norm statistics of the whole train split, then the samplers the card names.

        Of a stream they are those of a sample.
        """
        pixels, seed = self.images.pixels, self.recipe.arguments.seed
        binarization = self.recipe.data.binarization
        set_seed(seed)
        calibrate_batch_norm(model, pixels, binarization)
        if samplers := self.recipe.card.train.samplers:
            codes = encode_all(model, pixels, binarization, seed)
            fit_samplers(model, codes, samplers, seed)
        if hasattr(model, "end_training"):
            model.end_training()
        check_model(model)
        values = next(batches(pixels, binarization, model.device))
        check_outputs(model, {"pixel_values": values, "return_loss": False})
        return model

    def save(self, model: Any, folder: Path, *, quiet: bool = True) -> None:
        """The image processor, and an image of samples where the model draws any."""
        processor = self.recipe.processor
        if processor is not None:
            processor.save_pretrained(folder)
        if not hasattr(model, "sample"):
            return
        model = model.to(self.recipe.arguments.device)
        classes = plots.classes_of(model, "prior")[:SHOWN_CLASSES]
        rows = plots.in_rows(classes, SHOWN_OF_CLASS * len(classes)) if classes else None
        shown = SHOWN_SAMPLES if processor is not None else SHOWN_POINTS
        samples = draw(model, shown, quiet, rows, self.recipe.card.shown_sampler)
        check_tensors([("a sample", samples)])
        if processor is not None:
            columns = SHOWN_OF_CLASS if rows else None
            plots.save_grid(processor.crop_padding(samples), folder / "samples.png", columns)
        else:
            plots.save_points(samples, folder / "samples.png")


def draw(model: Any, count: int, quiet: bool, labels: list[int] | None, sampler: str) -> Tensor:
    """Samples of a model for people to look at, on the CPU; chains move a bar on.

    Where labels are given, there is one sample of each. A model without samplers has its prior.
    """
    if labels is not None:
        of_labels: Tensor = model.sample(len(labels), seed=0, labels=labels)
        return of_labels.cpu()
    steps = model.sampling_options().get("steps")
    if steps is None:
        fitted = {} if sampler == "prior" else {"sampler": sampler}
        drawn: Tensor = model.sample(count, seed=0, **fitted)
        return drawn.cpu()
    with items_bar("drawing samples", steps * -(-count // CHAIN_BATCH), quiet=quiet) as bar:
        drawn = model.sample(count, seed=0, on_step=lambda _: bar())
    return drawn.cpu()
