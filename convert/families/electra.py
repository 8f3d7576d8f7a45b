"""ELECTRA (2020): the discriminator; the generator of a checkpoint is left out."""

from convert.families.base import TRANSFORMER, Family, Settings
from convert.families.blocks import (
    beyond_transformers,
    common,
    embeddings,
    genae_config,
    mapping,
    post_norm,
    transformers_config,
)
from convert.weights.rows import dense

HEAD = "discriminator_predictions"

ROWS = (
    *embeddings("electra", "electra/embeddings"),
    *mapping("electra", "electra/embeddings_project"),
    *post_norm("electra.encoder.layer.{i}", "electra/encoder/layer_{i}"),
    *dense(
        f"{HEAD}.dense", f"{HEAD}/dense", "Discriminator-Dense", 0, "hidden", "hidden",
        "discriminator",
    ),
    *dense(
        f"{HEAD}.dense_prediction", f"{HEAD}/dense_1", "Discriminator-Prediction", 0, "hidden",
        "one", "discriminator",
    ),
)  # fmt: skip


def config(settings: Settings) -> dict[str, object]:
    """Plain ELECTRA where no option is beyond it."""
    head = "ForPreTraining" if settings.parts["discriminator"] else "Model"
    beyond = beyond_transformers(settings)
    beyond.pop("embedding_size", None)
    if beyond:
        return genae_config(settings, "electra", "Electra", head)
    return transformers_config("electra", "Electra", head, common(settings)) | {
        "embedding_size": settings.sizes["embedding"]
    }


FAMILY = Family(
    name="electra",
    title="ELECTRA",
    telltales=(
        ("electra/encoder/layer_0/attention/self/query/kernel",),
        ("Discriminator-Dense#0", "Embedding-Position#0"),
    ),
    rows=ROWS,
    config=config,
    options=TRANSFORMER | {"with_discriminator": None},
    applications=("encoder",),
    dropped=(
        (r"^generator(_predictions)?/", "the generator"),
        (r"^electra/(?=.*(pooler|task))", "a head of fine-tuning"),
    ),
    paper="arXiv:2003.10555",
)
