"""A file of a published script as a model in memory, and what was recorded of the original."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convert.images.opening import open_script
from convert.images.result import beginnings
from tests.conversion.keras_files import SHARED
from zoo import catalog
from zoo.models.images.configuration_layers import LayersConfig
from zoo.models.images.entropy import neighbor_distances
from zoo.models.images.modeling_layers import LayersModel

HERE = Path(__file__).resolve().parents[1] / "fixtures/keras_images"
THERE = SHARED / "keras_images"

#: What Keras recorded in each precision, and how near it has to be, of an array's largest value.
RECORDS = {torch.float32: "ref_f32.npz", torch.float64: "ref_f64.npz"}
TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-9}

Record = dict[str, Tensor]


def load(path: Path, family: str, dtype: torch.dtype = torch.float32, **options: Any) -> Any:
    """The model of a file, in eval mode."""
    with open_script(path, family, options=options) as script:
        _, plan = script.require()
        state = {}
        for step in plan.steps:
            array = step.op.apply(script.checkpoint[step.source].numpy())
            state[step.target] = torch.from_numpy(np.ascontiguousarray(array))
    result = json.loads(json.dumps(script.result))
    for name, array in beginnings(result, plan).items():
        state[name] = torch.from_numpy(array.copy())
    if result["model_type"] == LayersConfig.model_type:
        model: Any = LayersModel(LayersConfig.from_dict(result))
    else:
        entry = catalog.find_config(result["model_type"])
        config = catalog.load(entry.config).from_dict(result)
        model = catalog.load(entry.model)(config)
    model.load_state_dict(state)
    return model.to(dtype).eval()


def record(folder: Path, dtype: torch.dtype) -> tuple[Record, Record]:
    """Inputs and outputs of the original, in one precision."""
    inputs, outputs = (np.load(folder / name) for name in ("inputs.npz", RECORDS[dtype]))
    return tensors(inputs, dtype), tensors(outputs, dtype)


def tensors(arrays: Any, dtype: torch.dtype) -> Record:
    """Arrays as tensors, floats in the precision that is asked for."""
    return {
        name: torch.from_numpy(array).to(dtype if array.dtype.kind == "f" else None)
        for name, array in arrays.items()
    }


def pixel_values(model: Any, x: Tensor) -> Tensor:
    """Images as the original was fed them, as genae's models are."""
    low, high = model.config.pixel_range
    size = model.config.image_size
    square = x.reshape(len(x), size, size, -1).movedim(-1, 1)
    return ((square - low) / (high - low)).clamp(0, 1)


def originals(model: Any, images: Tensor, like: Tensor) -> Tensor:
    """Images of a model as the original made them: in its range and its layout."""
    low, high = model.config.pixel_range
    return (low + (high - low) * images).movedim(1, -1).reshape(-1, *like.shape[1:])


def cross_entropy(x: Tensor, p: Tensor) -> Tensor:
    """Old Keras's, summed over an image."""
    p = p.clamp(1e-7, 1 - 1e-7)
    return -(x * p.log() + (1 - x) * (1 - p).log()).flatten(1).sum(1)


def squared_error(x: Tensor, other: Tensor) -> Tensor:
    """Summed over an image."""
    return (x - other).square().flatten(1).sum(1)


def gaussian(model: Any, given: Record) -> Record:
    """Of a variational autoencoder with a Gaussian posterior, before its losses."""
    mean, log_var = model.posterior(pixel_values(model, given["x"]))
    z = mean + (0.5 * log_var).exp() * given["noise_eps"]
    x_recon = originals(model, model.decode(z), given["x"])
    return {"z_mean": mean, "z_log_var": log_var, "z": z, "x_recon": x_recon}


def plain_vae(model: Any, given: Record) -> Record:
    """Everything recorded of `dense_vae` and `vae_cnn`."""
    made = gaussian(model, given)
    mean, log_var = made["z_mean"], made["z_log_var"]
    made["recon_loss"] = cross_entropy(given["x"], made["x_recon"])
    made["kl_loss"] = -0.5 * (1 + log_var - mean.square() - log_var.exp()).sum(1)
    made["loss_total"] = (made["recon_loss"] + made["kl_loss"]).mean()
    return made


def conditional(model: Any, given: Record) -> Record:
    """Everything recorded of `cvae`, the prior's means of all labels too."""
    made = gaussian(model, given)
    mean, log_var = made["z_mean"], made["z_log_var"]
    centers = model.prior.centers()
    made["class_mean"] = own = centers[given["label"].long()]
    made["class_mean_out"] = given["class_mean_in"] @ centers
    made["recon_loss"] = cross_entropy(given["x"], made["x_recon"])
    made["kl_loss"] = -0.5 * (1 + log_var - (mean - own).square() - log_var.exp()).sum(1)
    made["loss_total"] = (made["recon_loss"] + made["kl_loss"]).mean()
    return made


