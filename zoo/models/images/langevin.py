r"""Langevin and Hamiltonian chains over a score, as streams of states.

A step at temperature T is :math:`x \leftarrow x + \tfrac{\epsilon^2}{2} \nabla \log p(x) +
\epsilon \sqrt{T}\, \xi`: in a Gaussian well of width s, chains spread to :math:`\sqrt{T} s`
(Li et al., arXiv:1910.07762). Gradients are by the chains alone: parameters are left untouched,
no graph is kept, and memory does not grow with the number of steps.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .hamiltonian import Chains
from .importance import standard_normal

#: Log-densities `(N,)` of `(N, ...)`, differentiable, without a constant.
LogDensity = Callable[[Tensor], Tensor]


@dataclass
class ChainState:
    """Chains after a step; given back to the function that made it, the walk goes on from there.

    Attributes:
        x: where the chains are, `(N, ...)`.
        step: steps made so far.
        temperature: of the last step; not a number before the first.
        acceptance: mean share of proposals taken so far; 1 where none is ever refused.
        random_state: of the generator, where there is one.
        step_size: of a Hamiltonian walk, which adapts it, `(1,)`.
    """

    x: Tensor
    step: int = 0
    temperature: float = math.nan
    acceptance: float = 1.0
    random_state: Tensor | None = None
    step_size: Tensor | None = None


def temperature_schedule(
    max_temperature: float, hold_steps: int, anneal_steps: int, cool_steps: int
) -> Tensor:
    """Temperatures of all steps, float64 `(hold + anneal + cool,)`.

    Held at the max, then geometrically down to 1, then linearly down to 0.

    Example:
        >>> temperature_schedule(100.0, 1, 2, 2)
        tensor([100.0000,  10.0000,   1.0000,   0.5000,   0.0000], dtype=torch.float64)
    """
    hold = torch.full((hold_steps,), float(max_temperature), dtype=torch.float64)
    share = torch.arange(1, anneal_steps + 1, dtype=torch.float64) / max(anneal_steps, 1)
    down = 1 - torch.arange(1, cool_steps + 1, dtype=torch.float64) / max(cool_steps, 1)
    return torch.cat([hold, max_temperature ** (1 - share), down])


def log_density_and_score(log_density: LogDensity, x: Tensor) -> tuple[Tensor, Tensor]:
    """Log-densities `(N,)` and their gradients by x, neither with a graph."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = log_density(x)
        (gradient,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), gradient


def langevin(
    log_density: LogDensity,
    state: ChainState,
    temperatures: Tensor,
    step_size: float,
    *,
    generator: torch.Generator | None = None,
    adjusted: bool = False,
    constrain: Callable[[Tensor, float], Tensor] | None = None,
) -> Iterator[ChainState]:
    """Walk through the temperatures, a state after every step.

    Args:
        log_density: what the chains follow.
        state: where they start; of a state that was yielded before, its later steps are made.
        temperatures: of all steps from the first on, `(S,)`, 0 or more.
        step_size: epsilon, in the unit of x.
        generator: of all random numbers; None for torch's global one.
        adjusted: accept or refuse each step by Metropolis and Hastings, which removes the error
            of a finite step size.
        constrain: applied to the chains after each step, with the step's temperature.
    """
    if generator is not None and state.random_state is not None:
        generator.set_state(state.random_state)
    x, acceptance = state.x, state.acceptance
    half = step_size**2 / 2
    value, score = log_density_and_score(log_density, x)
    for step, temperature in enumerate(temperatures.tolist()[state.step :], state.step + 1):
        noise = standard_normal(x.shape, x, generator)
        proposal = x + half * score + step_size * math.sqrt(temperature) * noise
        taken = None
        if adjusted and temperature > 0:
            new = log_density_and_score(log_density, proposal)
            forth = noise.square().flatten(1).sum(1) / 2
            back = (x - proposal - half * new[1]).square().flatten(1).sum(1)
            log_ratio = (new[0] - value) / temperature + forth
            log_ratio -= back / (2 * step_size**2 * temperature)
            chance = log_ratio.clamp(max=0).exp().nan_to_num(0)
            taken = _uniform(chance, generator) < chance
            acceptance += (float(chance.mean()) - acceptance) / step
            x = torch.where(_wide(taken, x), proposal, x)
        else:
            x = proposal
        if constrain is not None:
            x = constrain(x, temperature)
        if taken is not None and constrain is None:
            value = torch.where(taken, new[0], value)
            score = torch.where(_wide(taken, score), new[1], score)
        elif step < len(temperatures):
            value, score = log_density_and_score(log_density, x)
        yield ChainState(x, step, temperature, acceptance, _random_state(generator))


def hamiltonian(
    log_density: LogDensity,
    state: ChainState,
    temperatures: Tensor,
    mean: float,
    scale: float,
    *,
    generator: torch.Generator | None = None,
) -> Iterator[ChainState]:
    """As `langevin`, by Hamiltonian Monte Carlo of ten leapfrog steps a transition.

    The step size follows the share of proposals taken. Where temperature falls below a hundredth
    it stays there: Hamiltonian chains have no limit at 0.

    Args:
        log_density: what the chains follow.
        state: where they start.
        temperatures: of all transitions from the first on.
        mean: of the Gaussian in whose unit steps are measured.
        scale: its standard deviation.
        generator: of all random numbers.
    """
    if generator is not None and state.random_state is not None:
        generator.set_state(state.random_state)
    shape, temperature = state.x.shape, 1.0

    def log_ratio(latents: Tensor) -> Tensor:
        flat = latents.flatten(0, 1)
        value = log_density((mean + scale * flat).unflatten(1, shape[1:])) / temperature
        return (value + 0.5 * flat.square().sum(1)).reshape(latents.shape[:2])

    chains = Chains(log_ratio, ((state.x - mean) / scale).flatten(1)[:, None], generator)
    if state.step_size is not None:
        chains.step = state.step_size
    acceptance, previous = state.acceptance, temperature
    for step, wanted in enumerate(temperatures.tolist()[state.step :], state.step + 1):
        temperature = max(wanted, 0.01)
        if temperature != previous:
            chains.value, chains.gradient = chains.evaluate(chains.latents)
            previous = temperature
        before = chains.accepted.clone()
        chains.move(1.0)
        acceptance += (float(chains.accepted - before) - acceptance) / step
        x = (mean + scale * chains.latents[:, 0]).unflatten(1, shape[1:])
        random_state = _random_state(generator)
        yield ChainState(x, step, temperature, acceptance, random_state, chains.step.clone())


def _wide(taken: Tensor, like: Tensor) -> Tensor:
    """`(N,)` with as many axes as `(N, ...)`."""
    return taken.reshape(-1, *[1] * (like.ndim - 1))


def _uniform(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Numbers in [0, 1) of the shape of `like`, drawn on the generator's device."""
    device = like.device if generator is None else generator.device
    return torch.rand(like.shape, generator=generator, device=device).to(like)


def _random_state(generator: torch.Generator | None) -> Tensor | None:
    """What makes a generator go on as it would from here."""
    return None if generator is None else generator.get_state()
