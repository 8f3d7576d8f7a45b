"""A row of the catalog: what genae knows of an architecture, as strings."""

from dataclasses import dataclass

PROCESSOR = "zoo.models.images.image_processing_genae:GenaeImageProcessor"


@dataclass(frozen=True, slots=True)
class Entry:
    """One architecture. References are written `package.module:Class`.

    Attributes:
        name: what a card's `architecture` says; `config.json` says it as `model_type`.
        title: the architecture in words.
        config: reference to the configuration class.
        model: reference to the model class.
        auto: the Auto class of transformers that finds the model.
        task: the Hub's pipeline tag.
        paper: where the method was described; empty for textbook methods.
        processor: reference to the image processor class; empty where none is needed.
        type: the `model_type` of another library's model; empty for genae's own.
        rebuilt: end of the name of a tensor that its class computes anew where files lack it.
        optional: part of the names of tensors that files and class may have without each other.
        can: what its models can do, words of `catalog.ABILITIES`; of a text model those of the
            head that the row names, see `catalog.abilities`.
        heads: ends of the names of its model's classes that `zoo` itself offers, of a text model.
        more: module of classes of genae's own on another library's architecture.
        reads: what its models are given: `images`, `texts`, or `tensors` of any shape, for which
            genae has neither a processor nor data to train on.
        reads_mask: whether its models, of texts, are told by a mask which tokens are padding;
            texts for others are all padded to one length.
        shapes_codes: whether training makes the codes of its models follow a prior, so that what
            the prior draws looks like the data.
    """

    name: str
    title: str
    config: str
    model: str
    auto: str = "AutoModel"
    task: str = "unconditional-image-generation"
    paper: str = ""
    processor: str = PROCESSOR
    type: str = ""
    rebuilt: str = ""
    optional: str = ""
    can: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    more: str = ""
    reads: str = "images"
    reads_mask: bool = True
    shapes_codes: bool = True

    @property
    def learns(self) -> bool:
        """Whether a card may train it."""
        return self.reads != "tensors"

    @property
    def own(self) -> bool:
        """Whether genae has its classes; transformers has the others'."""
        return self.module.startswith("zoo.")

    @property
    def module(self) -> str:
        """The module of the model class."""
        return self.model.partition(":")[0]

    @property
    def own_module(self) -> str:
        """The module of the classes that genae has for it; empty where it has none."""
        return self.module if self.own else self.more

    @property
    def model_type(self) -> str:
        """The `model_type` in `config.json`, prefixed so that no other library's is met."""
        return self.type or f"genae_{self.name}"

    @property
    def model_class(self) -> str:
        """Name of the model class, as `config.json` lists it under `architectures`."""
        return class_name(self.model)

    def rebuilds(self, name: str) -> bool:
        """Whether a tensor may be absent from the files."""
        return bool(self.rebuilt) and str(name).endswith(self.rebuilt)

    def leaves_open(self, name: str) -> bool:
        """Whether files may have a tensor that their class lacks, or lack one that it has."""
        return bool(self.optional) and self.optional in str(name)

    def has_class(self, name: str) -> bool:
        """Whether a class is one of the architecture's; text models have one for each head."""
        stem = class_name(self.config).removesuffix("Config")
        of_head = self.reads == "texts" and str(name).startswith(stem)
        return name == self.model_class or of_head


def class_name(reference: str) -> str:
    """The attribute's name: `zoo.models.images.modeling_ae:AEModel` -> `AEModel`."""
    return reference.partition(":")[2]
