"""Questions that a text may not answer, as ALBERT's and XLNet's scripts ask them."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, pad

from .configuration_heads import Squad2Settings
from .heads_base import Head, States
from .losses import IGNORED
from .reductions import precise


class EndOfStart(nn.Module):
    """Logits of ends, of each of several starts: w . LayerNorm(tanh(W [h_j; h_start] + b)) + c."""

    def __init__(self, width: int, norm_eps: float) -> None:
        super().__init__()
        self.dense_0 = nn.Linear(2 * width, width)
        self.norm = nn.LayerNorm(width, eps=norm_eps)
        self.dense_1 = nn.Linear(width, 1)

    def forward(self, hidden: Tensor, starts: Tensor) -> Tensor:
        """Of hidden states `(batch, length, width)` and `(batch, starts, width)`.

        Returns:
            `(batch, starts, length)`.
        """
        token, start = self.dense_0.weight.chunk(2, 1)
        mapped = (hidden @ token.T)[:, None] + (starts @ start.T)[:, :, None] + self.dense_0.bias
        logits: Tensor = self.dense_1(self.norm(mapped.tanh()))
        return logits.squeeze(-1)


class Answerability(nn.Module):
    """The logit of no answer: w . tanh(W [s; h_0] + b), of a mean s over starts."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.dense_0 = nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)
        self.dense_1 = nn.Linear(width, 1, bias=False)

    def forward(self, start: Tensor, first: Tensor) -> Tensor:
        """Of `(batch, width)` each: `(batch,)`."""
        mapped = self.dense_0(torch.cat([start, first], -1)).tanh()
        logits: Tensor = self.dense_1(self.dropout(mapped))
        return logits.squeeze(-1)


class Squad2(Head):
    """One span of each text, its end read with its start, and whether there is one.

    The head of ALBERT's `run_squad_v2.py` (`squad_utils.create_v2_model`), which is XLNet's: the
    end is scored with the hidden state of the start, and the logit of no answer reads the mean of
    hidden states by the softmax of starts and the first token's state.

    `logits` are a dict: `start` `(batch, length)`, minus infinity where no answer can start;
    `starts` `(batch, start_top)`, positions of the best ones, best first; `end` `(batch,
    start_top, length)`, of each of these; `null` `(batch,)`. An answer is of the second text
    where `token_type_ids` are given, without the last token; the first token stands for none.
    Given `subject_ids`, whose first column is a start, `starts` and `end` have that alone.

    `labels` are a dict: `start` and `end` `(batch,)`, the first token's where there is no answer,
    and `null` `(batch,)`, 1 where there is none. The loss is the mean of the cross-entropies of
    start and end, plus half the binary one of `null`, in nats. Decoded, a text has the likeliest
    pair of first and last position, or an empty list.
    """

    settings: Squad2Settings

    def __init__(self, config: Any, settings: Squad2Settings) -> None:
        super().__init__(config, settings)
        width = config.hidden_size
        self.start = nn.Linear(width, 1)
        self.end = EndOfStart(width, settings.norm_eps)
        self.null = Answerability(width, settings.dropout)

    def forward(self, states: States) -> dict[str, Tensor]:
        hidden, allowed = states.hidden, candidates(states)
        start = self.start(hidden).squeeze(-1).masked_fill(~allowed, -torch.inf)
        if states.subject_ids is not None:
            starts = states.subject_ids[:, :1]
        else:  # of a text that is shorter than their number, some are none
            most = self.settings.start_top
            best = pad(start, (0, most), value=-torch.inf).topk(most).indices
            starts = best.clamp(max=hidden.shape[1] - 1)
        chosen = hidden.gather(1, starts[..., None].expand(-1, -1, hidden.shape[-1]))
        end = self.end(hidden, chosen).masked_fill(~allowed[:, None], -torch.inf)
        mean = (start.softmax(-1)[..., None] * hidden).sum(1)
        return {
            "start": start,
            "starts": starts,
            "end": end,
            "null": self.null(mean, hidden[:, 0]),
        }

    def loss(self, logits: Any, labels: Any, mask: Tensor) -> Tensor:
        if logits["end"].shape[1] != 1:
            raise ValueError(
                "the end is learned with the start that is right: give subject_ids, the first "
                "and last position of the answer, (batch, 2)"
            )
        losses = [
            cross_entropy(precise(scores), labels[name], ignore_index=IGNORED)
            for name, scores in (("start", logits["start"]), ("end", logits["end"][:, 0]))
        ]
        null = precise(logits["null"])
        nothing = binary_cross_entropy_with_logits(null, labels["null"].to(null))
        return (losses[0] + losses[1] + nothing) / 2

    def decode(
        self,
        logits: Any,
        mask: Tensor,
        residual: Tensor | None = None,
        threshold: float | None = None,
    ) -> list[Any]:
        """Spans; there is none where `null` is above the threshold, which None never is."""
        found: list[Any] = []
        for row, null in enumerate(logits["null"].tolist()):
            best = self.spans(logits, row)
            none = not best or (threshold is not None and null > threshold)
            found.append([] if none else list(best[0][1:]))
        return found

    def spans(self, logits: Any, row: int) -> list[tuple[float, int, int]]:
        """The spans that a search by beams finds in one text.

        Args:
            logits: as `forward` gives them.
            row: number of the text.

        Returns:
            The sum of the logarithms of both probabilities, first and last position, best first;
            the last is not before the first, and none is the first token's.
        """
        start = precise(logits["start"][row]).log_softmax(-1)
        end = precise(logits["end"][row]).log_softmax(-1)
        best = end.topk(min(self.settings.end_top, end.shape[-1]))
        found = {
            (int(first), last): float(start[first]) + score
            for first, scores, places in zip(
                logits["starts"][row].tolist(),
                best.values.tolist(),
                best.indices.tolist(),
                strict=True,
            )
            for score, last in zip(scores, places, strict=True)
            if 0 < first <= last and float(start[first]) + score > -torch.inf
        }
        ranked = sorted(found.items(), key=lambda one: (-one[1], one[0]))
        return [(score, *place) for place, score in ranked]


def candidates(states: States) -> Tensor:
    """Where an answer may start or end, and the first token, `(batch, length)`."""
    allowed = states.mask
    if states.segments is not None:
        text = allowed & (states.segments == 1)
        allowed = text & pad(text, (0, 1))[:, 1:]  # without its last token
    return allowed | (torch.arange(allowed.shape[1], device=allowed.device) == 0)
