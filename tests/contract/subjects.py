"""The models that the laws of this folder are about, their inputs, and what they give."""

from typing import Any

import torch
from torch import Tensor

from tests.tiny import TINY
from zoo import catalog

BATCH, LENGTH = 6, 8
#: Names of a row and of one of its variants in tests/tiny.py.
VARIANTS = [(name, variant) for name, variants in TINY.items() for variant in variants]
IMAGES = {entry.name for entry in catalog.IMAGES}
OF_IDS = {"embedding", "mask_of_ids"}  # layers that read whole numbers
OF_VECTORS = [case for case in VARIANTS if "input_shape" in TINY[case[0]][case[1]]]
OF_IMAGES = [case for case in VARIANTS if case[0] in IMAGES and case not in OF_VECTORS]


def reads(config) -> str:
    """What a model is given, as the catalog says: images, texts or tensors."""
    return catalog.find_config(config.model_type).reads


def images(config, batch=BATCH, seed=2) -> Tensor:
    """Two-valued images, which every likelihood accepts; vectors where the config has those."""
    shape = (batch, *config.data_shape)
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)).round()


def texts(batch=BATCH, seed=2) -> Tensor:
    """Ids of texts as long as each other, none of them padding."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, 30, (batch, LENGTH), generator=generator)


def tensors(config, batch=BATCH, seed=2) -> dict[str, Tensor]:
    """What a graph of layers takes, of its shapes; ids where a layer looks them up."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for number, one in enumerate(config.inputs):
        shape = [batch, *one["shape"][1:]]
        readers = [node["layer"] for node in config.nodes if one["tensor"] in node["inputs"]]
        ids = any(config.layers[name]["kind"] in OF_IDS for name in readers)
        draw = torch.randint(0, 5, shape, generator=generator) if ids else None
        found[f"in{number}"] = torch.randn(shape, generator=generator) if draw is None else draw
    return found


def examples(config) -> Tensor:
    """A batch of what a model is given, one tensor."""
    if reads(config) == "tensors":
        return tensors(config)["in0"]
    return images(config) if reads(config) == "images" else texts()


def text_labels(auto: str, ids: Tensor) -> Tensor:
    """What a head learns of texts: their tokens, whether each was replaced, or their class."""
    if auto == "AutoModelForPreTraining":
        return ids % 2
    if auto.endswith(("LM", "TokenClassification")):
        return ids % 2 if auto.endswith("Classification") else ids
    return ids[:, 0] % 2


def inputs(config, batch=BATCH) -> dict[str, Tensor]:
    """What the forward of the model that the catalog's row names needs for a loss."""
    auto = catalog.find_config(config.model_type).auto
    if reads(config) == "tensors":
        return tensors(config, batch)
    if reads(config) == "texts":
        ids = texts(batch)
        given = {"input_ids": ids, "labels": text_labels(auto, ids)}
        if getattr(config, "type_vocab_size", 0):
            given["token_type_ids"] = (torch.arange(LENGTH) > 3).long().expand(batch, LENGTH)
        return given
    given = {"pixel_values": images(config, batch)}
    by_class = getattr(config, "prior", "") == "class_means"
    if by_class or auto == "AutoModelForImageClassification":
        given["labels"] = torch.arange(batch) % config.num_labels
    return given


def randomize(model) -> None:
    """Give every tensor another value than it began with, as if trained."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        if reads(model.config) != "images":
            for parameter in model.parameters():
                if parameter.requires_grad:
                    drawn = torch.randn(parameter.shape, generator=generator)
                    parameter.copy_(0.3 * drawn)
            for buffer in model.buffers():
                if buffer.is_floating_point() and reads(model.config) == "tensors":
                    buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
            model.tie_weights()
            return
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point() and not name.startswith("samplers"):
                # Positive everywhere, because some of these are variances.
                tensor += 0.02 * torch.rand(tensor.shape, generator=generator)


def outputs(model, dtype=torch.float32) -> dict[str, Tensor]:
    """What a deterministic call of the model gives, as one tensor per name."""
    torch.manual_seed(3)  # a VAE's forward draws from the posterior
    given = {
        name: value.to(dtype) if value.is_floating_point() else value
        for name, value in inputs(model.config).items()
    }
    with torch.no_grad():
        return by_name(model(**given))


def by_name(found) -> dict[str, Tensor]:
    """The tensors of an output; those of a graph of layers have numbers."""
    named = {name: value for name, value in found.items() if torch.is_tensor(value)}
    for number, value in enumerate(found.get("outputs") or ()):
        named[f"outputs.{number}"] = value
    return named


def loss_of(model) -> Tensor:
    """What training minimises; where nothing says what is right, the outputs' squares."""
    found = model(**inputs(model.config))
    if "loss" in found:
        return found.loss
    return sum(value.square().mean() for value in by_name(found).values())


def represent(model) -> Any:
    """The call that turns images or texts into what depends on each alone."""
    can = catalog.find_config(model.config.model_type).can
    if "quantizes" in can:
        return model.encode_vectors
    if "scores" in can:
        return lambda values: model(values, return_loss=False).log_density
    if reads(model.config) == "tensors":
        names = list(tensors(model.config))
        return lambda values: model(**dict.fromkeys(names, values)).outputs[0]
    if reads(model.config) == "images":
        return model.encode if hasattr(model, "encode") else model.features
    if model.config.is_encoder_decoder:
        return lambda ids: model(input_ids=ids, decoder_input_ids=ids.flip(1)).logits
    return lambda ids: first(model(input_ids=ids))


def first(output) -> Tensor:
    """A text model's main tensor: scores, or hidden states."""
    for name in ("logits", "prediction_logits", "last_hidden_state"):
        if getattr(output, name, None) is not None:
            return getattr(output, name)
    raise AssertionError(output)
