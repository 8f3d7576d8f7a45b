"""What T5 adds to scores: a bias for each bucket of offsets, and what masks are made of."""

import torch
from torch import Tensor


def bucket_starts(count: int, max_distance: int) -> list[int]:
    """The smallest distance of each bucket, whole numbers: no logarithm rounds differently.

    Half of the buckets hold one distance each; bucket h + k of the others begins where
    h (max_distance / h)^(k / (count - h)) is reached, h = count / 2 (arXiv:1910.10683, section
    2.1; the formula is Mesh TensorFlow's `_relative_position_bucket`).

    Args:
        count: number of buckets of one side, at least 2.
        max_distance: distances from here on, in tokens, share the last bucket; above count / 2.

    Example:
        >>> bucket_starts(16, 128)
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91]
    """
    half = count // 2
    steps = count - half
    starts, distance = list(range(half)), half
    for k in range(steps):
        while distance**steps * half**k < half**steps * max_distance**k:
            distance += 1
        starts.append(distance)
    return starts


def buckets(offsets: Tensor, count: int, max_distance: int, one_sided: bool) -> Tensor:
    """The bucket of each offset (position of the key minus that of the query).

    Args:
        offsets: whole numbers of any shape, in tokens.
        count: number of buckets; two-sided, the second half is for keys behind the query.
        max_distance: distances from here on are alike.
        one_sided: keys behind the query are all in bucket 0.

    Returns:
        Whole numbers from 0 to `count - 1`, of the same shape.
    """
    half = count if one_sided else count // 2
    distances = (-offsets).clamp(min=0) if one_sided else offsets.abs()
    starts = torch.tensor(bucket_starts(half, max_distance), device=offsets.device)
    index = torch.bucketize(distances, starts, right=True) - 1
    return index if one_sided else index + half * (offsets > 0)


def visible_tokens(input_ids: Tensor, pad_token_id: int | None) -> Tensor:
    """bert4keras's own mask: padding is not visible, but for the first position.

    Args:
        input_ids: `(batch, length)`.
        pad_token_id: None is 0.

    Returns:
        Bool, `(batch, length)`.
    """
    mask = input_ids != (pad_token_id or 0)
    return torch.cat([torch.ones_like(mask[:, :1]), mask[:, 1:]], 1)


def additive(bias: Tensor | None, mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """What is added to scores: the bias where the mask is true, a very low number elsewhere.

    Half the lowest, so that adding a score does not overflow.

    Args:
        bias: `(1, heads, queries, keys)`; None is 0.
        mask: bool, of a shape that broadcasts with it; None for all visible.
        dtype: of the scores.

    Returns:
        `(batch or 1, heads or 1, queries or 1, keys)`; None where nothing is added.
    """
    if mask is None:
        return None if bias is None else bias.to(dtype)
    values = mask.new_zeros((), dtype=dtype) if bias is None else bias.to(dtype)
    return torch.where(mask, values, torch.finfo(dtype).min / 2)
