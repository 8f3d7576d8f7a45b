"""BERT-of-Theseus (arXiv:2002.02925): a small model learns in place of a large one's layers."""

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn

from zoo.errors import UsageError


class Replaceable(nn.Module):
    """A layer of a small model, and the layers of a large one that it shall replace.

    In training, of a whole batch, one of them is computed by chance; in use, the small one's.

    Args:
        successor: the layer that is trained.
        predecessors: the layers it stands for, in order.
        rate: chance of the successor at the first batch, in [0, 1].
        growth: what each batch adds to it, until it is 1.

    Attributes:
        num_batches: number of batches that were computed in training.
    """

    num_batches: Tensor

    def __init__(
        self, successor: nn.Module, predecessors: list[nn.Module], rate: float, growth: float
    ) -> None:
        super().__init__()
        self.successor = successor
        self.predecessors = nn.ModuleList(predecessors)
        self.rate, self.growth = rate, growth
        self.register_buffer("num_batches", torch.zeros((), dtype=torch.long))

    def __getattr__(self, name: str) -> Any:
        """What a model asks of its layers is the successor's."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("successor"), name)

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        """What one of the two makes, as it makes it; arguments as of a layer."""
        if not self.training:
            return self.successor(hidden_states, *args, **kwargs)
        rate = self.rate + self.growth * int(self.num_batches)
        self.num_batches += 1
        if torch.rand(()) < rate:
            return self.successor(hidden_states, *args, **kwargs)
        output: Any = hidden_states
        for layer in self.predecessors:
            output = layer(_states(output), *args, **kwargs)
        return output


def _states(output: Any) -> Tensor:
    """The hidden states of what a layer gives: these alone, or the first of several things."""
    return cast(Tensor, output[0] if isinstance(output, tuple) else output)


def begin_replacing(
    predecessor: Any, num_layers: int, *, rate: float = 0.5, growth: float = 0.0
) -> Any:
    """A model with fewer layers that trains in the place of a fine-tuned one's.

    Each of its layers stands for equally many of the predecessor's, and begins as one of the first
    of them. Trained are these layers and what lies above the backbone (a classifier); embeddings
    and the predecessor's layers stay as they are. Sources: arXiv:2002.02925, section 3;
    bert4keras's example `task_iflytek_bert_of_theseus`, with a rate of 0.5.

    Args:
        predecessor: a text model with a list of layers, fine-tuned. Its layers become part of the
            new model, frozen.
        num_layers: number of layers of the new model, a divisor of the predecessor's.
        rate: chance of each new layer in a batch, in [0, 1].
        growth: what each batch adds to the rate until it is 1 ("curriculum replacement"); 0 keeps
            it.

    Returns:
        A model of the predecessor's class, for any Trainer; `end_replacing` makes it a plain one.

    Raises:
        UsageError: the layers share their weights, stand in several stacks, hand on attention
            scores or do not divide, or a number is out of its range.
    """
    if not 0 <= rate <= 1:
        raise UsageError(f"rate is {rate}; it is a chance, from 0 to 1")
    if not 0 <= growth <= 1:
        raise UsageError(f"growth is {growth}; what a batch adds to the rate lies between 0 and 1")
    place = _place_of_layers(predecessor)
    layers = list(predecessor.get_submodule(place))
    share, rest = divmod(len(layers), num_layers) if num_layers > 0 else (0, 1)
    if rest or share < 1:
        raise UsageError(
            f"num_layers is {num_layers}, and {len(layers)} layers do not divide by it; give a "
            "divisor"
        )
    successor = _shorter(predecessor, num_layers)
    backbone = {*successor.base_model.parameters()} - {
        *successor.get_submodule(place).parameters()
    }
    for parameter in successor.parameters():
        parameter.requires_grad_(parameter not in backbone)
    new = successor.get_submodule(place)
    for index in range(num_layers):
        group = layers[index * share : (index + 1) * share]
        for layer in group:
            layer.requires_grad_(False)
        new[index] = Replaceable(new[index], group, rate, growth)
    return successor.train(predecessor.training)


def end_replacing(model: Any) -> Any:
    """The new model alone, to be used or trained further: all of its weights are trained again.

    Args:
        model: of `begin_replacing`; changed in place.

    Returns:
        The model: a plain one of its class, with fewer layers.
    """
    for name, module in list(model.named_modules()):
        if isinstance(module, Replaceable):
            place, _, last = name.rpartition(".")
            model.get_submodule(place)[int(last)] = module.successor
    return model.requires_grad_()


def _place_of_layers(model: Any) -> str:
    """The name of the list of a model's layers.

    Raises:
        UsageError: it has none with a module for each layer, or several, or layers hand on more
            than hidden states.
    """
    config, kind = model.config, type(model).__name__
    wanted = getattr(config, "num_hidden_layers", None)
    backbone = {*model.base_model.modules()}
    lists = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == wanted and module in backbone
    ]
    if not lists or getattr(config, "num_hidden_groups", None) not in (None, wanted):
        raise UsageError(
            f"{kind} has no list with a module for each of its {wanted} layers (do they share "
            "weights?); choose a model that has one, such as BERT"
        )
    if len(lists) > 1 or getattr(config, "is_encoder_decoder", False):
        raise UsageError(f"{kind} has several stacks of layers; choose a model with one")
    if getattr(config, "residual_attention_scores", False):
        raise UsageError(f"layers of {kind} hand on attention scores, which groups cannot")
    return lists[0]


def _shorter(model: Any, num_layers: int) -> Any:
    """A model of the same class with fewer layers, which are the first of the other's."""
    config = copy.deepcopy(model.config)
    config.num_hidden_layers = num_layers
    if getattr(config, "num_hidden_groups", None) is not None:
        config.num_hidden_groups = num_layers
    with torch.random.fork_rng(devices=[]):  # fresh weights that are not kept
        shorter = type(model)(config)
    known = shorter.state_dict().keys()
    weights = {name: weight for name, weight in model.state_dict().items() if name in known}
    shorter.load_state_dict(weights)
    return shorter.to(model.device, model.dtype)
