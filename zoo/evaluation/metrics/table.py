"""The metrics of genae, one row each. Reading this table imports neither torch nor numpy."""

import importlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo import catalog
from zoo.errors import UsageError
from zoo.hints import did_you_mean

if TYPE_CHECKING:
    from zoo.evaluation.subject import Outcome


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: its name in a card.
        unit: of the value.
        reference: `module:function` in this package; see `function`.
        needs: what a model must be able to do, one of `catalog.ABILITIES`.
        also: another of them, if it needs both.
        unless: another of them, whose models it cannot measure.
        likelihoods: likelihoods it can measure; empty for all.
        digits: decimals worth keeping in a card.
        tolerance: suggested for a new result: wide enough for another machine or another
            version of torch, narrow enough to notice other weights.
        relative: whether the tolerance is a share of the value.
        title: a short description.
        floor: what its floor is, if it has one.
        ceiling: what its ceiling is, if it has one.
    """

    name: str
    unit: str
    reference: str
    needs: str
    digits: int
    tolerance: float
    title: str
    likelihoods: tuple[str, ...] = ()
    also: str = ""
    unless: str = ""
    relative: bool = False
    floor: str = "as many real train images"
    ceiling: str = ""

    @property
    def function(self) -> "Callable[..., Outcome]":
        """The function `(subject, **options) -> Outcome` that measures it."""
        module, _, attribute = self.reference.partition(":")
        found: Callable[..., Outcome]
        found = getattr(importlib.import_module(f".{module}", __package__), attribute)
        return found

    def suggested_tolerance(self, value: float) -> float:
        """The tolerance to state for a value, in its unit."""
        size = self.tolerance * abs(value) if self.relative else self.tolerance
        return max(round(size, self.digits), 10.0**-self.digits)

    def refusal(
        self, kind: str, likelihood: str | None, can: Collection[str] | None = None
    ) -> str | None:
        """Why this metric cannot measure a model, or None if it can.

        Args:
            kind: name of its architecture.
            likelihood: name of its likelihood, if it has one.
            can: what it can do, if not all that its architecture can.
        """
        able = catalog.find(kind).can if can is None else can
        fits = self.needs in able and (self.also or self.needs) in able
        if self.unless in able or not fits:
            both = catalog.able(self.also or self.needs)
            kinds = ", ".join(each for each in catalog.able(self.needs) if each in both)
            if kinds:
                return f"{self.name} measures {kinds} models, and this is {kind!r}"
            return f"{self.name} is of a head that this {kind!r} model does not have"
        if self.likelihoods and likelihood not in self.likelihoods:
            return (
                f"{self.name} measures models with a {' or '.join(self.likelihoods)} likelihood, "
                f"and this one is {likelihood!r}"
            )
        return None


def _fidelity(name: str, unit: str, digits: int, tolerance: float, title: str) -> Metric:
    return Metric(
        name, unit, f"fidelity:{name}", "samples", digits, tolerance, title,
        relative=name == "frechet_distance",
    )  # fmt: skip


#: What the floors of texts are made of.
UNIGRAM = "the frequency of tokens in the train split"
LABEL = "the most frequent label of the train split; of tags, of their word in it"
LOOKUP = "the entities of the train split wherever their texts occur, longest first"
PAIRS = "the relations of the train split between the same two texts"
OVERLAP = "the share of characters that both texts have"
OTHER = "the references of other texts"

_ROWS = (
    Metric(
        "reconstruction_mse", "per pixel, [0, 1]", "reconstruction:reconstruction_mse",
        "reconstructs", 5, 0.01, "mean squared error of reconstructions", relative=True,
    ),
    Metric(
        "elbo", "nats per image", "likelihood:elbo",
        "bounds", 2, 0.5, "evidence lower bound; analytic KL of a VAE",
    ),
    Metric(
        "iwae", "nats per image", "likelihood:iwae",
        "bounds", 2, 0.5, "importance-weighted lower bound",
    ),
    Metric(
        "auroc", "share", "auroc:auroc",
        "bounds", 4, 0.01, "own images likelier than another data set's",
    ),
    Metric(
        "bits_per_dim", "bits per pixel and channel", "likelihood:bits_per_dim",
        "bounds", 3, 0.01, "upper bound on the code length",
        likelihoods=("discretized_logistic", "beta_binomial"),
    ),
    Metric(
        "entropy_gap", "nats", "entropy_gap:entropy_gap",
        "reconstructs", 2, 0.1, "entropy of the codes minus that of normal codes",
        also="encodes",
    ),
    Metric(
        "code_perplexity", "codes in even use", "codes:code_perplexity",
        "quantizes", 2, 0.01, "exponential of the entropy of the codes' use", relative=True,
    ),
    Metric(
        "bits_per_code", "bits", "codes:bits_per_code",
        "quantizes", 3, 0.01, "length of the codes under the prior",
        floor="each code by its frequency alone",
    ),
    _fidelity("frechet_distance", "squared feature units", 3, 0.03, "between Gaussian fits"),
    _fidelity("precision", "share", 4, 0.01, "samples within the real images' manifold"),
    _fidelity("recall", "share", 4, 0.01, "real images within the samples' manifold"),
    _fidelity("density", "1 for equal sets", 4, 0.02, "real neighbourhoods a sample lies in"),
    _fidelity("coverage", "share", 4, 0.01, "real neighbourhoods that hold a sample"),
    Metric(
        "conditional_accuracy", "share", "conditional:conditional_accuracy",
        "conditions", 4, 0.01, "samples of a label that a classifier reads as that label",
        floor="samples without a label", ceiling="real images",
    ),
    Metric(
        "energy_auroc", "share", "auroc:energy_auroc",
        "scores", 4, 0.01, "own images of lower energy than another data set's",
    ),
    Metric(
        "inpainting_accuracy", "share", "inpainting:inpainting_accuracy",
        "scores", 4, 0.02, "labels read off images whose hidden part was filled in",
        floor="these images, the hidden part black", ceiling="these images, whole",
    ),
    Metric(
        "num_modes", "modes", "modes:num_modes",
        "samples", 0, 1.0, "classes of which there are samples",
        floor="as many real images",
    ),
    Metric(
        "mode_divergence", "nats", "modes:mode_divergence",
        "samples", 4, 0.01, "of the samples' classes from equally likely ones",
        floor="as many real images",
    ),
    Metric(
        "clustering_accuracy", "share", "clustering:clustering_accuracy",
        "clusters", 4, 0.005, "images in the cluster that stands for their label",
        floor="k-means on the pixels",
    ),
    Metric(
        "accuracy", "share", "accuracy:accuracy",
        "classifies", 4, 0.001, "labels predicted correctly",
        floor=LABEL,
    ),
    Metric(
        "macro_f1", "share", "accuracy:macro_f1",
        "classifies", 4, 0.002, "F1 averaged over labels",
        floor=LABEL,
    ),
    Metric(
        "micro_f1", "share", "accuracy:micro_f1",
        "classifies", 4, 0.001, "F1 of all labels together; of tags without O",
        floor=LABEL,
    ),
    Metric(
        "entity_f1", "share", "extraction:entity_f1",
        "extracts", 4, 0.002, "F1 of entities of which type and both ends are right",
        unless="relates", floor=LOOKUP,
    ),
    Metric(
        "triple_f1", "share", "extraction:triple_f1",
        "relates", 4, 0.002, "F1 of relations of which all three parts are right",
        floor=PAIRS,
    ),
    Metric(
        "spearman", "-1 to 1", "similarity:spearman",
        "embeds", 4, 0.002, "rank correlation of similarities with those of people",
        floor=OVERLAP,
    ),
    Metric(
        "perplexity", "per predicted token", "tokens:perplexity",
        "predicts", 3, 0.005, "exponential of the mean cross-entropy",
        relative=True, floor=UNIGRAM,
    ),
    Metric(
        "masked_accuracy", "share", "tokens:masked_accuracy",
        "fills", 4, 0.003, "masked tokens filled in correctly",
        floor=UNIGRAM,
    ),
    Metric(
        "bleu", "0 to 100", "translation:bleu",
        "translates", 2, 0.3, "n-grams of words shared with people's translations",
        floor=OTHER,
    ),
    Metric(
        "chrf", "0 to 100", "translation:chrf",
        "translates", 2, 0.3, "n-grams of characters shared with people's translations",
        floor=OTHER,
    ),
    Metric(
        "probe_accuracy", "share", "probe:probe_accuracy",
        "encodes", 4, 0.01, "labels that a probe reads from the frozen encoder",
        floor="an untrained encoder",
    ),
)  # fmt: skip

METRICS: dict[str, Metric] = {row.name: row for row in _ROWS}

# What to measure if a card states nothing: an ability of the model, its likelihood (None for any),
# and the metrics.
DEFAULTS = (
    ("reconstructs", None, ("reconstruction_mse", "entropy_gap")),
    ("quantizes", None, ("code_perplexity",)),
    ("bounds", "bernoulli", ("elbo", "iwae")),
    ("bounds", "discretized_logistic", ("elbo", "bits_per_dim")),
    ("bounds", "beta_binomial", ("elbo", "bits_per_dim")),
    ("conditions", None, ("conditional_accuracy",)),
    ("clusters", None, ("clustering_accuracy",)),
    ("classifies", None, ("accuracy", "macro_f1")),
    ("relates", None, ("triple_f1",)),
    ("extracts", None, ("entity_f1",)),
    ("embeds", None, ("spearman",)),
    ("translates", None, ("bleu", "chrf")),
    ("predicts", None, ("perplexity",)),
    ("fills", None, ("masked_accuracy",)),
    ("scores", None, ("frechet_distance",)),
)
#: The same for a model that does none of these.
OTHERWISE = ("probe_accuracy",)


def find(name: str) -> Metric:
    """The row of a metric.

    Raises:
        UsageError: no metric has this name; the message names the nearest.
    """
    try:
        return METRICS[name]
    except KeyError:
        hint = did_you_mean(name, METRICS)
        raise UsageError(f"no metric named {name!r}. {hint}") from None


def defaults(kind: str, likelihood: str | None, can: Collection[str] | None = None) -> list[str]:
    """Names of the metrics for a model whose card states no results; see `Metric.refusal`."""
    can = catalog.find(kind).can if can is None else can
    rows = [names for a, q, names in DEFAULTS if a in can and q in (None, likelihood)]
    if not rows:
        return list(OTHERWISE)
    names = [name for names in rows for name in names]
    return [name for name in names if METRICS[name].refusal(kind, likelihood, can) is None]


def display_name(name: str, options: dict[str, Any]) -> str:
    """The name of a metric to show, with the features it is measured in.

    Example:
        >>> display_name("recall", {"features": "genae/classifier-mnist"})
        'recall (genae/classifier-mnist features)'
    """
    features = options.get("features")
    return f"{name} ({features} features)" if features else name


def check_options(name: str, options: Iterable[str], known: Iterable[str]) -> None:
    """Raise `UsageError` naming the first option that the metric does not have."""
    known = list(known)
    for option in options:
        if option not in known:
            hint = did_you_mean(option, known)
            raise UsageError(f"metric {name} has no option {option!r}. {hint}")
