"""A Keras file as a model in memory, and how far its outputs are from the recorded ones."""

import json
from pathlib import Path

import numpy as np
import torch

from convert.layers.network import Network, build
from convert.layers.parsing import parse
from convert.layers.settings import settings
from convert.layers.text import read
from convert.layers.weights import make_plan
from convert.readers import open_checkpoint
from convert.weights.views import SideBySide
from tests.conversion.keras_files import case
from zoo.models.images.configuration_layers import LayersConfig
from zoo.models.images.modeling_layers import LayersModel

#: What is allowed of the largest magnitude, in float32 and in float64.
ALLOWED = (1e-5, 1e-9)
#: The exceptions that the records name: of single precision in models of half precision or of many
#: layers; of double precision where TensorFlow keeps constants single.
EXCEPTIONS = {
    "keras_layers/mixed_float16": (2e-2, 1e-9),
    "keras_layers/weights_float16": (2e-2, 2e-2),
    "keras_layers/weights_bfloat16": (5e-2, 5e-2),
    "keras_models/mobilenet_v2": (1e-4, 1e-9),
    "keras_layers/upsampling2d": (1e-5, 1e-6),
    "keras_layers/upsampling_1d_3d": (1e-5, 1e-6),
    "keras_layers/resizing": (1e-5, 1e-6),
    "keras_models/unet": (1e-5, 1e-6),
    "keras_layers/normalization_adapted": (1e-5, 1e-6),
    "keras_layers/normalization_given": (1e-5, 1e-6),
    "keras_layers/leaky_relus": (1e-5, 1e-6),
    "keras_layers/relu_options": (1e-5, 1e-6),
    "keras_masks/heads": (1e-5, 1e-6),
}


def load(path: Path) -> tuple[Network, LayersModel]:
    """The network of a file, and the model that has its weights."""
    network = build(parse(read(case(path))))
    assert not network.problems, network.problems[0]
    state = {}
    with open_checkpoint(path) as checkpoint:
        for step in make_plan(network, checkpoint).steps:
            parts = [op.view(checkpoint[name]) for name, op in step.parts]
            values = (parts[0] if len(parts) == 1 else SideBySide(parts)).numpy()
            if values.dtype.name == "bfloat16":
                values = values.astype(np.float32)
            state[step.target] = torch.from_numpy(np.ascontiguousarray(values))
    config = LayersConfig.from_dict(json.loads(json.dumps(settings(network))))
    model = LayersModel(config).eval()
    if any(tensor.dtype == torch.float64 for tensor in state.values()):
        model.double()
    model.load_state_dict(state)
    return network, model


def recorded(path: Path) -> dict[str, np.ndarray]:
    """What the original software computed."""
    own = path.with_name("io_keras3.npz")
    of_keras_3 = path.name == "model.keras" or "keras3" in path.name
    return dict(np.load(own if of_keras_3 and own.is_file() else path.with_name("io.npz")))


def inputs(record: dict[str, np.ndarray]) -> list[torch.Tensor]:
    """Those of a record, in order."""
    count = sum(name.startswith("in") for name in record)
    return [torch.from_numpy(record[f"in{i}"]) for i in range(count)]


def differences(path: Path) -> dict[str, float]:
    """Of every recorded output, the largest difference by the largest magnitude."""
    _, model = load(path)
    record = recorded(path)
    given = inputs(record)
    found = {}
    for end in ("", "_f64"):
        if end:
            model.double()
            given = [x.double() if x.is_floating_point() else x for x in given]
        with torch.no_grad():
            outputs = model(*given).outputs
        for i, output in enumerate(outputs):
            if (expected := record.get(f"out{i}{end}")) is not None:
                assert tuple(output.shape) == expected.shape
                size = max(float(abs(expected.astype(float)).max()), 1e-30)
                gap = abs(output.double().numpy() - expected.astype(float)).max()
                found[f"out{i}{end}"] = float(gap) / size
    return found


def allowed(path: Path) -> tuple[float, float]:
    """What is allowed of the outputs of a file, in float32 and in float64."""
    folder = path.parent
    return EXCEPTIONS.get(f"{folder.parent.name}/{folder.name}", ALLOWED)


def check(path: Path) -> None:
    """Raise where an output is further from the recorded one than is allowed."""
    single, double = allowed(path)
    found = differences(path)
    assert found
    far = {
        name: gap
        for name, gap in found.items()
        if not gap <= (double if name.endswith("_f64") else single)
    }
    assert not far, (path, far)
