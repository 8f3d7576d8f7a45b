r"""The von Mises-Fisher distribution of unit vectors.

.. math:: p(z) = C_d(\kappa)\, e^{\kappa \mu \cdot z}

(Davidson et al., Hyperspherical variational auto-encoders, arXiv:1804.00891.) Constants are
computed in Python's doubles, from the settings alone.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from .samplers import normal


def log_bessel(order: float, x: float) -> float:
    r"""Log of the modified Bessel function of the first kind, :math:`\log I_v(x)`, for x > 0.

    By its power series, whose terms are all positive, so no digits cancel; v from 0 on.
    """
    half, terms = math.log(0.5 * x), range(int(x) + 60)
    logs = [
        (2 * m + order) * half - math.lgamma(m + 1) - math.lgamma(m + order + 1) for m in terms
    ]
    top = max(logs)
    return top + math.log(math.fsum(math.exp(each - top) for each in logs))


def log_constant(size: int, concentration: float) -> float:
    r"""Log of :math:`C_d(\kappa) = \kappa^{d/2-1} / \big((2\pi)^{d/2} I_{d/2-1}(\kappa)\big)`."""
    order = 0.5 * size - 1
    constant = order * math.log(concentration) - 0.5 * size * math.log(2 * math.pi)
    return constant - log_bessel(order, concentration)


def log_uniform(size: int) -> float:
    """Log-density of the uniform distribution on the sphere of unit vectors, in nats."""
    return math.lgamma(0.5 * size) - math.log(2) - 0.5 * size * math.log(math.pi)


def kl_to_uniform(size: int, concentration: float) -> float:
    r"""KL to the uniform distribution on the sphere, in nats; it depends on d and kappa alone.

    .. math:: \kappa \frac{I_{d/2}(\kappa)}{I_{d/2-1}(\kappa)} + \log C_d(\kappa)
        - \log \frac{\Gamma(d/2)}{2 \pi^{d/2}}

    (arXiv:1804.00891, section 3.2).
    """
    order = 0.5 * size - 1
    mean = math.exp(log_bessel(order + 1, concentration) - log_bessel(order, concentration))
    return concentration * mean + log_constant(size, concentration) - log_uniform(size)


def draw_uniform(shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    """Unit vectors of the given shape, uniform on the sphere, on the generator's device."""
    return functional.normalize(normal(shape, generator), dim=-1)


def draw_cosines(
    shape: tuple[int, ...], size: int, concentration: float, generator: torch.Generator | None
) -> Tensor:
    r"""Cosines :math:`w = \mu \cdot z` of the angles to the mean direction, exactly distributed.

    By rejection (Wood, Simulation of the von Mises Fisher distribution, 1994), on the generator's
    device; their density is proportional to :math:`e^{\kappa w} (1 - w^2)^{(d-3)/2}`.
    """
    less = size - 1
    b = less / (2 * concentration + math.sqrt(4 * concentration**2 + less**2))
    x = (1 - b) / (1 + b)
    bound = concentration * x + less * math.log1p(-(x**2))
    cosines = torch.zeros(
        math.prod(shape), device="cpu" if generator is None else generator.device
    )
    open_places = torch.arange(len(cosines), device=cosines.device)
    while len(open_places):
        # A coordinate t of a uniform direction: (1 + t) / 2 has the method's beta distribution.
        beta = 0.5 + 0.5 * draw_uniform((len(open_places), size), generator)[:, 0]
        found = (1 - (1 + b) * beta) / (1 - (1 - b) * beta)
        score = concentration * found + less * (1 - x * found).log() - bound
        uniform = torch.rand(len(found), generator=generator, device=cosines.device)
        taken = score >= uniform.log()
        cosines[open_places[taken]] = found[taken]
        open_places = open_places[~taken]
    return cosines.reshape(shape)


def around(direction: Tensor, cosines: Tensor, noise: Tensor) -> Tensor:
    """Unit vectors at given angles to others.

    Args:
        direction: unit vectors `(..., d)`.
        cosines: of the angles, `(..., 1)`.
        noise: normal numbers `(..., d)`; what of them is orthogonal to `direction` says where to.
    """
    across = noise - (noise * direction).sum(-1, keepdim=True) * direction
    sines = ((1 - cosines) * (1 + cosines)).clamp(min=0).sqrt()
    return cosines * direction + sines * functional.normalize(across, dim=-1)
