"""Settings of the variational autoencoder."""

from huggingface_hub.dataclasses import strict

from .checks import at_least, one_of
from .configuration_image import AutoencoderConfig

POSTERIORS = ("gaussian", "von_mises_fisher", "gumbel_softmax")
PRIORS = ("standard", "class_means", "clusters")
SCALES_OF_POSTERIORS = ("log_variance", "log_standard_deviation")
MAX_CONCENTRATION = 10_000  # whose constants take a hundredth of a second
MIN_RELAXATION = 0.01  # below, single precision overflows into a hard choice


@strict
class VAEConfig(AutoencoderConfig):
    """Variational autoencoder (Kingma and Welling, arXiv:1312.6114).

    Attributes:
        beta: weight of the KL, both terms summed over dimensions (beta-VAE for beta other than 1).
        free_bits: nats per latent dimension that cost nothing: a KL whose batch mean is below
            them is not lowered further.
        kl_warmup_steps: training steps over which the weight of the KL rises from 0 to beta.
        posterior: p(z|x): `gaussian`; `von_mises_fisher`, codes of length 1 (arXiv:1804.00891);
            or `gumbel_softmax`, relaxed choices among classes (arXiv:1611.01144).
        posterior_scale: what a Gaussian's encoder gives behind the means: `log_variance` or
            `log_standard_deviation`.
        concentration: kappa of `von_mises_fisher`, how close samples lie to their direction.
        num_choices: classes of each choice of `gumbel_softmax`; they divide latent_size, which
            counts all weights of all choices.
        relaxation: temperature tau of `gumbel_softmax`; near 0 samples choose one class.
        prior: q(z): `standard`, the posterior's own (N(0, I); uniform on the sphere; uniform
            choices); `class_means`, N(m_y, I) with a mean learned for each label y of num_labels;
            or `clusters`, the same with labels that the model finds itself.
        num_clusters: of the prior `clusters`.
        cluster_hidden_size: width of the hidden layer of its classifier of codes.
    """

    model_type = "genae_vae"

    beta: float | int = 1.0
    free_bits: float | int = 0.0
    kl_warmup_steps: int = 0
    posterior: str = "gaussian"
    posterior_scale: str = "log_variance"
    concentration: float | int = 20.0
    num_choices: int = 10
    relaxation: float | int = 0.67
    prior: str = "standard"
    num_clusters: int = 10
    cluster_hidden_size: int = 256

    def validate_vae(self) -> None:
        """Check the weights of the KL, and that posterior, prior and code fit together."""
        for field in ("beta", "free_bits", "kl_warmup_steps"):
            at_least(field, getattr(self, field), 0)
        one_of("posterior", self.posterior, POSTERIORS)
        one_of("posterior_scale", self.posterior_scale, SCALES_OF_POSTERIORS)
        one_of("prior", self.prior, PRIORS)
        for field in ("num_clusters", "cluster_hidden_size"):
            at_least(field, getattr(self, field), 1)
        if self.prior != "standard" and self.posterior != "gaussian":
            raise ValueError(
                f"the prior {self.prior!r} is of Gaussians, the posterior {self.posterior!r}; use "
                "posterior='gaussian' or prior='standard'"
            )
        if self.posterior == "von_mises_fisher":
            at_least("latent_size of codes on a sphere", self.latent_size, 2)
            if not 0 < self.concentration <= MAX_CONCENTRATION:
                raise ValueError(
                    f"concentration must be positive, up to {MAX_CONCENTRATION}, got "
                    f"{self.concentration}"
                )
        if self.posterior == "gumbel_softmax":
            at_least("num_choices", self.num_choices, 2)
            if self.latent_size % self.num_choices:
                raise ValueError(
                    f"num_choices {self.num_choices} must divide latent_size, got "
                    f"{self.latent_size}"
                )
            if not MIN_RELAXATION <= self.relaxation < float("inf"):
                raise ValueError(
                    f"relaxation must be at least {MIN_RELAXATION} and finite, got "
                    f"{self.relaxation}"
                )
