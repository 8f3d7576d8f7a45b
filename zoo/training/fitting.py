"""After training: batch-norm statistics of the whole training set, fitted samplers, rounding."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from zoo.data.binarization import binarize
from zoo.data.images import to_values
from zoo.errors import DivergedError, GenaeError

from .divergence import MAX_CODE, check_sizes

BATCH = 512


class _WithoutLoss(nn.Module):
    """A model whose forward computes no loss, as a small last batch has no entropy."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor) -> Any:
        return self.model(pixel_values, return_loss=False)


def batches(pixels: Tensor, binarization: str, device: torch.device) -> Iterator[Tensor]:
    """8-bit images `(N, C, H, W)` as float batches in [0, 1], in order."""
    chunks = list(pixels.split(BATCH))
    if len(chunks) > 1 and len(chunks[-1]) == 1:  # batch norm cannot learn from one image
        chunks[-2:] = [pixels[-BATCH - 1 :]]
    for chunk in chunks:
        yield binarize(to_values(chunk.to(device)), binarization)


@torch.no_grad()
def calibrate_batch_norm(model: Any, pixels: Tensor, binarization: str = "none") -> None:
    """Replace running statistics, which lag behind the weights, by those of one pass over images.

    The pass runs in training mode. Then the statistics of a batch norm on the code (EAE) are set
    once more, from codes encoded as they will be in use, in eval mode, so that the codes of the
    training set have mean 0 and variance 1 exactly.
    """
    pixel_batches = batches(pixels, binarization, model.device)
    update_bn(pixel_batches, _WithoutLoss(model))
    model.eval()
    code_norm = getattr(model, "code_norm", None)
    if code_norm is None:
        return
    codes = torch.cat(
        [model.encoder(batch).double() for batch in batches(pixels, binarization, model.device)]
    )
    code_norm.running_mean.copy_(codes.mean(0))
    code_norm.running_var.copy_(codes.var(0))


@torch.no_grad()
def encode_all(model: Any, pixels: Tensor, binarization: str = "none", seed: int = 0) -> Tensor:
    """Codes of 8-bit images as the decoder reads them, in eval mode, `(N, d)`, on the CPU."""
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    pixel_batches = batches(pixels, binarization, model.device)
    return torch.cat([model.encode_sample(batch, generator).cpu() for batch in pixel_batches])


def fit_samplers(model: Any, codes: Tensor, names: list[str], seed: int) -> None:
    """Fit the named samplers to codes `(N, d)` and store them in the model's buffers.

    `gaussian` is one full-covariance Gaussian, `mixture` one of `num_mixture_components` by
    expectation maximisation (scikit-learn's `GaussianMixture`).

    Raises:
        DivergedError: codes are not finite, or spread so far that nothing can be fitted to them.
    """
    check_sizes([("a batch of codes", codes)], MAX_CODE)
    from sklearn.mixture import GaussianMixture

    for name in names:
        sampler = model.samplers[name]
        components = 1 if name == "gaussian" else model.config.num_mixture_components
        fit = GaussianMixture(components, reg_covar=1e-6, random_state=seed)
        try:
            fit.fit(codes.double().numpy())
        except ValueError as error:  # covariances that are not positive definite
            raise unfitted(name, codes) from error
        means, covariances, weights = (
            torch.from_numpy(value) for value in (fit.means_, fit.covariances_, fit.weights_)
        )
        scale_trils, failed = torch.linalg.cholesky_ex(covariances)
        if failed.any():
            raise unfitted(name, codes)
        if name == "gaussian":
            sampler.mean.copy_(means[0])
            sampler.scale_tril.copy_(scale_trils[0])
        else:
            sampler.weights.copy_(weights)
            sampler.means.copy_(means)
            sampler.scale_trils.copy_(scale_trils)


def unfitted(name: str, codes: Tensor) -> DivergedError:
    """The error for codes to which no Gaussian can be fitted."""
    return DivergedError(f"codes reach {codes.abs().max():.3g}, to which no {name} can be fitted")


@torch.no_grad()
def stored_weights(model: Any, stored_as: str) -> dict[str, Tensor]:
    """The tensors of a model as they are to be stored; the model is changed to match them.

    The config keeps the model's own type, in which transformers loads whatever type the file has.
    Tensors that are one in the model (tied embeddings) are one among those returned, so that the
    file has them once.

    Args:
        model: on the CPU.
        stored_as: `float32`, or `float16` for half the file.

    Raises:
        GenaeError: a tensor does not fit half precision.
    """
    kind = getattr(torch, stored_as)
    stored: dict[str, Tensor] = {}
    tied: dict[tuple[int, torch.Size], Tensor] = {}
    for name, tensor in model.state_dict().items():
        place = tensor.data_ptr(), tensor.shape
        if place in tied and tensor.numel():
            stored[name] = tied[place]
            continue
        rounded = tensor.to(kind) if tensor.is_floating_point() else tensor
        if not rounded.isfinite().all() and tensor.isfinite().all():
            raise GenaeError(
                f"{name} has values beyond {stored_as}, up to {tensor.abs().max():.3g}; train "
                "with a lower learning_rate, or with --set stored_as=float32 and a larger file"
            )
        tensor.copy_(rounded)
        stored[name] = tied[place] = rounded
    return stored
