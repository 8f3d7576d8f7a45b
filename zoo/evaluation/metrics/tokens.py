"""How well a language model predicts tokens."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from zoo.data.text import token_frequencies
from zoo.evaluation.subject import Outcome, Subject
from zoo.evaluation.texts import context_of, some_texts, train_texts
from zoo.gathering import shared

IGNORED = -100


@dataclass(frozen=True)
class Scores:
    """Predictions of tokens.

    Attributes:
        nats: sum of the cross-entropies.
        tokens: the true ones, `(N,)`.
        correct: how many were the likeliest.
        num_texts: of how many texts.
    """

    nats: float
    tokens: Tensor
    correct: int
    num_texts: int


@torch.no_grad()
def predict(subject: Subject, num_texts: int | None) -> Scores:
    """Predict every token that the task asks for, once for all metrics."""
    context = context_of(subject)

    def run() -> Scores:
        texts = some_texts(subject, num_texts)
        rows = context.rows(texts)

        def of_batch(inputs: dict[str, Tensor]) -> tuple[float, Tensor, int]:
            logits, labels = context.model(**inputs).logits, inputs["labels"]
            if context.task.name == "causal-lm":
                logits, labels = logits[:, :-1], labels[:, 1:]
            asked = labels != IGNORED
            logits, labels = logits[asked].float(), labels[asked]
            nats = functional.cross_entropy(logits, labels, reduction="sum").item()
            return nats, labels.cpu(), int((logits.argmax(-1) == labels).sum())

        batches = context.text_batches(rows, "predicting", subject.generator("masks"))
        nats, tokens, correct = zip(*shared(batches, of_batch), strict=True)
        return Scores(sum(nats), torch.cat(tokens), sum(correct), len(texts))

    key = (subject.dataset, subject.split, subject.config, subject.seed, num_texts)
    return context.latest("predictions", key, run)


def perplexity(subject: Subject, *, num_texts: int | None = None) -> Outcome:
    r"""Exponential of the mean cross-entropy of the tokens that are predicted.

    .. math:: \exp\Big(-\frac{1}{N} \sum_n \ln p(t_n)\Big)

    They are the masked ones of a masked language model (the card's share, drawn by the seed), all
    but the first of one that writes, and those of the target where texts become other texts.
    Special tokens that end texts count. The floor says how often each token occurs in the train
    split, whatever stands around it (with one occurrence more of each token).

    Args:
        subject: a language model and texts.
        num_texts: how many texts; None for all.
    """
    scores = predict(subject, num_texts)
    count = len(scores.tokens)
    shares = unigram(subject)
    floor = None if shares is None else (-shares.log()[scores.tokens].mean()).exp().item()
    value = float(torch.tensor(scores.nats / count, dtype=torch.float64).exp())
    return Outcome(value, floor, {"num_texts": scores.num_texts})


def masked_accuracy(subject: Subject, *, num_texts: int | None = None) -> Outcome:
    """Share of masked tokens whose likeliest filling is the true one, in [0, 1].

    The floor always says the token that is most frequent in the train split.

    Args:
        subject: a masked language model and texts.
        num_texts: how many texts; None for all.
    """
    scores = predict(subject, num_texts)
    shares = unigram(subject)
    always = None if shares is None else int(shares.argmax())
    floor = None if always is None else (scores.tokens == always).double().mean().item()
    return Outcome(scores.correct / len(scores.tokens), floor, {"num_texts": scores.num_texts})


def unigram(subject: Subject) -> Tensor | None:
    """How often each token is to be predicted in the train split, `(V,)`; None without one."""
    context = context_of(subject)

    def count() -> Tensor | None:
        texts = train_texts(subject)
        if texts is None:
            return None
        # Words take time, and change no token.
        rows = context.rows(texts, floor=True, whole_words=False)
        return token_frequencies(context.task.name, rows, context.processor)

    return context.once(("unigram", subject.dataset, subject.config), count)
