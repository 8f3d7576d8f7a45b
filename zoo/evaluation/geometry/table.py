"""The diagnostics, one row each, and the groups that compute them together.

They describe codes as points, balls and the empty space between them, and ask which regions the
codes cover, whether unseen images fall into empty space, whether there are outliers, and how
regular the space is.
"""

from collections.abc import Callable
from dataclasses import dataclass

from .codes import Codes
from .statistics import distances, moments, normality, overlap, paths, rates
from .tools import Readings, Tools


@dataclass(frozen=True, slots=True)
class Group:
    """Statistics computed together.

    Attributes:
        function: computes them.
        replicates: number of N(0, I) samples behind the band; fewer for those that run networks.
        posterior: whether the encoder must have noise of its own.
        networks: whether it runs the model.
    """

    function: Callable[[Codes, Tools], Readings]
    replicates: int = 19
    posterior: bool = False
    networks: bool = False


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One statistic.

    Attributes:
        name: its key.
        group: name of the group in `GROUPS`.
        title: a short description.
        unit: of the value.
        good: what a good value is.
        digits: decimals shown.
        relative: show the difference to the mean over the N(0, I) samples.
    """

    name: str
    group: str
    title: str
    unit: str
    good: str
    digits: int = 3
    relative: bool = False


GROUPS: dict[str, Group] = {
    "rate": Group(rates.rate, posterior=True),
    "active units": Group(rates.active_units),
    "moments": Group(moments.moments),
    "radius": Group(moments.radius),
    "normality": Group(normality.normality),
    "entropy": Group(distances.entropy),
    "kernels": Group(distances.maximum_mean_discrepancy),
    "balls": Group(overlap.balls),
    "coverage": Group(overlap.coverage),
    "holes": Group(overlap.holes),
    "interpolation": Group(overlap.interpolation),
    "drift": Group(paths.drift, replicates=5, networks=True),
    "walks": Group(paths.walks, replicates=5, networks=True),
}

_ROWS = (
    Diagnostic("rate", "rate", "rate: mean KL from posterior to prior", "nats",
               "what the code may cost", 2),
    Diagnostic("silent_dims", "rate", "dimensions with a mean KL below 0.01", "dimensions",
               "0", 0),
    Diagnostic("mutual_information", "rate",
               "index-code mutual information, at most log n", "nats", "most of the rate", 2),
    Diagnostic("marginal_kl", "rate",
               "marginal KL: from the aggregate posterior to the prior", "nats", "near 0", 2),
    Diagnostic("split_error", "rate", "standard error of these two parts", "nats", "small", 3),
    Diagnostic("drawn_sum", "rate", "the two parts summed as drawn, a check on the rate", "nats",
               "the rate", 2),
    Diagnostic("active_units", "active units", "dimensions whose mean varies by more than 0.01",
               "dimensions", "d", 0),
    Diagnostic("center", "moments", "distance of the cloud's mean from the origin", "", "0"),
    Diagnostic("variance", "moments", "mean variance over active dimensions", "", "1"),
    Diagnostic("variance_error", "moments", "largest deviation of a variance from 1", "", "0"),
    Diagnostic("law_error", "moments", "largest deviation of Var(mu) + E s^2 from 1, active "
               "dimensions", "", "0"),
    Diagnostic("correlation", "moments", "root mean square correlation of two dimensions", "",
               "0"),
    Diagnostic("effective_dims", "moments", "dimensions left by correlation", "dimensions", "d",
               2),
    Diagnostic("thinnest", "moments", "smallest eigenvalue of the correlation matrix", "", "1"),
    Diagnostic("radius", "radius", "mean distance from the origin over that of chi(d)", "", "1"),
    Diagnostic("radius_ks", "radius", "distance from the origin against chi(d), "
               "Kolmogorov-Smirnov", "", "0"),
    Diagnostic("radius_spread", "radius", "spread of the distance from the cloud's centre over "
               "that of chi(d)", "", "1"),
    Diagnostic("far_out", "radius", "codes beyond the 0.999 quantile of chi(d)", "share", "0.001",
               4),
    Diagnostic("ks_dims", "normality", "largest Kolmogorov-Smirnov distance of a dimension to "
               "N(0, 1)", "", "0"),
    Diagnostic("rejected_dims", "normality", "dimensions rejected at 0.05 after Holm", "share",
               "0"),
    Diagnostic("ks_lines", "normality", "largest Kolmogorov-Smirnov distance on 100 random lines",
               "", "0"),
    Diagnostic("rejected_lines", "normality", "random lines rejected at 0.05 after Holm", "share",
               "0"),
    Diagnostic("sliced_wasserstein", "normality", "sliced Wasserstein-2 distance to N(0, I)", "",
               "0"),
    Diagnostic("entropy_gap", "entropy", "nearest-neighbour entropy less that of N(0, I) samples",
               "nats", "0", 2, relative=True),
    Diagnostic("mmd", "kernels", "squared MMD to the prior, inverse multiquadric", "", "0", 5),
    Diagnostic("overlap", "balls", "Bhattacharyya overlap with the nearest ball", "",
               "above 0 for smooth codes, below 1 for informative ones"),
    Diagnostic("overlapping", "balls", "balls that overlap the nearest by more than 0.1", "share",
               "1"),
    Diagnostic("coverage", "coverage", "prior codes in the 95 % ball of some encoding", "share",
               "that of held-out codes"),
    Diagnostic("coverage_held_out", "coverage", "held-out codes in the 95 % ball of some encoding",
               "share", "1"),
    Diagnostic("holes", "holes", "hole probability: prior codes in emptier places than 99 % of "
               "held-out codes", "share", "0.01"),
    Diagnostic("midpoint_linear", "interpolation", "log-density half-way, straight line", "nats",
               "that of N(0, I) codes", 2),
    Diagnostic("midpoint_slerp", "interpolation", "log-density half-way, along the arc", "nats",
               "that of N(0, I) codes", 2),
    Diagnostic("dip_linear", "interpolation", "log-density lost half-way, straight line", "nats",
               "no more than N(0, I) codes lose", 2),
    Diagnostic("dip_slerp", "interpolation", "log-density lost half-way, along the arc", "nats",
               "no more than N(0, I) codes lose", 2),
    Diagnostic("drift_prior", "drift", "||E(D(z)) - z|| / sqrt(d) of prior codes", "", "small"),
    Diagnostic("drift_data", "drift", "the same of held-out codes", "", "small"),
    Diagnostic("drift_ratio", "drift", "their ratio", "", "1", 2),
    Diagnostic("path_linear", "walks", "length of the way in pixels, straight line",
               "L2 of [0, 1]", "short", 2),
    Diagnostic("path_slerp", "walks", "length of the way in pixels, along the arc",
               "L2 of [0, 1]", "short", 2),
    Diagnostic("step_ratio_linear", "walks", "longest of 8 steps over their mean, straight line",
               "", "1", 2),
    Diagnostic("step_ratio_slerp", "walks", "longest of 8 steps over their mean, along the arc",
               "", "1", 2),
)  # fmt: skip

DIAGNOSTICS: dict[str, Diagnostic] = {row.name: row for row in _ROWS}
