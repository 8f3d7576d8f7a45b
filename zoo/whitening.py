"""Whitening: vectors without common parts and correlations, in fewer dimensions."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.errors import UsageError


@dataclass(frozen=True, eq=False)
class Whitening:
    r"""What makes vectors such as `zoo.embed` gives better to compare by cosine (BERT-whitening).

    .. math:: \tilde x = (x - \mu) W, \qquad W = U \Lambda^{-1/2}, \qquad U \Lambda U^\top = \Sigma

    with the mean and covariance of the vectors that it is fitted on, and of :math:`W` the columns
    of the largest eigenvalues (Su, Cao, Liu and Ou, arXiv:2103.15316, section 3). It is two
    tensors: `safetensors.torch.save_file(vars(whitening), file)` keeps them, and
    `Whitening(**safetensors.torch.load_file(file))` is the same again.

    Attributes:
        mean: float32, `(size,)`.
        matrix: float32, `(size, dimensions)`, the direction of most variance first.
    """

    mean: Tensor
    matrix: Tensor

    @classmethod
    def fit(cls, vectors: Any, dimensions: int | None = None) -> "Whitening":
        """Find mean and matrix, in float64.

        Args:
            vectors: `(number, size)`, at least two, not normalised; an array will do.
            dimensions: number that is kept, 1 to `size`; None is all.

        Raises:
            UsageError: the vectors are not a finite matrix of two rows or more, or vary in fewer
                directions than are to be kept.
        """
        given = _matrix(vectors)
        number, size = given.shape
        if number < 2 or not given.isfinite().all():
            raise UsageError(
                f"a whitening is fitted on two vectors or more, all of them finite; got {number}"
                + ("" if number < 2 else ", some with infinite numbers or NaN")
            )
        wanted = size if dimensions is None else dimensions
        if not 1 <= wanted <= size:
            raise UsageError(f"dimensions must be 1 to {size}, got {dimensions}")
        values = given.double()
        mean = values.mean(0)
        variances, directions = torch.linalg.eigh((values - mean).T.cov(correction=1))
        variances, directions = variances.flip(0), directions.flip(1)
        # What float32 leaves of a direction in which the vectors do not vary.
        noise = (max(number, size) * torch.finfo(torch.float32).eps) ** 2
        rank = int((variances > variances[0].clamp(min=0) * noise).sum())
        if wanted > rank:
            raise UsageError(
                f"the {number} vectors vary in {rank} directions, too few to keep {wanted}; "
                + (f"keep {rank} or fewer, or fit on more vectors" if rank else "they are equal")
            )
        kept = directions[:, :wanted] / variances[:wanted].sqrt()
        return cls(mean.float(), kept.float().contiguous())

    def __call__(self, vectors: Any, *, normalized: bool = False) -> Tensor:
        """Whiten vectors.

        Args:
            vectors: `(number, size)`; an array will do.
            normalized: divide each by its length, so that products are cosines.

        Returns:
            float32, `(number, dimensions)`, where the vectors are; of those it was fitted on the
            mean is 0 and the covariance the identity.

        Raises:
            UsageError: the vectors are of another size.
        """
        given = _matrix(vectors)
        if given.shape[1] != len(self.mean):
            raise UsageError(
                f"vectors of {given.shape[1]} numbers, and this whitening was fitted on those of "
                f"{len(self.mean)}; fit another on vectors like these"
            )
        mean, matrix = self.mean.to(given.device), self.matrix.to(given.device)
        whitened = (given.float() - mean) @ matrix
        return torch.nn.functional.normalize(whitened, dim=-1) if normalized else whitened


def _matrix(vectors: Any) -> Tensor:
    """Vectors as a tensor.

    Raises:
        UsageError: they are of other dimensions.
    """
    given = torch.as_tensor(vectors)
    if given.ndim != 2 or not given.is_floating_point():
        raise UsageError(
            f"vectors must be a matrix of floating-point numbers, (number, size); got "
            f"{given.dtype} of shape {tuple(given.shape)}"
        )
    return given
