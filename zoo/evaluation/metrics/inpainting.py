"""How well a model fills in what is missing: a classifier reads what it completed."""

import torch
from torch import Tensor

from zoo.data.masks import MASKS, hidden_part
from zoo.errors import UsageError
from zoo.evaluation.subject import Outcome, Subject, check_count
from zoo.gathering import by_first
from zoo.hints import did_you_mean
from zoo.plots import to_uint8
from zoo.progress import items_bar

from .features import reader_of, reframe, sampling_options, share_read

BATCH = 128  # chains at once; part of what a seed means, so no option


@torch.no_grad()
def inpainting_accuracy(
    subject: Subject,
    *,
    mask: str = "lower",
    steps: int | None = None,
    temperature: float | None = None,
    jump: bool | None = None,
    features: str | None = None,
    num_images: int | None = 500,
) -> Outcome:
    """Share of images whose label a classifier reads off what the model completed, in [0, 1].

    The floor is its share on the same images with the hidden part black, the ceiling that on whole
    ones: a completion is a guess, and what was hidden may have been another digit.

    Args:
        subject: a model with an energy, and labelled images.
        mask: what is hidden: `left`, `right`, `lower` or `center`.
        steps: of the chains; None is the model's own number.
        temperature: the same at all steps in place of the schedule.
        jump: denoise once at the end; None does.
        features: id or folder of the classifier; None is the one for the data set.
        num_images: how many images, chosen by the seed; None for all.

    Raises:
        UsageError: if the data set has no labels or no classifier, or an option is out of range.
    """
    if mask not in MASKS:
        raise UsageError(f"no mask {mask!r}. {did_you_mean(str(mask), MASKS)}")
    check_count("num_images", num_images)
    images, context = subject.images, subject.context
    if images.labels is None:
        raise UsageError(
            f"data set {subject.dataset} has no labels to read; name another one with --data"
        )
    options = sampling_options(
        subject, sampler="langevin", steps=steps, temperature=temperature, jump=jump
    )
    reader = reader_of(subject, features)
    chosen = subject.order(len(images), "images")[:num_images]
    pixels, labels = images.pixels[chosen], images.labels[chosen]
    hidden = hidden_part(mask, context.processor)
    walk = {name: value for name, value in options.items() if name != "sampler"}

    def walked() -> Tensor:
        generator, made = subject.generator("inpainting"), []
        chunks = torch.split(pixels, BATCH)
        with items_bar("inpainting", len(chunks) * options["steps"], quiet=context.quiet) as bar:
            for chunk in chunks:
                whole = (chunk.float() / 255).to(context.device)
                filled = subject.model.inpaint(
                    whole, hidden, **walk, generator=generator, on_step=lambda _: bar()
                )
                made.append(to_uint8(filled.cpu()))
        return torch.cat(made)

    completed = reframe(by_first(walked), context.processor, context.processor)
    black = pixels.masked_fill(hidden, 0)
    value, floor, ceiling = (
        share_read(context, reader, shown, labels) for shown in (completed, black, pixels)
    )
    used = {"mask": mask, **walk, "features": reader.name, "num_images": len(pixels)}
    return Outcome(value, floor, used, ceiling)
