"""Paths between codes."""

import torch
from torch import Tensor

INTERPOLATIONS = ("slerp", "linear")


def interpolate_latents(start: Tensor, end: Tensor, steps: int, mode: str) -> Tensor:
    """Codes from start to end, both `(B, d)`, as `(B, steps, d)`.

    The spherical path turns the direction evenly and changes the norm evenly; where the two
    directions are (anti)parallel, or one code is zero, it is the straight line.
    """
    share = torch.linspace(0, 1, steps, device=start.device, dtype=start.dtype)[None, :, None]
    start, end = start[:, None], end[:, None]
    straight = start + share * (end - start)
    if mode == "linear":
        return straight
    norms = [code.norm(dim=-1, keepdim=True).clamp(min=1e-12) for code in (start, end)]
    directions = start / norms[0], end / norms[1]
    angle = (directions[0] * directions[1]).sum(-1, keepdim=True).clamp(-1, 1).acos()
    sine = angle.sin()
    turned = ((1 - share) * angle).sin() * directions[0] + (share * angle).sin() * directions[1]
    norm = norms[0] + share * (norms[1] - norms[0])
    bent = (sine > 1e-4) & (torch.minimum(*norms) > 1e-6)
    return torch.where(bent, norm * turned / sine.clamp(min=1e-4), straight)


def check_path(a: Tensor, b: Tensor, steps: int) -> None:
    """Raise `ValueError` unless there are two steps, from images to as many of their shape."""
    if steps < 2:
        raise ValueError(f"steps must be at least 2, got {steps}")
    if a.shape != b.shape:
        raise ValueError(f"a has shape {tuple(a.shape)}, b {tuple(b.shape)}: make them equal")
