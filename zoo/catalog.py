"""The architectures of genae, as strings: reading this table imports nothing.

A new architecture is one row here. `load` turns a reference into the class it names.
"""

import importlib
from collections.abc import Iterable
from typing import Any

from zoo.entry import PROCESSOR as PROCESSOR
from zoo.entry import Entry as Entry
from zoo.entry import class_name as class_name
from zoo.errors import UsageError
from zoo.heads import HEADS as HEADS
from zoo.heads import auto_class as auto_class
from zoo.heads import heads_that as heads_that
from zoo.heads import is_fine_tuned as is_fine_tuned
from zoo.hints import did_you_mean

#: What a model can do: verbs, metrics and trainer ask for this, never for an architecture's name.
ABILITIES = {
    "encodes": "turns images into vectors of features",
    "reconstructs": "turns images into codes and back",
    "quantizes": "turns images into grids of codes, each the number of a vector",
    "samples": "draws images",
    "conditions": "draws images of a label asked for",
    "bounds": "bounds the log-likelihood of images from below",
    "compresses": "codes images by bits back",
    "clusters": "assigns images to clusters",
    "classifies": "predicts labels of images or texts",
    "scores": "gives an energy and its gradient, of images or vectors",
    "predicts": "predicts tokens of texts",
    "tags": "labels tokens of texts",
    "extracts": "finds entities or relations in texts",
    "answers": "finds answers to questions in texts",
    "relates": "finds relations in texts",
    "embeds": "turns texts into vectors",
    "fills": "fills in masked tokens of texts",
    "generates": "writes texts",
    "translates": "turns texts into other texts",
}
AUTOENCODES = ("encodes", "reconstructs", "samples")

IMAGES = (
    Entry(
        name="ae",
        title="autoencoder",
        config="zoo.models.images.configuration_ae:AEConfig",
        model="zoo.models.images.modeling_ae:AEModel",
        can=AUTOENCODES,
        shapes_codes=False,
    ),
    Entry(
        name="vae",
        title="variational autoencoder",
        config="zoo.models.images.configuration_vae:VAEConfig",
        model="zoo.models.images.modeling_vae:VAEModel",
        paper="arXiv:1312.6114",
        can=(*AUTOENCODES, "conditions", "bounds", "compresses", "clusters"),
    ),
    Entry(
        name="eae",
        title="entropic autoencoder",
        config="zoo.models.images.configuration_eae:EAEConfig",
        model="zoo.models.images.modeling_eae:EAEModel",
        paper="Ghose et al., UAI 2020",
        can=AUTOENCODES,
    ),
    Entry(
        name="infomax",
        title="mutual-information encoder",
        config="zoo.models.images.configuration_infomax:InfoMaxConfig",
        model="zoo.models.images.modeling_infomax:InfoMaxModel",
        task="image-feature-extraction",
        paper="arXiv:1808.06670",
        can=("encodes",),
    ),
    Entry(
        name="iwae",
        title="importance-weighted autoencoder",
        config="zoo.models.images.configuration_iwae:IWAEConfig",
        model="zoo.models.images.modeling_iwae:IWAEModel",
        paper="arXiv:1509.00519",
        can=(*AUTOENCODES, "bounds"),
    ),
    Entry(
        name="vq_vae",
        title="vector-quantised autoencoder",
        config="zoo.models.images.configuration_vq_vae:VQVAEConfig",
        model="zoo.models.images.modeling_vq_vae:VQVAEModel",
        paper="arXiv:1711.00937",
        can=("quantizes", "reconstructs", "samples"),
    ),
    Entry(
        name="dde",
        title="denoising density estimator",
        config="zoo.models.images.configuration_dde:DDEConfig",
        model="zoo.models.images.modeling_dde:DDEModel",
        paper="arXiv:2001.02728",
        can=("scores", "samples"),
    ),
    Entry(
        name="mdsm",
        title="multi-scale denoising energy",
        config="zoo.models.images.configuration_mdsm:MDSMConfig",
        model="zoo.models.images.modeling_mdsm:MDSMModel",
        paper="arXiv:1910.07762",
        can=("scores", "samples"),
    ),
    Entry(
        name="classifier",
        title="convolutional classifier",
        config="zoo.models.images.configuration_classifier:ClassifierConfig",
        model="zoo.models.images.modeling_classifier:ClassifierModel",
        auto="AutoModelForImageClassification",
        task="image-classification",
        can=("classifies",),
    ),
)


#: Checkpoints bring a pooler or none; transformers' classes have one or none by their head alone.
POOLER = "pooler."


