"""What the codes say about the images: rate, its two parts, active units."""

import torch

from zoo.evaluation.geometry.codes import Codes
from zoo.evaluation.geometry.tools import Reading, Readings, Tools
from zoo.models.images.aggregate import rate_split

ACTIVE_VARIANCE = 0.01  # of a posterior mean (Burda et al., arXiv:1509.00519)
SILENT_NATS = 0.01  # mean KL of a dimension that says nothing


def rate(codes: Codes, tools: Tools) -> Readings:
    """Mean KL, in total and by dimension, and its two parts; for an encoder with noise."""
    split = rate_split(codes.mean, codes.log_var, generator=tools.generator)
    parts = tuple(split.kl_per_dim.tolist())
    silent = sum(part < SILENT_NATS for part in parts)
    return {
        "rate": Reading(split.kl, codes.count, parts=parts),
        "silent_dims": Reading(silent, codes.count),
        "mutual_information": Reading(split.mutual_information, codes.count),
        "marginal_kl": Reading(split.marginal_kl, codes.count),
        "split_error": Reading(split.standard_error, codes.count),
        "drawn_sum": Reading(split.drawn_sum, codes.count),
    }


def active_units(codes: Codes, tools: Tools) -> Readings:
    """Number of dimensions whose posterior mean depends on the image."""
    variances = codes.mean.var(0)
    active = int((variances > ACTIVE_VARIANCE).sum())
    return {"active_units": Reading(active, codes.count, parts=tuple(variances.tolist()))}


def active_dimensions(codes: Codes) -> torch.Tensor:
    """Which dimensions are active, shape `(d,)`, bool."""
    return codes.mean.var(0) > ACTIVE_VARIANCE
