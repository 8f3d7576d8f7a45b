"""The base of objectives that run a text model several times, and what they have in common."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from zoo.errors import UsageError
from zoo.training.whole_batch import mean_of_parts

Run = Callable[[], tuple[Tensor, Any]]
TINY = 1e-8  # added to a norm, as in bert4keras's recipes
# Float16's small gradients would vanish without it; as a power of two it changes no other result.
SCALE = 2.0**10


class Objective:
    """A loss that is computed by running the model several times.

    One line with the Trainer, for any text model::

        trainer = TextTrainer(model, arguments, train_dataset=texts, objective=FGM(epsilon=0.5))

    and as little in your own loop::

        loss, outputs = objective.loss(model, batch)
        loss.backward()
    """

    def loss(
        self, model: nn.Module, inputs: Mapping[str, Any], run: Run | None = None
    ) -> tuple[Tensor, Any]:
        """The loss of a batch and the outputs of its last run.

        Args:
            model: a text model with `get_input_embeddings()`, in training mode.
            inputs: what the model is called with, with labels.
            run: gives the model's loss and outputs; without it the model is called.

        Returns:
            A scalar to call `backward()` on, and the model's outputs.

        Raises:
            UsageError: the model has no token embeddings or no logits.
        """
        return self.total(model, inputs, run or plain_run(model, inputs))

    def total(self, model: nn.Module, inputs: Mapping[str, Any], run: Run) -> tuple[Tensor, Any]:
        """What `loss` gives; here the model's own loss."""
        return run()

    def passes(self, model: nn.Module) -> Generator[float, None, None]:
        """One item for each forward and backward pass of a step: the weight of its loss."""
        yield 1.0


def plain_run(model: nn.Module, inputs: Mapping[str, Any]) -> Run:
    """Call the model."""

    def run() -> tuple[Tensor, Any]:
        outputs = model(**inputs)
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs[0]
        if loss is None:
            raise UsageError("the model gives no loss; the batch needs labels")
        return loss, outputs

    return run


def embedding_weight(model: nn.Module) -> nn.Parameter:
    """The matrix E of token embeddings, shape (tokens, width).

    Raises:
        UsageError: the model has none.
    """
    try:
        weight = model.get_input_embeddings().weight  # type: ignore[operator]
    except (AttributeError, NotImplementedError):
        weight = None
    if not isinstance(weight, nn.Parameter) or weight.ndim != 2:
        raise UsageError(
            f"{type(model).__name__} has no token embeddings; get_input_embeddings() of a text "
            "model gives a layer with a matrix as weight"
        )
    return weight


@contextmanager
def replaced(model: nn.Module, weight: nn.Parameter, by: Tensor) -> Iterator[None]:
    """Compute with another tensor wherever the model has a weight, tied ones included.

    The weight itself is not touched; gradients reach it if the other tensor is computed from it.
    """
    places = [
        (module, name)
        for module in model.modules()
        for name, parameter in module._parameters.items()
        if parameter is weight
    ]
    try:
        for module, name in places:  # as torch.func.functional_call does, which takes no `run`
            module._parameters[name] = by  # type: ignore[assignment]
        yield
    finally:
        for module, name in places:
            module._parameters[name] = weight


@contextmanager
def recorded_lookups(model: nn.Module, weight: nn.Parameter) -> Iterator[list[Tensor]]:
    """The vectors that the layers with this weight give out, (batch, length, width) a call."""
    lookups: list[Tensor] = []

    def record(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        if not output.requires_grad:  # frozen embeddings
            output = output.detach().requires_grad_()
        lookups.append(output)
        return output

    layers = [m for m in model.modules() if isinstance(m, nn.Embedding) and m.weight is weight]
    handles = [layer.register_forward_hook(record) for layer in layers]
    try:
        yield lookups
    finally:
        for handle in handles:
            handle.remove()


def gradient(loss: Tensor, at: Tensor, *, retain_graph: bool = False) -> Tensor:
    """The derivative of a loss at a tensor; no parameter's gradient changes.

    In several processes it is that of the mean of their losses, the same in all of them.

    Raises:
        UsageError: the loss does not depend on the tensor.
    """
    (scaled,) = torch.autograd.grad(loss * SCALE, at, retain_graph=retain_graph, allow_unused=True)
    if scaled is None:
        raise UsageError("the loss does not depend on token embeddings; give the model input_ids")
    return mean_of_parts(scaled / SCALE)


def unit(direction: Tensor) -> Tensor:
    """A tensor over its norm (plus 1e-8), the norm taken over all of it; 0 of what overflowed."""
    norm = torch.linalg.vector_norm(direction)
    return torch.where(norm.isfinite(), direction / (norm + TINY), 0.0)


def logits_of(model: nn.Module, outputs: Any) -> Tensor:
    """The logits among a model's outputs.

    Raises:
        UsageError: there are none, or they are no logits of a distribution.
    """
    if isinstance(outputs, Mapping):
        logits = outputs.get("logits")
    else:
        logits = outputs[1] if len(outputs) > 1 else None
    if not torch.is_tensor(logits):
        raise UsageError(
            f"{type(model).__name__} gives no logits; this objective compares distributions"
        )
    problem = getattr(getattr(model, "config", None), "problem_type", None)
    if problem == "regression" or logits.shape[-1] == 1:
        raise UsageError(
            f"{type(model).__name__} predicts a number; this objective compares distributions"
        )
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def predicts_next_token(model: nn.Module) -> bool:
    """Whether logits are of the token after each: a decoder alone, with a head to generate."""
    encoder_decoder = getattr(getattr(model, "config", None), "is_encoder_decoder", False)
    can_generate = getattr(model, "can_generate", lambda: False)
    return bool(can_generate()) and not encoder_decoder


def divergence(model: nn.Module, inputs: Mapping[str, Any], p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) in nats of distributions given as logits, averaged over the rows that count.

    Softmax over the last axis; of a model with `problem_type` "multi_label_classification" a
    Bernoulli variable for each label, their divergences summed. A row is a text, or a token where
    logits are of tokens: then those count whose label is not -100 (of a model that predicts the
    next token, the next label), or without such labels those that the attention mask keeps.

    Args:
        model: whose logits they are.
        inputs: the batch, for labels and mask.
        p: logits, shape (..., classes).
        q: logits of the same shape.

    Returns:
        A scalar, at least 0; in several processes the mean of theirs is that over all rows.
    """
    problem = getattr(getattr(model, "config", None), "problem_type", None)
    if problem == "multi_label_classification":
        p, q = torch.stack([p, -p], -1), torch.stack([q, -q], -1)
        log_p, log_q = nn.functional.logsigmoid(p), nn.functional.logsigmoid(q)
        rows = (log_p.exp() * (log_p - log_q)).sum((-2, -1))
    else:
        log_p, log_q = p.log_softmax(-1), q.log_softmax(-1)
        rows = (log_p.exp() * (log_p - log_q)).sum(-1)
    counted = torch.ones_like(rows, dtype=torch.bool)
    for name, nothing in (("labels", -100), ("attention_mask", 0)):
        marks = inputs.get(name)
        if rows.ndim > 1 and torch.is_tensor(marks) and marks.shape == rows.shape:
            if name == "labels" and predicts_next_token(model):
                marks = nn.functional.pad(marks[:, 1:], (0, 1), value=nothing)
            counted = marks != nothing
            break
    number = counted.sum().to(rows.dtype)
    share = number / mean_of_parts(number).clamp(min=torch.finfo(rows.dtype).tiny)
    return rows[counted].mean() * share if number else rows.sum() * 0