def _theirs(name: str, title: str, stem: str, head: str, paper: str, **more: Any) -> Entry:
    """The row of an architecture that transformers has; what else it says is given by name."""
    auto, task, can = HEADS[head]
    config, model = f"transformers:{stem}Config", f"transformers:{stem}{head}"
    return Entry(
        name, title, config, model, auto, task, paper, "", name, can=can, reads="texts", **more
    )


def _ours(name: str, title: str, stem: str, head: str, paper: str, module: str = "") -> Entry:
    """The row of a text model on the island."""
    auto, task, can = HEADS[head]
    return Entry(
        name=f"genae_{name}",
        title=title,
        config=f"zoo.models.text.configuration_{module or name}:Genae{stem}Config",
        model=f"zoo.models.text.modeling_{module or name}:Genae{stem}{head}",
        auto=auto,
        task=task,
        paper=paper,
        processor="",
        type=f"genae_{name}",
        can=can,
        reads="texts",
    )


#: Heads of fine-tuning on what transformers has.
TUNED = "zoo.models.text.modeling_transformers"

#: What converted checkpoints become, models of transformers where it has the architecture, ours
#: where it lacks it or an option; and those that are trained here.
TEXTS = (
    _theirs(
        "bert", "BERT", "Bert", "ForMaskedLM", "arXiv:1810.04805", optional=POOLER, more=TUNED
    ),
    _theirs(
        "albert", "ALBERT", "Albert", "ForMaskedLM", "arXiv:1909.11942", optional=POOLER,
        more=TUNED,
    ),
    _theirs(
        "roformer", "RoFormer", "RoFormer", "ForMaskedLM", "arXiv:2104.09864",
        rebuilt="encoder.embed_positions.weight", more=TUNED,
    ),
    _theirs("electra", "ELECTRA", "Electra", "ForPreTraining", "arXiv:2003.10555", more=TUNED),
    _theirs(
        "fnet", "FNet", "FNet", "ForMaskedLM", "arXiv:2105.03824", reads_mask=False, more=TUNED
    ),
    _theirs("gpt2", "GPT-2", "GPT2", "LMHeadModel", "arXiv:2012.00413", more=TUNED),
    _theirs("t5", "T5", "T5", "ForConditionalGeneration", "arXiv:1910.10683", more=TUNED),
    _theirs("mt5", "mT5", "MT5", "ForConditionalGeneration", "arXiv:2010.11934", more=TUNED),
    _ours("bert", "BERT with bert4keras's options", "Bert", "ForMaskedLM", "arXiv:1810.04805"),
    _ours(
        "albert", "ALBERT with bert4keras's options", "Albert", "ForMaskedLM", "arXiv:1909.11942"
    ),
    _ours("nezha", "NEZHA", "Nezha", "ForMaskedLM", "arXiv:1909.00204"),
    _ours(
        "roformer", "RoFormer with bert4keras's options", "RoFormer", "ForMaskedLM",
        "arXiv:2104.09864",
    ),
    _ours("roformer_v2", "RoFormerV2", "RoFormerV2", "ForMaskedLM", "ZhuiyiTechnology, 2022"),
    _ours("gau_alpha", "GAU-alpha", "GAUAlpha", "ForMaskedLM", "arXiv:2202.10447"),
    _ours(
        "electra", "ELECTRA with bert4keras's options", "Electra", "ForPreTraining",
        "arXiv:2003.10555",
    ),
    _ours("gpt", "GPT with segments", "GPT", "ForCausalLM", "arXiv:2008.03946"),
    _ours(
        "gpt2", "GPT-2 with bert4keras's options", "GPT2", "ForCausalLM", "arXiv:2012.00413", "gpt"
    ),
    _ours("gpt2_ml", "GPT2-ML", "GPT2ML", "ForCausalLM", "arXiv:1905.12616", "gpt"),
    _ours(
        "t5", "T5 as bert4keras computes it", "T5", "ForConditionalGeneration", "arXiv:1910.10683"
    ),
    Entry(
        name="synthesizer",
        title="Synthesizer",
        config="zoo.models.text.configuration_synthesizer:SynthesizerConfig",
        model="zoo.models.text.modeling_synthesizer:SynthesizerForMaskedLM",
        auto="AutoModelForMaskedLM",
        task="fill-mask",
        paper="arXiv:2005.00743",
        processor="",
        heads=(
            "Model", "ForMaskedLM", "ForCausalLM", "ForSequenceClassification",
            "ForTokenClassification", "ForConditionalGeneration",
        ),
        can=HEADS["ForMaskedLM"][-1],
        reads="texts",
    ),
)  # fmt: skip

#: What Keras models of any layers become: they compute what their files say, of images or not.
TENSORS = (
    Entry(
        name="layers",
        title="graph of layers",
        config="zoo.models.images.configuration_layers:LayersConfig",
        model="zoo.models.images.modeling_layers:LayersModel",
        task="other",
        processor="",
        reads="tensors",
    ),
)

