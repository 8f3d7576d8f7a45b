"""Centre, spread and shape of the cloud of codes, and their distances from the origin."""

import torch
from scipy import stats

from zoo.evaluation.geometry.codes import Codes
from zoo.evaluation.geometry.tools import Reading, Readings, Tools

from .rates import active_dimensions

FAR = 0.999  # quantile of the chi distribution beyond which a code is an outlier
TINY = 1e-12  # a variance below it counts as zero


def moments(codes: Codes, tools: Tools) -> Readings:
    """Mean and covariance of the aggregate posterior, whose law is Var(mu) + E s^2 = 1."""
    samples, n = codes.samples, codes.count
    mean, covariance = samples.mean(0), torch.cov(samples.T).reshape(codes.size, codes.size)
    variances = covariance.diagonal()
    noise = codes.log_var.exp().mean(0) if codes.stochastic else torch.zeros_like(mean)
    law = codes.mean.var(0) + noise
    active = active_dimensions(codes)
    chosen = active if active.any() else torch.ones_like(active)
    correlation = _correlation(covariance[chosen][:, chosen])
    eigenvalues = torch.linalg.eigvalsh(correlation).clamp(min=0)
    off_diagonal = correlation[~torch.eye(len(correlation), dtype=torch.bool)]
    rms = off_diagonal.square().mean().sqrt().item() if len(off_diagonal) else 0.0
    return {
        "center": Reading(mean.norm().item(), n, parts=tuple(mean.tolist())),
        "variance": Reading(variances[chosen].mean().item(), n, parts=tuple(variances.tolist())),
        "variance_error": Reading((variances - 1).abs().max().item(), n),
        "law_error": Reading((law[chosen] - 1).abs().max().item(), n, parts=tuple(law.tolist())),
        "correlation": Reading(rms, n),
        "effective_dims": Reading(
            (eigenvalues.sum().square() / eigenvalues.square().sum()).item(), n
        ),
        "thinnest": Reading(eigenvalues.min().item(), n),
    }


def _correlation(covariance: torch.Tensor) -> torch.Tensor:
    scale = covariance.diagonal().clamp(min=TINY).sqrt()
    return covariance / scale[:, None] / scale


def radius(codes: Codes, tools: Tools) -> Readings:
    """Distances from the origin compared with chi(d), and from the centre of the cloud."""
    n, norms = codes.count, codes.samples.norm(dim=1)
    chi = stats.chi(codes.size)
    test = stats.kstest(norms.numpy(), chi.cdf, method="asymp")
    own = (codes.samples - codes.samples.mean(0)).norm(dim=1)
    relative = chi.std() / chi.mean()
    spread = (own.std() / own.mean().clamp(min=TINY)).item() / relative
    far = (norms > chi.ppf(FAR)).double().mean().item()
    return {
        "radius": Reading(norms.mean().item() / chi.mean(), n),
        "radius_ks": Reading(float(test.statistic), n, float(test.pvalue)),
        "radius_spread": Reading(spread, n),
        "far_out": Reading(far, n),
    }
