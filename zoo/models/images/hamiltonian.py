"""Hamiltonian Monte Carlo of chains that move side by side, between N(0, I) and a target."""

from collections.abc import Callable

import torch
from torch import Tensor

from .importance import standard_normal

LEAPFROG_STEPS = 10
TARGET_ACCEPTANCE = 0.65
FIRST_STEP, MIN_STEP, MAX_STEP = 0.3, 1e-4, 0.5
GAIN = 0.3  # of the logarithm of the step size, per share accepted above the target
JITTER = 0.3  # share by which a step varies, so that no trajectory is periodic
STEEPNESS = 4.0  # of the sigmoid that spaces the temperatures


def temperatures(count: int) -> Tensor:
    """Inverse temperatures from 0 to 1, `(count + 1,)`, densest at both ends.

    Example:
        >>> temperatures(4)
        tensor([0.0000, 0.1050, 0.5000, 0.8950, 1.0000])
    """
    check_count("num_temperatures", count)
    ramp = torch.sigmoid(torch.linspace(-STEEPNESS, STEEPNESS, count + 1, dtype=torch.float64))
    return ((ramp - ramp[0]) / (ramp[-1] - ramp[0])).float()


def check_count(name: str, value: int) -> None:
    """Raise `ValueError` for a number below 1."""
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")


class Chains:
    r"""Codes of C chains for each of B targets, moved by Hamiltonian Monte Carlo.

    Transitions leave invariant :math:`f_\beta(z) = q(z)\, g(z)^\beta` with q = N(0, I).

    Args:
        log_ratio: log g of codes `(C, B, d)`, as `(C, B)`, differentiable.
        latents: where the chains start, `(C, B, d)`.
        generator: of all random numbers; None for torch's global one.
    """

    def __init__(
        self,
        log_ratio: Callable[[Tensor], Tensor],
        latents: Tensor,
        generator: torch.Generator | None,
    ) -> None:
        self.log_ratio, self.generator = log_ratio, generator
        self.latents = latents  # (C, B, d)
        self.value, self.gradient = self.evaluate(latents)
        self.step = torch.full(latents.shape[1:2], FIRST_STEP).to(latents)  # one per target
        self.accepted, self.transitions = torch.zeros_like(self.step), 0

    def evaluate(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """The value of log g, `(C, B)`, and its gradient by the codes."""
        with torch.enable_grad():
            latents = latents.detach().requires_grad_()
            value = self.log_ratio(latents)
            (gradient,) = torch.autograd.grad(value.sum(), latents)
        return value.detach(), gradient

    def energy(self, latents: Tensor, value: Tensor, beta: float) -> Tensor:
        """Minus log f_beta up to a constant, `(C, B)`."""
        return 0.5 * latents.square().sum(-1) - beta * value

    def move(self, beta: float) -> None:
        """One transition that leaves f_beta invariant; the step size then follows its success.

        The step is common to a target's chains, and set by transitions before this one.
        """
        step = (self.step * (1 + JITTER * (2 * self.uniform(self.step.shape) - 1)))[:, None]
        start = standard_normal(self.latents.shape, self.latents, self.generator)
        latents, gradient = self.latents, self.gradient
        momentum = start + 0.5 * step * (beta * gradient - latents)
        for leap in range(LEAPFROG_STEPS):
            latents = latents + step * momentum
            value, gradient = self.evaluate(latents)
            share = 1.0 if leap < LEAPFROG_STEPS - 1 else 0.5
            momentum = momentum + share * step * (beta * gradient - latents)
        before = self.energy(self.latents, self.value, beta)
        before = before + 0.5 * start.square().sum(-1)
        after = self.energy(latents, value, beta) + 0.5 * momentum.square().sum(-1)
        chance = (before - after).clamp(max=0).exp().nan_to_num(0)
        taken = self.uniform(chance.shape) < chance
        self.latents = torch.where(taken[..., None], latents, self.latents)
        self.gradient = torch.where(taken[..., None], gradient, self.gradient)
        self.value = torch.where(taken, value, self.value)
        rate = chance.mean(0)
        self.accepted += rate
        self.transitions += 1
        grown = self.step * (GAIN * (rate - TARGET_ACCEPTANCE)).exp()
        self.step = grown.clamp(MIN_STEP, MAX_STEP)

    def uniform(self, shape: tuple[int, ...]) -> Tensor:
        """Numbers in [0, 1), drawn on the generator's device."""
        device = self.latents.device if self.generator is None else self.generator.device
        return torch.rand(shape, generator=self.generator, device=device).to(self.latents)

    def anneal(self, betas: Tensor) -> Tensor:
        """Log-weights `(C, B)` of a walk through inverse temperatures, including the first one's.

        The chains must be distributed as f of the first; there is no transition at the last,
        whose codes no weight would use.
        """
        steps = betas.double().diff().tolist()
        total = torch.zeros_like(self.value, dtype=torch.float64)
        for place, difference in enumerate(steps):
            total += difference * self.value.double()
            if place + 1 < len(steps):
                self.move(float(betas[place + 1]))
        return total

    @property
    def acceptance(self) -> Tensor:
        """Mean acceptance, `(B,)`; NaN if nothing was proposed."""
        return self.accepted / self.transitions if self.transitions else self.accepted / 0