#: Every architecture by its name.
ARCHITECTURES: dict[str, Entry] = {e.name: e for e in (*IMAGES, *TEXTS, *TENSORS)}


def load(reference: str) -> Any:
    """Import what a reference names.

    Args:
        reference: `package.module:attribute`, as the rows of this catalog write it. Never pass
            text from a card or a config here.

    Returns:
        The attribute, usually a class.
    """
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


def find(name: str) -> Entry:
    """The row of an architecture.

    Raises:
        UsageError: no architecture has this name; the message has the nearest.
    """
    if name not in ARCHITECTURES:
        raise UsageError(f"no architecture named {name!r}. {did_you_mean(name, ARCHITECTURES)}")
    return ARCHITECTURES[name]


def find_learner(name: str) -> Entry:
    """The row of an architecture that a card may train.

    Raises:
        UsageError: as `find`, or genae has no data for it.
    """
    entry = find(name)
    if not entry.learns:
        raise UsageError(
            f"{name!r} is what files of Keras become: `genae convert FILE OUT` makes such models; "
            "a loop of your own trains them, no card does"
        )
    return entry


def find_config(model_type: str | None, architectures: Iterable[str] = ()) -> Entry:
    """The row that a `config.json` belongs to.

    Args:
        model_type: the file's `model_type`, such as `genae_vae`.
        architectures: the file's class names, asked when the type says nothing.

    Raises:
        UsageError: the configuration is not one of genae's.
    """
    names = set(architectures)
    for entry in ARCHITECTURES.values():
        if entry.model_type == model_type:
            return entry
    for entry in (*IMAGES, *TENSORS):
        if model_type is None and entry.model_class in names:
            return entry
    hint = did_you_mean(str(model_type), [entry.model_type for entry in ARCHITECTURES.values()])
    raise UsageError(
        f"model_type {model_type!r} is not one of genae's. {hint} "
        "Models of other libraries load with transformers.AutoModel."
    )


def abilities(entry: Entry, architectures: Iterable[str] = ()) -> tuple[str, ...]:
    """What a model can do, words of `ABILITIES`.

    Args:
        entry: its row.
        architectures: the class names of its `config.json`; they say which head a text model has.
            Of several heads on one backbone its tables say what they can do, see `heads_that`.

    Example:
        >>> abilities(find("bert"), ["BertForSequenceClassification"]), abilities(find("ae"))
        (('classifies',), ('encodes', 'reconstructs', 'samples'))
    """
    names = tuple(map(str, architectures)) if entry.reads == "texts" else ()
    if not names or names[0].endswith("ForPreTraining"):  # of several heads, the row's among them
        return entry.can
    found = (can for head, (*_, can) in HEADS.items() if names[0].endswith(head))
    return next(found, ())


def able(ability: str) -> list[str]:
    """Names of the architectures that can do something, a word of `ABILITIES`."""
    return [entry.name for entry in ARCHITECTURES.values() if ability in entry.can]


def heads(entry: Entry) -> dict[str, str]:
    """The model classes that genae has of an architecture, each with its Auto class.

    Of a text model every class of its module that has its configuration is a head; of all others
    there is one.
    """
    if entry.reads != "texts":
        return {entry.model_class: entry.auto}
    if not entry.own_module:
        return {}
    config, module = load(entry.config), importlib.import_module(entry.own_module)
    return {
        name: auto_class(name)
        for name, kind in vars(module).items()
        if getattr(kind, "config_class", None) is config
        and not name.endswith("PreTrainedModel")
        and kind.__module__ == entry.own_module
        and name.startswith(class_name(entry.config).removesuffix("Config"))
    }


def model_for(entry: Entry, architectures: Iterable[str] = ()) -> Any:
    """The class that a `config.json` names, where it is one of the architecture's, else the row's.

    Args:
        entry: the row.
        architectures: the file's class names; they are looked up in the row's own modules alone.
    """
    config, modules = load(entry.config), filter(None, (entry.module, entry.more))
    for place in map(importlib.import_module, modules):
        for name in architectures:
            found = getattr(place, str(name), None)
            if isinstance(found, type) and getattr(found, "config_class", None) is config:
                return found
    return load(entry.model)


def classes() -> dict[str, str]:
    """Every public class by name, as references: models, configurations, image processors."""
    rows = (*IMAGES, *TENSORS)
    references = [ref for e in rows for ref in (e.model, e.config, e.processor) if ref]
    for entry in TEXTS:
        if entry.heads:
            stem = entry.config.partition(":")[2].removesuffix("Config")
            references += [entry.config, *(f"{entry.module}:{stem}{h}" for h in entry.heads)]
    return {class_name(reference): reference for reference in references}