def clusters(model: Any, given: Record) -> Record:
    """Everything recorded of `vae_cluster`."""
    made = gaussian(model, given)
    z, log_var = made["z"], made["z_log_var"]
    made["y"] = y = model.prior.assign(z).exp()
    made["classifier_out"] = model.prior.assign(given["classifier_in"]).exp()
    made["z_prior_mean"] = away = z[:, None] - model.prior.centers()
    made["recon_loss"] = 0.5 * squared_error(given["x"], made["x_recon"])
    squares = (log_var[:, None] - away.square()).sum(2)
    made["kl_loss"] = -0.5 * (y * squares).sum(1)
    made["cat_loss"] = (y * (y + 1e-7).log()).sum(1)
    weight = 1 / model.config.scale_value**2
    made["loss_total"] = (weight * made["recon_loss"] + made["kl_loss"] + made["cat_loss"]).mean()
    return made


def sphere(model: Any, given: Record) -> Record:
    """Everything recorded of `vae_vmf`."""
    raw = model.encoder(pixel_values(model, given["x"]))
    z = model.family.sample(raw, (given["noise_w"], given["noise_eps"]))
    x_recon = originals(model, model.decode(z), given["x"])
    error = cross_entropy(given["x"], x_recon)
    mu = model.encode(pixel_values(model, given["x"]))
    losses = {"recon_loss": error, "loss_total": error.mean()}
    return {"mu_raw": raw, "mu": mu, "z": z, "x_recon": x_recon, **losses}


def choices(model: Any, given: Record) -> Record:
    """Everything recorded of `vae_gumbel`."""
    outputs = model.encoder(pixel_values(model, given["x"]))
    logits = model.family.logits(outputs)
    z = model.family.sample(outputs, (given["noise_uniform"],))
    x_recon = originals(model, model.decode(z), given["x"])
    p = logits.softmax(-1).clamp(1e-7, 1 - 1e-7)
    made = {"logits": logits, "z": z.reshape(logits.shape), "x_recon": x_recon}
    made["recon_loss"] = cross_entropy(given["x"], x_recon)
    made["kl_loss"] = (p * p.log()).sum((1, 2))
    made["loss_total"] = (made["recon_loss"] + made["kl_loss"]).mean()
    return made


def faces(model: Any, given: Record) -> Record:
    """Everything recorded of `celeba_vae`; its encoder gives the features before the code."""
    images = pixel_values(model, given["x"])
    shift, log_scale = model.encoder(images).chunk(2, 1)
    z = shift + log_scale.exp() * given["noise_eps"]
    x_recon = originals(model, model.decode(z), given["x"])
    graph = model.encoder
    names = [node["layer"] for node in model.config.encoder_layers["nodes"]]
    features = model.config.encoder_layers["nodes"][names.index("features")]["outputs"]
    given_in = {graph.input["tensor"]: given["x"]}
    made = {"z_shift": shift, "z_log_scale": log_scale, "z": z, "x_recon": x_recon}
    (made["features"],) = graph.layers(given_in, features)
    constant = 0.5 * math.log(2 * math.pi) * given["x"][0].numel()
    made["recon_loss"] = 0.5 * squared_error(given["x"], x_recon) + constant
    made["z_loss"] = 0.5 * (z.square() - given["noise_eps"].square()).sum(1)
    made["logdet_loss"] = -log_scale.sum(1)
    made["loss_total"] = sum(made[f"{name}_loss"].mean() for name in ("recon", "z", "logdet"))
    return made


def autoencoder(model: Any, given: Record) -> Record:
    """Everything recorded of `ae`."""
    z = model.encode(pixel_values(model, given["x"]))
    x_recon = originals(model, model.decode(z), given["x"])
    error = squared_error(given["x"], x_recon)
    return {"z": z, "x_recon": x_recon, "recon_loss": error, "loss_total": error.mean()}


def entropic(model: Any, given: Record) -> Record:
    """Everything recorded of `eae`, in the model's mode."""
    made = autoencoder(model, given)
    made["z_before_bn"] = model.encoder(pixel_values(model, given["x"]))
    made["log_nn_distance"] = neighbor_distances(made["z"], 1)[:, 0].log()
    made["entropy_term"] = made["z"].shape[1] * made["log_nn_distance"].mean()
    weight = model.config.entropy_weight
    made["loss_total"] = made["recon_loss"].mean() - weight * made["entropy_term"]
    return made


