"""Which form of gelu a plain `gelu` means: whose files they are decides.

bert4keras takes the erf form unless `set_gelu('tanh')` was called. Others mean the tanh form by
the same word, and no file says so. `SOURCES` is the table; `convert/README.md` shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convert.families.activations import is_plain_gelu
from convert.published import VOCABULARY, Recognition

if TYPE_CHECKING:
    from convert.families import Family, Settings
    from convert.names.naming import Naming

OTHER = {"erf": "tanh", "tanh": "erf"}
BERT4KERAS = "bert4keras takes erf unless set_gelu('tanh') was called"

#: Keys that Google's ALBERT writes into its configuration, and nobody else.
GOOGLES_ALBERT = (
    *("num_hidden_groups", "net_structure_type", "gap_size", "num_memory_blocks"),
    *("inner_group_num", "down_scale_factor", "layers_to_keep"),
)


@dataclass(frozen=True)
class Source:
    """Files of one origin.

    Attributes:
        title: what tells them.
        form: what is taken: "erf" or "tanh".
        why: whose code says so.
        families: of the model; empty is any.
        kind: of the names, "tensorflow" or "keras"; empty is any.
        dialect: what that of the names begins with; empty is any.
        keys: of the configuration, of which one is there.
        certain: the files decide it, as far as files can; else a person is asked to.
    """

    title: str
    form: str
    why: str
    families: tuple[str, ...] = ()
    kind: str = ""
    dialect: str = ""
    keys: tuple[str, ...] = ()
    certain: bool = False

    @property
    def sign(self) -> bool:
        """Whether the configuration's keys or the form of the names decide against the rest."""
        return self.form == "tanh"


#: The first that fits decides.
SOURCES = (
    Source(
        "`tf_model.h5` of transformers",
        "erf",
        "transformers means erf by gelu, and gelu_new by the tanh form",
        dialect="transformers",
        certain=True,
    ),
    Source(
        "names of Google's Model Garden",
        "tanh",
        "Google's ALBERT and the Model Garden's code compute tanh",
        families=("albert", "albert_unshared"),
        dialect="garden",
        certain=True,
    ),
    Source(
        "names of Google's Model Garden",
        "erf",
        "the Model Garden's code computes tanh, the models of 2018 that were brought there erf",
        dialect="garden",
    ),
    Source(
        "names of keras-bert",
        "erf",
        "keras-bert computes erf with TensorFlow behind it and tanh with another backend",
        dialect="keras_bert",
    ),
    Source(
        "brightmart's first layout",
        "tanh",
        f"brightmart's ALBERT computes tanh (brightmart/albert_zh modeling.py); {BERT4KERAS}",
        dialect="brightmart",
    ),
    Source("layers of bert4keras (HDF5, Keras 3)", "erf", BERT4KERAS, kind="keras", certain=True),
    Source(
        "TensorFlow's names, and keys of Google's ALBERT in the configuration "
        "(`num_hidden_groups`, `net_structure_type` ...)",
        "tanh",
        f"Google's ALBERT computes tanh (google-research/albert modeling.py); {BERT4KERAS}",
        families=("albert", "albert_unshared"),
        keys=GOOGLES_ALBERT,
    ),
    Source(
        "TensorFlow's names",
        "erf",
        f"Google's ALBERT, and brightmart's, is the tanh form; {BERT4KERAS}",
        families=("albert", "albert_unshared"),
    ),
    Source(
        "TensorFlow's names, and `use_relative_position` in the configuration",
        "tanh",
        f"Huawei's NEZHA computes tanh (NEZHA-TensorFlow/modeling.py); {BERT4KERAS}",
        families=("nezha",),
        keys=("use_relative_position",),
    ),
    Source(
        "TensorFlow's names",
        "erf",
        f"Huawei's NEZHA is the tanh form; {BERT4KERAS}",
        families=("nezha",),
    ),
    Source(
        "a configuration that transformers wrote (`model_type`, `transformers_version`)",
        "erf",
        "transformers means erf by gelu, and gelu_new by the tanh form",
        keys=("model_type", "transformers_version"),
        certain=True,
    ),
    Source(
        "TensorFlow's names",
        "erf",
        "Google's ELECTRA, hfl's and bert4keras compute erf",
        families=("electra",),
        certain=True,
    ),
    Source(
        "TensorFlow's names",
        "erf",
        "GPT2-ML's own code and bert4keras compute erf",
        families=("gpt2_ml",),
        certain=True,
    ),
    Source(
        "TensorFlow's names",
        "erf",
        f"trained in bert4keras, and {BERT4KERAS}",
        families=("roformer", "roformer_v2", "gau_alpha"),
        certain=True,
    ),
    Source(
        "TensorFlow's names",
        "tanh",
        "Mesh TensorFlow computes tanh",
        families=("synthesizer_random", "synthesizer_random_plus"),
        certain=True,
    ),
    Source(
        "TensorFlow's names",
        "erf",
        f"CPM's own code and OpenAI's GPT compute tanh; {BERT4KERAS}",
        families=("gpt", "gpt2"),
    ),
    Source(
        "TensorFlow's names",
        "erf",
        "Google's models of 2018 are erf, its code computes tanh since 2019-02-07, and "
        f"{BERT4KERAS}",
        families=("bert",),
    ),
)


