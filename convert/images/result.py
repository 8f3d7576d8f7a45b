"""What a file of a family becomes: the `config.json` of a model and a step for every tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from convert.images.fitting import Fit, Fitted
from convert.images.rows import IMAGE
from convert.layers.settings import MODEL_TYPE as LAYERS
from convert.layers.settings import graph, settings
from convert.layers.weights import module_names
from convert.weights.ops import KEEP, shape_after
from convert.weights.steps import Plan, Step
from zoo import catalog

NOT_USED = "not used by the result"
COMPONENTS = 10  # of the mixture of codes, which is fitted after a training

#: Tensors of models that no file of Keras has, as they begin: their axes (d of the code, k
#: components), what they are filled with, their type.
SAMPLERS: dict[str, tuple[str, int, str]] = {
    "samplers.gaussian.mean": ("d", 0, "float32"),
    "samplers.gaussian.scale_tril": ("dd", 0, "float32"),
    "samplers.mixture.weights": ("k", 0, "float32"),
    "samplers.mixture.means": ("kd", 0, "float32"),
    "samplers.mixture.scale_trils": ("kdd", 0, "float32"),
}
#: Posteriors whose codes no Gaussians are fitted to: directions, choices of classes.
WITHOUT_SAMPLERS = ("von_mises_fisher", "gumbel_softmax")
BEGINNINGS: dict[str, dict[str, tuple[str, int, str]]] = {
    "genae_ae": SAMPLERS,
    "genae_vae": {**SAMPLERS, "updates": ("", 0, "int64")},
    "genae_eae": {
        **SAMPLERS,
        "code_norm.running_mean": ("d", 0, "float32"),
        "code_norm.running_var": ("d", 1, "float32"),
        "code_norm.num_batches_tracked": ("", 0, "int64"),
    },
}


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
    for setting, (part, axis) in found.file.sizes.items():
        first = next(iter(found.parts[part].units.values()))
        result[setting] = first.shapes[0][axis]
    result |= found.family.derived(result)
    for fitted in found.parts.values():
        if fitted.part.graph:
            assert fitted.network is not None
            result[fitted.part.graph] = graph(fitted.network)
        if fitted.part.makes == IMAGE:
            result["output_activation"] = fitted.part.last_activation
    return result


def beginnings(result: Mapping[str, Any], plan: Plan) -> dict[str, np.ndarray]:
    """Tensors that the model has and the file has not, by name.

    Args:
        result: the `config.json`.
        plan: of the file's own tensors.
    """
    there = {step.target for step in plan.steps}
    if result.get("posterior") in WITHOUT_SAMPLERS:
        there |= SAMPLERS.keys()
    sizes: dict[str, int] = {"d": result.get("latent_size", 0), "k": COMPONENTS}
    return {
        name: np.broadcast_to(np.array(value, kind), [sizes[axis] for axis in axes])
        for name, (axes, value, kind) in BEGINNINGS.get(result["model_type"], {}).items()
        if name not in there
    }


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