def shuffled(model: Any, given: Record, features: Tensor, name: str, z: Tensor) -> Record:
    """Scores of codes with their own features and with those of shuffled images, as chances."""
    scores = getattr(model, f"{name}_scores")
    order = given["noise_perm_z" if name == "global" else "noise_perm_f"].long()
    features, codes = scores.embed(features, z)
    made = {"pos": scores.paired(features, codes)}
    made["neg"] = scores.paired(features[..., order, :], codes)
    side = round(len(features) ** 0.5)
    places = (side, side, 1) if name == "local" else (1,)
    return {
        f"{name}_{key}": one.sigmoid().movedim(-1, 0).reshape(len(z), *places)
        for key, one in made.items()
    }


def infomax(model: Any, given: Record) -> Record:
    """Everything recorded of `infomax`."""
    local, _, _, outputs = model.encoder(pixel_values(model, given["x"]))
    mean, log_var = outputs.chunk(2, 1)
    z = mean + (0.5 * log_var).exp() * given["noise_eps"]
    made = {"z_mean": mean, "z_log_var": log_var, "z": z, "feature_map": local.movedim(1, -1)}
    made |= shuffled(model, given, z, "global", z)
    made |= shuffled(model, given, local.flatten(2).permute(2, 0, 1), "local", z)
    for name in ("global", "local"):
        pos, neg = made[f"{name}_pos"], made[f"{name}_neg"]
        made[f"{name}_info_loss"] = -((pos + 1e-6).log() + (1 - neg + 1e-6).log()).mean()
    kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var)
    made |= {"prior_kl_loss": kl.mean(1), "prior_kl_loss_batch": kl.mean()}
    config = model.config
    made["loss_total"] = (
        config.alpha * made["global_info_loss"]
        + config.beta * made["local_info_loss"]
        + config.gamma * config.latent_size * kl.mean()
    )
    return made


def quantized(model: Any, given: Record) -> Record:
    """Everything recorded of `vq_vae`, the loss of `forward` in its units among it."""
    pixels = pixel_values(model, given["x"])
    vectors = model.encode_vectors(pixels)
    codes = model.encode(pixels)
    read = model.embed(codes)
    x_recon = originals(model, model.decode(codes), given["x"])
    error = (given["x"] - x_recon).square().flatten(1).mean(1)
    far = (vectors - read).square().flatten(1).mean(1)
    values = vectors[0].numel()
    # What forward sums is, but for the constant of a Gaussian, the mean times a grid's values.
    scale = model.config.scale_value
    constant = math.log(scale) + 0.5 * math.log(2 * math.pi)
    loss = (model(pixels).loss - given["x"][0].numel() * constant) / values
    found = model.quantize(given["quantizer_in"].movedim(-1, 1))
    return {
        "z_e": vectors.movedim(1, -1), "codes": codes, "z_q": read.movedim(1, -1),
        "x_recon": x_recon, "mse_x": error, "mse_e": far, "loss_total": loss,
        "quantizer_out0": found, "quantizer_out1": model.embed(found).movedim(1, -1),
    }  # fmt: skip


TAU = float(np.float32(0.7))  # a variable of TensorFlow's, of single precision

#: Family -> the file of its whole model, what its record asks for, and options.
WHOLE: dict[str, tuple[str, Callable[[Any, Record], Record], dict[str, Any]]] = {
    "dense_vae": ("vae.weights", plain_vae, {}),
    "vae_cnn": ("vae.weights", plain_vae, {}),
    "celeba_vae": ("vae.weights", faces, {}),
    "cvae": ("vae.weights", conditional, {}),
    "vae_cluster": ("vae.weights", clusters, {}),
    "vae_vmf": ("vae.weights", sphere, {"concentration": 20}),
    "vae_gumbel": ("vae.weights", choices, {"num_choices": 10, "relaxation": TAU}),
    "ae": ("ae.weights", autoencoder, {}),
    "eae": ("eae.weights", entropic, {}),
    "vq_vae": ("train_model.weights", quantized, {"image_size": 64}),
    "infomax": ("total_model.cifar10.weights", infomax, {"image_size": 32}),
}


#: Recorded outputs of parts by themselves.
PARTS = ("decoder_out", "discriminator_out")

#: Files of a whole model, as each software saved it.
WHOLE_FILES = (
    "full.h5", "tfkeras/whole.h5", "tfkeras/whole.weights.h5", "tfkeras/full.h5",
    "tfkeras/ckpt_whole",
)  # fmt: skip


def forms(family: str) -> list[Path]:
    """Every recorded file of a family's whole model."""
    names = (WHOLE[family][0], *WHOLE_FILES)
    return [path for name in names if (path := THERE / family / name).exists()]


def gaps(made: Record, expected: Record) -> dict[str, float]:
    """How far each array is from the recorded one, of whose samples there may be fewer."""
    found = {}
    for name, array in expected.items():
        own = made[name].detach()[: len(array)] if array.ndim else made[name].detach()
        assert own.shape == array.shape, name
        largest = float(array.double().abs().max())
        found[name] = float((own.double() - array.double()).abs().max()) / max(largest, 1e-30)
    return found
