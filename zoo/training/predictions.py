"""What a model predicts of tokens before it is trained: their frequencies, and none too early."""

from typing import Any

import torch
from torch import Tensor

from zoo.errors import UsageError


@torch.no_grad()
def begin_with(model: Any, frequencies: Tensor) -> None:
    """Set the biases of a model's predictions, if it has any, to log frequencies of tokens, (V,).

    Source: the last bias of a classifier, Lin et al., arXiv:1708.02002, 4.1.
    """
    bias = model.get_output_embeddings().bias
    if bias is not None:
        bias[: len(frequencies)] = frequencies.log()


@torch.no_grad()
def check_causal(model: Any) -> None:
    """Raise `UsageError` if a model that shall write texts on reads tokens that come later."""
    mode = model.training
    ids = torch.tensor([[1, 2, 3, 4], [1, 2, 3, 5]]).remainder(model.config.vocab_size)
    mask = torch.ones_like(ids)
    first, second = model.eval()(input_ids=ids, attention_mask=mask).logits[:, :-1]
    model.train(mode)
    if not torch.equal(first, second):
        raise UsageError(
            f"{type(model).__name__} with this config reads tokens that come later, so it cannot "
            "learn to write texts; leave is_decoder and attention_mask_kind out of [config]"
        )
