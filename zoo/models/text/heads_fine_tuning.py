"""Models with heads of fine-tuning: one mechanism, a table of classes, for every backbone.

    globals().update(fine_tuned("GenaeBert", __name__, GenaeBertPreTrainedModel, GenaeBertModel))

makes `GenaeBertForCRFTokenClassification` and the others of `CLASSES`. The settings of heads are
nested tables of the configuration (`configuration_heads.py`).
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from operator import attrgetter
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils.generic import can_return_tuple

from .configuration_heads import Table, in_order, read_heads
from .heads_base import Head, HeadsOutput, States, inputs_of
from .heads_crf import CRF, MEMM
from .heads_half_pointer import HalfPointer
from .heads_labels import Classifier, Span, TokenClassifier
from .heads_pointer import EfficientGlobalPointer, GlobalPointer, GPLinker
from .heads_squad2 import Squad2
from .heads_vectors import Vectors
from .norms import ConditionalLayerNorm

HEADS: dict[str, type[Head]] = {
    "classifier": Classifier,
    "token_classifier": TokenClassifier,
    "crf": CRF,
    "memm": MEMM,
    "global_pointer": GlobalPointer,
    "efficient_global_pointer": EfficientGlobalPointer,
    "gplinker": GPLinker,
    "half_pointer": HalfPointer,
    "span": Span,
    "vectors": Vectors,
    "squad2": Squad2,
}


class FineTuned(PreTrainedModel):
    """A backbone under `base_model_prefix` and heads under `heads`, by name.

    What `forward` takes: `input_ids`, `attention_mask`, `token_type_ids`, `position_ids`,
    `condition` and `inputs_embeds` as of the backbone; without a mask, padding is not visible but
    for the first position. `subject_ids` `(batch, 2)`, first and last position of a subject, for
    a half pointer, or of an answer, for the head of SQuAD 2. `labels` as the head wants them, of
    several heads a dict by name, which may lack some. What it returns is a `HeadsOutput`.

    Args:
        config: of the backbone, with the tables of the heads.
        heads: these tables, where the configuration lacks them; None is `default_heads`.

    Raises:
        ValueError: a table cannot be read, or is of a kind that the class is not for; of
            `forward`, labels of a head that there is not.
    """

    accepts_loss_kwargs = False  # the Trainer then scales the loss under accumulation itself
    model_class: ClassVar[Any]
    #: What finds the backbone's last normalisation.
    find_last_norm: ClassVar[Callable[[Any], nn.Module]]
    #: Heads where a configuration has none.
    default_heads: ClassVar[Mapping[str, Table]] = {}
    #: Kinds that the only head may be of; empty for any number of any kind.
    kinds: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: Any, heads: Mapping[str, Table] | None = None) -> None:
        order = None if heads else getattr(config, "head_order", None)
        tables = heads or getattr(config, "heads", None) or self.default_heads
        tables = in_order(tables, order)
        config = copy.deepcopy(config)
        config.heads = {name: dict(table) for name, table in tables.items()}
        config.head_order = list(tables) if len(tables) > 1 else None
        super().__init__(config)
        made = self._read(tables)
        self.heads = nn.ModuleDict(
            {name: HEADS[kind](config, settings) for name, (kind, settings) in made.items()}
        )
        setattr(self, self.base_model_prefix, self._backbone(config))
        self.reads_mask = "attention_mask" in signature(self.model_class.forward).parameters
        self.post_init()

    def _read(self, tables: Mapping[str, Table]) -> dict[str, Any]:
        made = read_heads(tables)
        named, kinds = type(self).__name__, [kind for kind, _ in made.values()]
        if not made:
            raise ValueError(f"{named} needs heads, a table for each: heads={{name: table}}")
        if self.kinds and (len(kinds) > 1 or kinds[0] not in self.kinds):
            raise ValueError(
                f"{named} has one head, of kind {' or '.join(self.kinds)}; heads is "
                f"{', '.join(f'{name}: {kind}' for name, (kind, _) in made.items())}. Several "
                "heads are for ...ForMultiTask"
            )
        taken = [name for name in made if hasattr(nn.ModuleDict, name)]
        if taken:
            raise ValueError(f"heads: {taken[0]!r} is taken by torch; call the head otherwise")
        return made

    def _backbone(self, config: Any) -> nn.Module:
        """The family's model, with a pooler where a head reads one and there may be one."""
        wanted = any(head.reads_pooler for head in self._heads())
        choice = "add_pooling_layer" in signature(self.model_class).parameters
        made: PreTrainedModel = self.model_class(
            config, **({"add_pooling_layer": wanted} if choice else {})
        )
        config.is_encoder_decoder = made.config.is_encoder_decoder
        if wanted and getattr(made, "pooler", None) is None:
            raise ValueError(
                f"heads: pooling 'pooler': {self.model_class.__name__} has no pooler; choose "
                "'cls' or 'mean'"
            )
        return made

    def _heads(self) -> list[Head]:
        return [cast(Head, head) for head in self.heads.values()]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, Head):
            module.draw()
        elif isinstance(module, ConditionalLayerNorm) and module.conditional:
            init.zeros_(module.condition_bias.weight)
            init.zeros_(module.condition_weight.weight)

    def _last_norm(self) -> nn.Module | None:
        """The backbone's last normalisation, where a head reads what it reads."""
        if not any(head.reads_residual for head in self._heads()):
            return None
        return type(self).find_last_norm(self.base_model)

    def _visible(self, inputs: dict[str, Tensor]) -> Tensor:
        """Which tokens the backbone and the heads see, `(batch, length)`.

        Args:
            inputs: of the backbone, those that were given.
        """
        given = inputs.get("attention_mask")
        if given is not None:
            return given
        ids = inputs.get("input_ids")
        if ids is None:
            return torch.ones_like(inputs["inputs_embeds"][..., 0], dtype=torch.long)
        segments = inputs.get("token_type_ids", torch.zeros_like(ids))
        own: Any = getattr(self.base_model, "default_mask", None)
        if own is not None:
            mask: Tensor = own(ids, segments, 0)
            return mask.long()
        mask = ids != (self.config.pad_token_id or 0)
        return torch.cat([torch.ones_like(mask[:, :1]), mask[:, 1:]], 1).long()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        condition: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        subject_ids: Tensor | None = None,
        labels: Any = None,
        **kwargs: Any,
    ) -> HeadsOutput:
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give input_ids or inputs_embeds, one of them")
        named = {
            "input_ids": input_ids, "attention_mask": attention_mask,
            "token_type_ids": token_type_ids, "position_ids": position_ids,
            "condition": condition, "inputs_embeds": inputs_embeds,
        }  # fmt: skip
        inputs = {name: value for name, value in named.items() if value is not None}
        mask = inputs["attention_mask"] = self._visible(inputs)
        if not self.reads_mask:
            del inputs["attention_mask"]  # its heads read it
        with inputs_of(self._last_norm()) as seen:
            output = self.base_model(**inputs, **kwargs | {"return_dict": True})
        states = States(
            hidden=output.last_hidden_state,
            mask=mask.bool(),
            pooled=getattr(output, "pooler_output", None),
            residual=seen[-1] if seen else None,
            subject_ids=subject_ids,
            segments=token_type_ids,
        )
        logits = {name: head(states) for name, head in self.heads.items()}
        losses = None if labels is None else self._losses(logits, labels, states.mask)
        return HeadsOutput(
            loss=losses,
            logits=self._only(logits),
            mask=states.mask,
            residual=states.residual,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )

    def _only(self, values: dict[str, Any]) -> Any:
        """What is of the only head, where the class has one; else all, by name."""
        return next(iter(values.values())) if self.kinds else values

    def _by_name(self, values: Any) -> dict[str, Any]:
        return {next(iter(self.heads)): values} if self.kinds else dict(values)

    def _losses(self, logits: dict[str, Any], labels: Any, mask: Tensor) -> Tensor:
        given = self._by_name(labels)
        unknown = [name for name in given if name not in self.heads]
        if unknown or not given:
            raise ValueError(
                f"labels are a dict by the names of heads ({', '.join(self.heads)}); got "
                f"{', '.join(map(repr, unknown)) or 'none'}"
            )
        each = []
        for name, wanted in given.items():
            head = cast(Head, self.heads[name])
            each.append(head.settings.loss_weight * head.loss(logits[name], wanted, mask))
        return torch.stack(each).sum()

    @torch.no_grad()
    def decode(self, outputs: Any, attention_mask: Tensor | None = None, **options: Any) -> Any:
        """What the model says of each text, in bert4keras's form.

        Args:
            outputs: of `forward`, or anything with its `logits`; of a half pointer with its
                `residual`.
            attention_mask: `(batch, length)`; None is the output's own `mask`.
            **options: of the head: `starts`, `ends`, `forbidden` and `count` of chains of labels,
                `threshold` of pointers; of several heads a dict of options by name.

        Returns:
            A list with one entry for each text, of several heads a dict of such lists: labels,
            paths of labels, spans `[head, start, end]`, triples `[subject start, subject end,
            predicate, object start, object end]`; see the classes of heads.

        Raises:
            ValueError: neither a mask is given nor has the output one.
        """
        mask = getattr(outputs, "mask", None) if attention_mask is None else attention_mask
        if mask is None:
            raise ValueError("give attention_mask: the output has no mask")
        residual, found = getattr(outputs, "residual", None), {}
        for name, logits in self._by_name(outputs.logits).items():
            head: Any = self.heads[name]
            own = options if self.kinds else options.get(name, {})
            found[name] = head.decode(logits, mask.bool(), residual, **own)
        return self._only(found)


