"""A network, its gradients, and every operation with settings that do something."""

import torch
from torch import nn

from zoo.training import (
    Accumulate,
    AdaptiveClip,
    Apply,
    Centralize,
    Chain,
    ClipGlobalNorm,
    ClipNorm,
    ClipValue,
    Drop,
    FiniteGuard,
    Freeze,
    Noise,
    Normalize,
    Project,
    Scale,
    Sign,
    TopK,
)
from zoo.training.gradients.patterns import named_parameters
from zoo.training.gradients.sharding import local

#: One of each, with what it takes to show.
MADE = {
    "clip_value": lambda: ClipValue(0.05),
    "clip_norm": lambda: ClipNorm(0.1, only="layers*"),
    "clip_norm_l1": lambda: ClipNorm(0.1, 1),
    "clip_norm_largest": lambda: ClipNorm(0.01, float("inf")),
    "clip_global_norm": lambda: ClipGlobalNorm(0.1),
    "adaptive_clip": lambda: AdaptiveClip(0.05, exclude="head.*"),
    "normalize": lambda: Normalize(),
    "normalize_joint": lambda: Normalize(joint=True),
    "centralize": lambda: Centralize(),
    "centralize_columns": lambda: Centralize(axis=1, embeddings=True),
    "sign": lambda: Sign(),
    "noise": lambda: Noise(0.3),
    "scale": lambda: Scale(0.5, exclude=["*bias"]),
    "freeze": lambda: Freeze(only="layers.0.*"),
    "accumulate": lambda: Accumulate(2),
    "drop": lambda: Drop(0.4),
    "top_k": lambda: TopK(3),
    "top_k_share": lambda: TopK(share=0.2),
    "project": lambda: Project(only="layers*"),
    "finite_guard": lambda: FiniteGuard(),
    "apply": lambda: Apply(lambda name, gradient, weight: gradient.sub(weight.sum())),
}


class Network(nn.Module):
    """Tokens to two numbers; sizes that two processes cannot share evenly."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.embeddings = nn.Embedding(7, 6)
        self.layers = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
        self.head = nn.Linear(3, 2)
        self.gain = nn.Parameter(torch.ones(1))  # a part of it is empty in one of two processes
        for parameter in self.parameters():
            parameter.data.normal_(generator=generator)
        self.to(dtype)

    def forward(self, tokens):
        return self.gain * self.head(self.layers(self.embeddings(tokens)))


def batch(rows=slice(None)):
    """Eight rows of tokens, or some of them."""
    return (torch.arange(8 * 4).reshape(8, 4) * 5 % 7)[rows]


def losses(model, tokens):
    """Two losses against each other."""
    output = model(tokens)
    return [output[..., 0].square().mean(), (output[..., 1] - output[..., 0]).sin().mean()]


def gradients(model):
    """Copies by name; no entry where there is none."""
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def with_gradients(dtype=torch.float32, seed=0, sd=1.0):
    """A network whose gradients are noise."""
    model = Network(dtype)
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.grad = (sd * noise).to(dtype)
    return model


def start(model, rows=slice(None)):
    """A model's gradients for rows of the batch, by name, as they lie in this process."""
    sum(losses(model, batch(rows))).backward()
    return {n: p.grad.clone() for n, p in named_parameters(model)}


def two_runs(name, model, given, rows=slice(None)):
    """The gradients after a second run of an operation, by name; sharded ones in part.

    Args:
        name: of `MADE`.
        model: a network, or one made parallel.
        given: by `start`; each run begins with them.
        rows: of the batch, those of this process.
    """
    chain = Chain([MADE[name](), FiniteGuard()], seed=5)
    for _ in range(2):
        for each, parameter in named_parameters(model):
            parameter.grad = None if name == "project" else given[each].clone()
        if name == "project":
            chain.backward(losses(model, batch(rows)), model)
        report = chain.apply(model)
    assert not report.skip
    named = named_parameters(model)
    return {n: local(p.grad).clone() for n, p in named if p.grad is not None}
