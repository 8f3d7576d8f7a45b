"""Images of a stream as bytes, for `Endless`."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from zoo.data.image_streams import ImageRows
from zoo.data.images import MAX_PROBLEMS, Images
from zoo.errors import NotFoundError, UnsafeError, UsageError
from zoo.models.images.image_processing_genae import GenaeImageProcessor

BUFFERED = 4_000  # images, undecoded


class ImageExamples:
    """Decodes images as they are drawn; one that cannot be decoded is left out.

    Args:
        found: the rows.
        processor: of the model.
        name: what messages call the data set.
        quiet: say nothing of images that are left out.

    Attributes:
        num_labels: how many classes the model learns; None if it learns none.
        told: why some were left out.
    """

    buffered = BUFFERED

    def __init__(
        self, found: ImageRows, processor: GenaeImageProcessor, name: str, quiet: bool
    ) -> None:
        self.found, self.processor = found, processor
        self.name, self.quiet = name, quiet
        self.num_labels: int | None = None
        self.told: set[str] = set()

    def begin(self, state: Mapping[str, Any] | None) -> None:
        """Begin anew or go on: nothing is left over between rows."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def make(self, rows: Sequence[Mapping[str, Any]], first: int) -> list[Any]:
        """The rows as they are."""
        return [*rows]

    def finish(
        self, examples: Iterable[Mapping[str, Any]]
    ) -> "Iterator[tuple[np.ndarray[Any, Any], int]]":
        """Pixels and label of each image that can be decoded.

        Raises:
            UsageError: a label is none of the classes.
            UnreachableError: a file cannot be had now.
        """
        return (made for each in self.found.read(examples) if (made := self._decoded(each)))

    def _decoded(self, example: Mapping[str, Any]) -> "tuple[np.ndarray[Any, Any], int] | None":
        if self.num_labels is not None and not 0 <= example["label"] < self.num_labels:
            raise UsageError(
                f"data set {self.name} has the label {example['label']}, and the model's "
                f"num_labels is {self.num_labels}; leave such rows out, or set more with "
                "--set config.num_labels"
            )
        cell = example["image"]
        path = cell.get("path") if isinstance(cell, dict) else None
        title = f"data set {self.name}, {path or 'an image'}"
        try:
            pixels = self.processor.to_uint8(self.found.open(cell, title))
        except (UsageError, NotFoundError, UnsafeError, ValueError) as error:
            self._leave_out(str(error))
            return None
        return pixels, example["label"]

    def _leave_out(self, reason: str) -> None:
        """Report the first images that are left out, each once."""
        if len(self.told) < MAX_PROBLEMS and reason not in self.told and not self.quiet:
            print(f"left out: {reason}", file=sys.stderr)
        if len(self.told) < MAX_PROBLEMS:
            self.told.add(reason)

    def collate(self, examples: Sequence[Any]) -> dict[str, Any]:
        """`pixels` uint8 `(B, C, H, W)`, and `labels` `(B,)` where there are any."""
        pixels, labels = zip(*examples, strict=True)
        batch = {"pixels": torch.from_numpy(np.stack(pixels))}
        if self.found.labelled:
            batch["labels"] = torch.tensor(labels)
        return batch

    def images(self, examples: Sequence[Any], split: str) -> Images:
        """Examples as images in memory."""
        batch = self.collate(examples)
        return Images(batch["pixels"], batch.get("labels"), self.name, split)