class Chain(FineTuned):
    """Labels of tokens as a chain."""

    @property
    def transitions(self) -> Tensor:
        """The effective matrix, `(labels, labels)`: from the row's label to the column's."""
        (head,) = self._heads()
        return cast(CRF, head).transitions


class CRFTokenClassification(Chain):
    """Labels of tokens by a conditional random field; `logits` are emissions."""

    default_heads: ClassVar[Mapping[str, Table]] = {"tags": {"kind": "crf"}}
    kinds = ("crf",)


class MEMMTokenClassification(Chain):
    """Labels of tokens by a maximum-entropy Markov model; `logits` are emissions."""

    default_heads: ClassVar[Mapping[str, Table]] = {"tags": {"kind": "memm"}}
    kinds = ("memm",)


class EntityPointers(FineTuned):
    """Spans of each type of entity, by a global or an efficient global pointer."""

    default_heads: ClassVar[Mapping[str, Table]] = {"entities": {"kind": "global_pointer"}}
    kinds = ("global_pointer", "efficient_global_pointer")


class RelationPointers(FineTuned):
    """Triples by three pointers: `logits` is a dict, `entity`, `head`, `tail`."""

    default_heads: ClassVar[Mapping[str, Table]] = {"relations": {"kind": "gplinker"}}
    kinds = ("gplinker",)


