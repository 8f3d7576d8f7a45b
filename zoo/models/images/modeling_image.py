"""What all image models share: loading by id, images in."""

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init

from .configuration_image import ImageConfig
from .layer_graph import Weights
from .likelihoods import Likelihood
from .samplers import LatentSampler


class GenaePreTrainedModel(PreTrainedModel):
    """Base of every model: ids are translated by a registry, weights start from Glorot's rule."""

    config_class = ImageConfig
    base_model_prefix = "model"
    main_input_name = "pixel_values"
    accepts_loss_kwargs = False  # the Trainer then scales the loss under accumulation itself
    #: Names of parts that are given the batch of all processes, not this one's.
    sees_whole_batch: tuple[str, ...] = ()
    allows_tf32 = True  # whether training on a GPU may round products to 10 bits of mantissa

    @property
    def cannot(self) -> dict[str, str]:
        """What these weights cannot do that others of the class can, each with the reason.

        Keys are words of the catalog's abilities; a reason is a clause about "this model".
        """
        return {}

    @property
    def learns_labels(self) -> bool:
        """Whether training needs the labels of images, which `forward` then takes."""
        return "labels" in inspect.signature(self.forward).parameters

    @property
    def min_batch_size(self) -> int:
        """Minimum number of images in a batch for the loss, over all processes."""
        return 1

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            init.xavier_uniform_(module.weight)
        elif isinstance(module, Likelihood) and module.scale == "shared":
            init.constant_(module.log_scale, module.initial_log_scale)
        elif isinstance(module, Weights):
            module.begin()
        elif isinstance(module, LatentSampler):
            for buffer in module.buffers(recurse=False):
                init.zeros_(buffer)

    def check_pixel_values(self, pixel_values: Tensor) -> None:
        """Raise `ValueError` unless the images have the config's shape and lie in [0, 1].

        The range is not checked in training, where it costs, nor in compiled or exported graphs.
        """
        config = self.config
        shape = (config.num_channels, config.image_size, config.image_size)
        if pixel_values.ndim != 4 or tuple(pixel_values.shape[1:]) != shape:
            raise ValueError(
                f"pixel_values must have shape (batch, {', '.join(map(str, shape))}), got "
                f"{tuple(pixel_values.shape)}; the model's image processor makes that shape"
            )
        if not pixel_values.is_floating_point():
            raise ValueError(
                f"pixel_values must be floats in [0, 1], got {pixel_values.dtype}; divide 8-bit "
                "images by 255 or use the model's image processor"
            )
        blind = self.training or pixel_values.is_meta or torch.compiler.is_compiling()
        if not blind and pixel_values.numel():
            lowest, highest = (value.item() for value in pixel_values.aminmax())
            if not (lowest >= 0 and highest <= 1):
                raise ValueError(
                    f"pixel_values must lie in [0, 1], got [{lowest:g}, {highest:g}]; divide "
                    "8-bit images by 255 or use the model's image processor"
                )

    def gradient_if_asked(self, values: Tensor) -> contextlib.AbstractContextManager[Any]:
        """A `with` block that keeps a graph only for those who ask for one.

        A gradient is asked for in training mode, and by values that require one; so outside of
        training `model.encode(pixel_values).numpy()` works, and whoever wants the gradient of the
        weights in eval mode passes `pixel_values.requires_grad_()`. Under `torch.no_grad()` there
        is none. `forward` does not ask: its losses always have one.
        """
        asked = self.training or values.requires_grad
        return torch.set_grad_enabled(asked and torch.is_grad_enabled())

    @contextlib.contextmanager
    def inference(self) -> Iterator[None]:
        """Eval mode without gradients in a `with` block; every module's mode is restored."""
        modes = [(module, module.training) for module in self.modules()]
        try:
            with torch.no_grad():
                self.eval()
                yield
        finally:
            for module, training in modes:
                module.training = training


def stored_shapes(
    model_class: type[PreTrainedModel], config: dict[str, Any]
) -> dict[frozenset[str], list[int]]:
    """The tensors of a checkpoint, from the config alone and without memory.

    Args:
        model_class: genae's or transformers'.
        config: the content of `config.json`.

    Returns:
        A shape for every tensor under all its names, several where weights are tied; buffers
        that are not stored are left out.
    """
    with torch.device("meta"):
        config_class = cast(type[PreTrainedConfig], model_class.config_class)
        model = model_class(config_class.from_dict(dict(config)))
    names: dict[int, set[str]] = {}
    tensors = model.state_dict(keep_vars=True)
    for name, tensor in tensors.items():  # tied tensors are one object
        names.setdefault(id(tensor), set()).add(name)
    return {frozenset(own): list(tensors[min(own)].shape) for own in names.values()}


def random_generator(
    seed: int | None, generator: torch.Generator | None
) -> torch.Generator | None:
    """The generator, or one for the seed, or None for torch's global one."""
    if seed is None:
        return generator
    if generator is not None:
        raise ValueError("give a seed or a generator, not both")
    return torch.Generator().manual_seed(seed)