@dataclass(frozen=True)
class Meaning:
    """What a plain gelu is taken for.

    Attributes:
        form: "erf" or "tanh".
        source: whose files they seem to be.
        words: the same for a person: why, and how to say otherwise.
    """

    form: str
    source: Source
    words: str


def matters(family: Family, config: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
    """Whether a plain gelu is anywhere in the model, and the option decides about it.

    T5 is asked about as a whole: `semantics`.
    """
    if "semantics" in family.options or "gelu" not in family.options:
        return False
    act = options.get("hidden_act", config.get("hidden_act", "gelu"))
    more = (options.get(name) for name in ("with_pool", "layer_norm_cond_hidden_act"))
    return any(map(is_plain_gelu, (act, *more)))


def plain(family: Family, settings: Settings) -> bool:
    """Whether the option decides about numbers of a model: a T5 of bert4keras's included."""
    if settings.options.get("semantics") == "bert4keras":
        act = settings.config.get("hidden_act", ["gelu"])
        return is_plain_gelu(act[0] if isinstance(act, list) and act else act)
    return matters(family, settings.config, settings.options)


def meaning(
    family: Family, naming: Naming, config: Mapping[str, Any], options: Mapping[str, Any]
) -> Meaning | None:
    """What a plain gelu means where nobody says it; None where there is none.

    Args:
        family: of the checkpoint.
        naming: what its tensors are called.
        config: the legacy configuration.
        options: of the builder, as given.
    """
    if not matters(family, config, options):
        return None
    source = next(
        one
        for one in SOURCES
        if (not one.families or family.name in one.families)
        and one.kind in ("", naming.kind)
        and naming.dialect.startswith(one.dialect)
        and (not one.keys or any(config.get(key, False) is not False for key in one.keys))
    )
    other = OTHER[source.form]
    words = f"gelu is taken in its {source.form} form: {source.why}. "
    words += (
        f"The other form is --option gelu={other}"
        if source.certain
        else "The files do not say which was trained: give --option gelu="
        f"{source.form} or --option gelu={other}"
    )
    return Meaning(source.form, source, words)


def said(meaning: Meaning, release: Recognition) -> tuple[str, bool]:
    """The words of a meaning with what is known of releases, and whether they are a warning.

    Args:
        meaning: what is taken.
        release: which one the files may be.
    """
    known = release.facts.get("gelu", meaning.form)
    if meaning.source.certain and known != meaning.form:  # saved by Keras, begun from a release
        names = " or ".join(one.name for one in release.releases[:3])
        return f"{meaning.words}, in which {names} was trained", True
    found = [one for one in release.releases if one.gelu != "none"]
    if meaning.source.certain or not found or release.by == VOCABULARY:
        return meaning.words, not meaning.source.certain
    if len(found) == 1:
        return f"{meaning.words}. Of {found[0].name}: {found[0].gelu_source}", True
    shown = ", ".join(f"{one.name} ({one.gelu})" for one in found[:8])
    shown += " ..." if len(found) > 8 else ""
    words = f"Vocabulary and sizes are those of {shown}: --as NAME says which it is"
    return f"{meaning.words}. {words}", True


def table() -> list[str]:
    """The rows of `SOURCES`, in Markdown."""
    lines = ["| family | files | taken | because | |", "| --- | --- | --- | --- | --- |"]
    for one in SOURCES:
        names = ", ".join(f"`{name}`" for name in one.families) or "any"
        lines.append(
            f"| {names} | {one.title} | {one.form} | {one.why} | "
            f"{'note' if one.certain else 'warning'} |"
        )
    return lines
