"""Whether a model finds those texts alike that people do."""

from functools import partial

import torch

from zoo.embedding import embed
from zoo.evaluation.subject import Outcome, Subject
from zoo.evaluation.texts import context_of, some_texts
from zoo.gathering import shared_rows
from zoo.scores import character_overlap
from zoo.scores import spearman as rank_correlation


def spearman(
    subject: Subject, *, pooling: str | None = None, num_texts: int | None = None
) -> Outcome:
    """Spearman's rank correlation of the cosines of two texts with their stated similarity.

    In [-1, 1]. The floor takes the share of characters that both texts have for a similarity.

    Args:
        subject: a model that makes vectors of texts, and pairs of texts with a number each.
        pooling: how states become a vector, as of `zoo.embed`; None is as the model was trained.
        num_texts: how many pairs; None for all.

    Raises:
        UsageError: there is no such pooling, or less than two pairs.
    """
    context = context_of(subject)
    first, second, label = context.task.needed(context.options)
    texts = some_texts(subject, num_texts)

    def vectors(name: str) -> torch.Tensor:
        make = partial(
            embed, context.model, pooling=pooling, normalized=True, tokenizer=context.processor
        )
        return torch.stack(shared_rows(texts[name], make))

    true = [float(value) for value in texts[label]]
    found = (vectors(first) * vectors(second)).sum(-1).tolist()
    overlap = [*map(character_overlap, texts[first], texts[second])]
    options = {"num_texts": len(texts)} | ({"pooling": pooling} if pooling else {})
    return Outcome(rank_correlation(true, found), rank_correlation(true, overlap), options)