class HalfPointerRelations(FineTuned):
    """Triples by half pointers: `logits` is a dict, `subject` and, given one, `object`."""

    default_heads: ClassVar[Mapping[str, Table]] = {"relations": {"kind": "half_pointer"}}
    kinds = ("half_pointer",)


class SentenceVectors(FineTuned):
    """Vectors of texts, learned from how near pairs of texts are to each other."""

    default_heads: ClassVar[Mapping[str, Table]] = {"vectors": {"kind": "vectors"}}
    kinds = ("vectors",)


class MultiTask(FineTuned):
    """Heads of any kinds on one backbone: `logits` and `labels` are dicts by their names."""


class LabelsOfTexts(FineTuned):
    """Labels of whole texts, by the mean over their tokens unless a table says otherwise."""

    default_heads: ClassVar[Mapping[str, Table]] = {
        "label": {"kind": "classifier", "pooling": "mean"}
    }
    kinds = ("classifier",)


class LabelsOfTokens(FineTuned):
    """Labels of every token."""

    default_heads: ClassVar[Mapping[str, Table]] = {"tags": {"kind": "token_classifier"}}
    kinds = ("token_classifier",)


#: The same of backbones that have no classifiers of another kind.
CLASSIFIERS: dict[str, type[FineTuned]] = {
    "ForSequenceClassification": LabelsOfTexts,
    "ForTokenClassification": LabelsOfTokens,
}
#: What the names of classes end with.
CLASSES: dict[str, type[FineTuned]] = {
    "ForCRFTokenClassification": CRFTokenClassification,
    "ForMEMMTokenClassification": MEMMTokenClassification,
    "ForEntityPointers": EntityPointers,
    "ForRelationPointers": RelationPointers,
    "ForHalfPointerRelations": HalfPointerRelations,
    "ForSentenceVectors": SentenceVectors,
    "ForMultiTask": MultiTask,
}


def fine_tuned(
    stem: str,
    module: str,
    base: type[PreTrainedModel],
    model: type,
    last_norm: Callable[[Any], nn.Module] = attrgetter("last_norm"),
    classes: Mapping[str, type[FineTuned]] = CLASSES,
    left_out: Sequence[str] = (),
) -> dict[str, type]:
    """The classes of heads of fine-tuning on one backbone.

    Args:
        stem: what their names begin with.
        module: where they are put, `__name__` of the caller.
        base: what all models of the family share, with `config_class` and `base_model_prefix`.
        model: the backbone without heads.
        last_norm: what finds its last normalisation, where no attribute `last_norm` is it.
        classes: by what their names end with.
        left_out: patterns of tensors that files may have and it lacks: the decoder behind it.

    Returns:
        Classes by name, one for each.
    """
    return {
        f"{stem}{ending}": type(
            f"{stem}{ending}",
            (heads, base),
            {
                "__module__": module,
                "__doc__": heads.__doc__,
                "model_class": model,
                "find_last_norm": staticmethod(last_norm),
                "_keys_to_ignore_on_load_unexpected": list(left_out) or None,
            },
        )
        for ending, heads in classes.items()
    }
