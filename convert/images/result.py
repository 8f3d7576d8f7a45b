"""What a file of a family becomes: the `config.json` of a model and a step for every tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convert.images.fitting import Fit, Fitted
from convert.images.rows import IMAGE
from convert.layers.settings import MODEL_TYPE as LAYERS
from convert.layers.settings import graph, settings
from convert.layers.weights import module_names
from convert.weights.ops import KEEP, shape_after
from convert.weights.steps import Plan, Step
from zoo import catalog

NOT_USED = "not used by the result"


def configuration(found: Fit, given: Mapping[str, Any]) -> dict[str, Any]:
    """The `config.json`.

    Args:
        found: the file, its sizes known.
        given: settings that no shapes tell.
    """
    if found.file.model == LAYERS:
        (fitted,) = found.parts.values()
        assert fitted.network is not None
        return settings(fitted.network)
    entry = catalog.find_config(found.file.model)
    result: dict[str, Any] = {
        "architectures": [catalog.class_name(entry.model)],
        "model_type": found.file.model,
        "image_size": found.image.size,
        "num_channels": found.image.channels,
        "network": "layers",
        "latent_size": found.latent_size,
        **found.family.settings,
        **found.file.settings,
        **given,
    }
    for fitted in found.parts.values():
        if fitted.part.graph:
            assert fitted.network is not None
            result[fitted.part.graph] = graph(fitted.network)
        if fitted.part.makes == IMAGE:
            result["output_activation"] = fitted.part.last_activation
    return result


def plan(found: Fit, left: Mapping[str, str]) -> Plan:
    """A step for every tensor.

    Args:
        found: the file.
        left: names of tensors that the result has no place for, each with the reason.
    """
    steps = [step for fitted in found.parts.values() for step in _steps(fitted)]
    return Plan(tuple(steps), dict(left))


def _steps(fitted: Fitted) -> list[Step]:
    part, network = fitted.part, fitted.network
    if network is None:
        return [
            Step((name,), part.targets[row], shape, KEEP)
            for row, unit in fitted.tensors()
            for name, shape in zip(unit.tensors, unit.shapes, strict=True)
        ]
    modules = module_names(list(network.layers))
    steps = []
    for layer, unit in fitted.tensors():
        for weight, name in zip(network.layers[layer].weights, unit.tensors, strict=True):
            usual = f"{part.prefix}{modules[layer]}.{weight.name}"
            target = part.targets.get(f"{layer}.{weight.name}", usual)
            steps.append(Step((name,), target, shape_after(weight.op, weight.shape), weight.op))
    return steps
