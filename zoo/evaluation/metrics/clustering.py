"""How well clusters that a model found by itself agree with labels."""

import numpy as np
import torch
from torch import Tensor

from zoo.errors import UsageError
from zoo.evaluation.subject import Outcome, Subject, check_count
from zoo.gathering import shared


def clustering_accuracy(subject: Subject, *, num_images: int | None = None) -> Outcome:
    """Share of images in the cluster that stands for their label, in [0, 1].

    Each cluster stands for one label and each label has one cluster, those pairs that fit best
    (Hungarian matching). Training saw no label; here they name the clusters.

    Args:
        subject: a model with clusters, and labelled images.
        num_images: a seeded choice of so many images; None for all.

    Returns:
        The floor is the same of k-means on the pixels, with as many clusters.

    Raises:
        UsageError: the data set has no labels.
    """
    check_count("num_images", num_images)
    images = subject.images
    if images.labels is None:
        raise UsageError(
            f"data set {subject.dataset} has no labels that clusters could agree with; name "
            "another one"
        )
    chosen = subject.order(len(images), "images")[:num_images]
    pixels, labels = images.pixels[chosen], images.labels[chosen]
    batches = subject.context.batches(pixels, "assigning clusters")
    found = torch.cat([*shared(batches, lambda values: subject.model.predict(values).cpu())])
    floor = matched(of_pixels(pixels, subject.model.config.num_clusters, subject.seed), labels)
    return Outcome(matched(found, labels), floor, {"num_images": len(chosen)})


def of_pixels(pixels: Tensor, num_clusters: int, seed: int) -> Tensor:
    """Clusters of images by k-means on their pixels, `(N,)`; no more than there are images."""
    from sklearn.cluster import KMeans

    values = pixels.flatten(1).float().numpy() / 255
    count = min(num_clusters, len(np.unique(values, axis=0)))
    fit = KMeans(count, n_init=1, random_state=seed).fit(values)
    return torch.from_numpy(fit.labels_).long()


def matched(clusters: Tensor, labels: Tensor) -> float:
    """Share of images whose cluster is matched with their label, in the best matching.

    Example:
        >>> matched(torch.tensor([2, 2, 0, 0]), torch.tensor([0, 0, 1, 0]))
        0.75
    """
    from scipy.optimize import linear_sum_assignment

    table = torch.zeros(int(clusters.max()) + 1, int(labels.max()) + 1, dtype=torch.long)
    table.index_put_((clusters, labels), torch.ones_like(labels), accumulate=True)
    rows, columns = linear_sum_assignment(-table.numpy())
    return float(table[rows, columns].sum()) / len(labels)
