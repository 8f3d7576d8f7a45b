"""Logits of a Synthesizer that depend on positions alone: the matrices themselves."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.models.text.attention import Places
from zoo.models.text.attention_synthesizer import SynthesizedAttention
from zoo.models.text.configuration_synthesizer import MEAN, SynthesizerConfig
from zoo.models.text.synthesizer_forms import Form


@dataclass(frozen=True)
class Table:
    """The logits of one head, whatever the text.

    Attributes:
        part: whose layer it is: "self", "encoder" or "decoder".
        layer: from 1 on.
        head: from 1 on.
        form: how they are made, such as "random".
        logits: float32 `(N, N)`, N the number of positions; column j is the key at position j.
    """

    part: str
    layer: int
    head: int
    form: str
    logits: Tensor

    def singular_values(self) -> Tensor:
        """Those of the logits, greatest first, float64 `(N,)`."""
        values: Tensor = torch.linalg.svdvals(self.logits.double())
        return values

    def effective_rank(self) -> float:
        """The exponential of the entropy of the singular values as shares of their sum.

        Between 1 and N (Roy and Vetterli, EUSIPCO 2007); 0 of logits that are all 0.
        """
        values = self.singular_values()
        if values[0] == 0:
            return 0.0
        return float(torch.special.entr(values / values.sum()).sum().exp())


def forms_of(config: Any, part: str) -> list[str]:
    """What the logits of each layer are made of, of a Synthesizer; none of others."""
    if not isinstance(config, SynthesizerConfig) or part == "cross":
        return []
    layers = config.decoder_forms() if part == "decoder" else config.forms()
    return ["+".join(forms) for forms in layers]


def tables_of(network: Any, config: Any) -> Iterator[Table]:
    """The logits by position of all heads that have such."""
    for name, module in network.named_modules():
        if not isinstance(module, SynthesizedAttention):
            continue
        part = "self"
        if config.is_encoder_decoder:
            part = "decoder" if "decoder." in name else "encoder"
        for kind, form in module.forms.items():
            if kind == MEAN or not isinstance(form, Form) or form.reads:
                continue
            for head, logits in enumerate(_logits(form), start=1):
                yield Table(part, form.index + 1, head, kind, logits)


def _logits(form: Form) -> Tensor:
    """Those of all positions, `(heads, N, N)`."""
    nothing = torch.empty((1, form.positions, 0))
    with torch.no_grad():
        logits: Tensor = form(nothing, Places(0, None, None, False), form.positions)
    return logits[0].detach().float().cpu()
