"""How the networks treat codes: decoded and encoded again, and along interpolations."""

import math

from torch import Tensor

from zoo.evaluation.geometry.codes import Codes
from zoo.evaluation.geometry.tools import Reading, Readings, Tools
from zoo.models.images.interpolation import interpolate_latents

from .overlap import pairs_of

RETURNS = 256  # codes of each kind that are decoded and encoded again
WALKS = 24  # pairs of codes
STEPS = 9  # codes per walk, ends included


def drift(codes: Codes, tools: Tools) -> Readings:
    """||E(D(z)) - z|| / sqrt(d) of prior codes, of codes from data, and their ratio."""
    data = codes.held_out[:RETURNS]
    found = [_drift(points, tools) for points in (tools.normal(len(data), codes.size), data)]
    return {
        "drift_prior": Reading(found[0], len(data)),
        "drift_data": Reading(found[1], len(data)),
        "drift_ratio": Reading(found[0] / max(found[1], 1e-12), len(data)),
    }


def _drift(points: Tensor, tools: Tools) -> float:
    assert tools.decode is not None
    assert tools.encode is not None
    back = tools.encode(tools.decode(points.float())).double()
    return float((back - points).norm(dim=1).mean()) / math.sqrt(points.shape[1])


def walks(codes: Codes, tools: Tools) -> Readings:
    """Length of walks between two codes in pixel space, and their longest step over the mean."""
    assert tools.decode is not None
    start, end = pairs_of(codes, WALKS)
    found: Readings = {}
    for mode in ("linear", "slerp"):
        path = interpolate_latents(start, end, STEPS, mode).float()
        images = tools.decode(path.flatten(0, 1)).double()
        images = images.reshape(*path.shape[:2], -1)
        steps = (images[:, 1:] - images[:, :-1]).norm(dim=2)
        mean = steps.mean(1).clamp(min=1e-12)
        found[f"path_{mode}"] = Reading(steps.sum(1).mean().item(), len(start))
        found[f"step_ratio_{mode}"] = Reading((steps.amax(1) / mean).mean().item(), len(start))
    return found
