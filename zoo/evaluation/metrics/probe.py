"""What probes read from a frozen encoder: linear, 200 hidden units, 5 nearest neighbours.

The protocol is the same for every tap and every model: standardised features (mean and deviation
of the fitting images), AdamW from 1e-3 with a cosine schedule, 8 epochs in batches of 256. After
20 epochs a probe of 4096 features has memorised its 40,000 images and loses a point on others. The
number of epochs was chosen on train[35000:40000] of CIFAR-10, after fitting to train[:35000], and
never on images that accuracies are reported on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo.data.splits import canonical
from zoo.errors import UsageError
from zoo.evaluation.representations import check_tap, represent, untrained
from zoo.evaluation.subject import Context, Outcome, Subject, check_count
from zoo.models.images.entropy import nearest_neighbors

from .features import base, train_split

EPOCHS = 8
BATCH = 256
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-2
HIDDEN = 200
DROPOUT = 0.1
NEIGHBORS = 5
QUERY_CHUNK = 2500
CALIBRATION_IMAGES = 10_000  # images for the untrained encoder's batch-norm statistics


@dataclass(frozen=True)
class Representation:
    """Standardised features of one encoder at one tap, with their labels, on the CPU.

    Attributes:
        fit: `(n, size)`, what a probe is fitted to.
        fit_labels: `(n,)`.
        report: `(m, size)`, what it is measured on.
        report_labels: `(m,)`.
        name: of the encoder in the progress bar.
    """

    fit: Tensor
    fit_labels: Tensor
    report: Tensor
    report_labels: Tensor
    name: str

    @property
    def num_classes(self) -> int:
        """Number of classes; labels are 0 to this minus one."""
        return int(max(self.fit_labels.max(), self.report_labels.max())) + 1


def probe_accuracy(
    subject: Subject,
    *,
    probe: str = "mlp",
    tap: str | None = None,
    fit_split: str | None = None,
    num_images: int | None = None,
) -> Outcome:
    """Share of images whose label a probe reads from the frozen encoder, in [0, 1].

    The floor is the same probe on an untrained encoder of the same shape, whose batch-norm
    statistics are those of the fitting images.

    Args:
        subject: a model with an encoder, and labelled images.
        probe: `linear`, `mlp` (200 units) or `knn` (5 neighbours by cosine).
        tap: a layer of the encoder; None for the model's first.
        fit_split: what the probe is fitted to; None for the split the model was trained on.
        num_images: how many images to report on; None for all.

    Raises:
        UsageError: for an unknown probe or tap, data without labels, or a probe that would be
            fitted to the images it reports on.
    """
    if probe not in PROBES:
        raise UsageError(f"no probe {probe!r}; it is one of {', '.join(PROBES)}")
    check_count("num_images", num_images)
    context, tap = subject.context, check_tap(subject.model, tap)
    fit_split = fit_split or train_split(subject)
    check_apart(fit_split, subject.split)
    fit, fit_labels = labelled(subject, fit_split)
    report, report_labels = labelled(subject, subject.split)
    chosen = subject.order(len(report), "images")[:num_images]

    def seen_by(name: str) -> Representation:
        model = None
        if name == "untrained":
            some = fit[subject.order(len(fit), "calibrating")[:CALIBRATION_IMAGES]]
            model = context.once(
                ("untrained", subject.seed, subject.dataset, fit_split),
                lambda: untrained(context, some, subject.seed),
            )
        features = [represent(context, some, tap, model) for some in (fit, report[chosen])]
        standardize(*features)
        return Representation(features[0], fit_labels, features[1], report_labels[chosen], name)

    place = (tap, subject.dataset, subject.config, fit_split, subject.split, num_images)
    accuracies = []
    for name in ("trained", "untrained"):
        # Hundreds of megabytes each: only those of the last tap are kept, for the next probe.
        seen = context.latest(name, (*place, subject.seed), partial(seen_by, name))
        predicted = PROBES[probe](context, seen, subject.generator(f"probe {probe}"))
        accuracies.append((predicted == seen.report_labels).double().mean().item())
    options = {"probe": probe, "tap": tap, "fit_split": fit_split, "num_images": len(chosen)}
    return Outcome(accuracies[0], floor=accuracies[1], options=options)


def check_apart(fit_split: str, split: str) -> None:
    """Raise `UsageError` if a probe would certainly report on images it was fitted to."""
    whole = "[" not in fit_split and base(fit_split) == base(split)
    if canonical(fit_split) == canonical(split) or whole:
        raise UsageError(
            f"a probe fitted to {fit_split!r} and reported on {split!r} has seen the answers; "
            "give two splits without a common image, such as train[:40000] and train[40000:]"
        )


def labelled(subject: Subject, split: str) -> tuple[Tensor, Tensor]:
    """8-bit images and labels of a split, which must have labels and enough images."""
    images = subject.context.images(subject.dataset, split, subject.config)
    if images.labels is None:
        raise UsageError(
            f"data set {subject.dataset} has no labels, so no probe can read them; name another"
        )
    if len(images) <= NEIGHBORS:
        raise UsageError(
            f"{subject.dataset} {split} has {len(images)} images, too few for a probe; "
            f"give at least {NEIGHBORS + 1}"
        )
    return images.pixels, images.labels


def standardize(fit: Tensor, report: Tensor) -> None:
    """Give every feature mean 0 and deviation 1 over the fitting images, in place."""
    mean, deviation = fit.mean(0), fit.std(0).clamp(min=1e-6)
    for features in (fit, report):
        features.sub_(mean).div_(deviation)


def linear(context: Context, seen: Representation, generator: torch.Generator) -> Tensor:
    """Labels `(m,)` that logistic regression predicts."""
    return classify(context, seen, generator, lambda size, classes: nn.Linear(size, classes))


def mlp(context: Context, seen: Representation, generator: torch.Generator) -> Tensor:
    """Labels `(m,)` that a network of one hidden layer of 200 units predicts."""
    return classify(
        context,
        seen,
        generator,
        lambda size, classes: nn.Sequential(
            nn.Linear(size, HIDDEN, bias=False), nn.BatchNorm1d(HIDDEN), nn.ReLU(),
            nn.Dropout(DROPOUT), nn.Linear(HIDDEN, classes),
        ),
    )  # fmt: skip


def classify(
    context: Context,
    seen: Representation,
    generator: torch.Generator,
    make: Callable[[int, int], nn.Module],
) -> Tensor:
    """Fit a classifier by AdamW with a cosine schedule, and predict."""
    device, count = context.device, len(seen.fit)
    steps = -(-count // BATCH)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator.initial_seed())  # of the weights and the dropout
        network = make(seen.fit.shape[1], seen.num_classes).to(device)
        optimizer = torch.optim.AdamW(
            network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * steps)
        for _ in context.track(range(EPOCHS), f"probing the {seen.name} encoder", EPOCHS):
            # A last batch of one has no batch statistics.
            for rows in torch.randperm(count, generator=generator).tensor_split(steps):
                logits = network(seen.fit[rows].to(device))
                loss: Any = functional.cross_entropy(logits, seen.fit_labels[rows].to(device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    network.eval()
    with torch.no_grad():
        chunks = torch.split(seen.report, BATCH)
        return torch.cat([network(chunk.to(device)).argmax(1).cpu() for chunk in chunks])


@torch.no_grad()
def knn(context: Context, seen: Representation, generator: torch.Generator) -> Tensor:
    """Labels `(m,)` by a vote of the 5 nearest in direction; ties go to the nearer ones."""
    references = functional.normalize(seen.fit).to(context.device)
    votes = 1 - 1e-3 * torch.arange(NEIGHBORS)
    predicted = []
    chunks = torch.split(seen.report, QUERY_CHUNK)
    for chunk in context.track(chunks, f"neighbours in the {seen.name} encoder", len(chunks)):
        queries = functional.normalize(chunk).to(context.device)
        labels = seen.fit_labels[nearest_neighbors(queries, NEIGHBORS, references).cpu()]
        counts = torch.zeros(len(chunk), seen.num_classes)
        counts.scatter_add_(1, labels, votes.expand(len(chunk), -1))
        predicted.append(counts.argmax(1))
    return torch.cat(predicted)


PROBES: dict[str, Callable[[Context, Representation, torch.Generator], Tensor]] = {
    "linear": linear,
    "mlp": mlp,
    "knn": knn,
}
