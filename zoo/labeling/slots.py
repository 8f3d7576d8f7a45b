"""`zoo.answer_in_slots`: answers that a masked language model writes into masks."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SlotAnswer:
    """An answer that passages have.

    Attributes:
        text: its tokens as a text.
        score: s^2 summed over the passages that gave it, over 1 plus their sum; s is the mean
            probability of its tokens and of its end, in [0, 1].
        passages: which gave it, counted from 0.
    """

    text: str
    score: float
    passages: tuple[int, ...]


def answer_in_slots(
    model: str | os.PathLike[str],
    question: str,
    passages: Sequence[str],
    *,
    num_slots: int = 32,
    max_question: int = 64,
    max_passage: int = 256,
    batch_size: int = 16,
) -> list[SlotAnswer]:
    """Answer a question from passages by a masked language model that was fine-tuned for it.

    It reads `[CLS] [MASK] ... [MASK] [SEP] question [SEP] passage [SEP]`, all of one segment, and
    the masks are the answer and a `[SEP]` behind it. They are read from left to right, each as the
    likeliest of the tokens that go on with what stands in the passage, or the end. Source:
    bert4keras's example `task_reading_comprehension_by_mlm`.

    Args:
        model: an id or a folder, with a head for masks.
        question: a text.
        passages: texts with the answer or without it.
        num_slots: number of masks, as the model was fine-tuned with.
        max_question: number of tokens read of the question, its end included.
        max_passage: number of tokens read of a passage, its end included.
        batch_size: number of passages that are read at once.

    Returns:
        The answers, best first; none where each passage gives the end alone.

    Raises:
        UsageError: there is no passage, a number is out of its range, or the model has no head for
            masks or fewer positions.
        NotFoundError: there is no such model, or no tokenizer among its files.
        IntegrityError: the files of the model or its tokenizer are malformed.
        MissingDependencyError: the tokenizer needs a package that is not installed.
    """
    if not passages or isinstance(passages, str):
        raise UsageError(f"passages are {passages!r:.40}; give a list of texts")
    numbers = {
        "num_slots": num_slots, "max_question": max_question, "max_passage": max_passage,
        "batch_size": batch_size,
    }  # fmt: skip
    for name, number in numbers.items():
        if number < 1:
            raise UsageError(f"{name} must be at least 1, got {number}")
    from zoo.loading import load_with_tokenizer

    network, tokenizer = load_with_tokenizer(model, "ForMaskedLM")
    places = getattr(network.config, "max_position_embeddings", None)
    longest = 2 + num_slots + max_question + max_passage
    if places is not None and longest > places:
        raise UsageError(
            f"{model} reads {places} tokens, and {longest} are asked for; lower max_passage, "
            "max_question or num_slots to what it was fine-tuned with"
        )
    asked = _tokens(tokenizer, question, max_question)
    read = [_tokens(tokenizer, passage, max_passage) for passage in passages]
    given: dict[str, list[tuple[float, int]]] = {}
    for start in range(0, len(read), batch_size):
        part = read[start : start + batch_size]
        for number, (tokens, probabilities) in enumerate(
            zip(part, _fill(network, tokenizer, num_slots, asked, part), strict=True), start
        ):
            found, score = follow(probabilities, tokens[:-1], tokenizer.sep_token_id)
            if text := tokenizer.decode(found, skip_special_tokens=True).strip():
                given.setdefault(text, []).append((score, number))
    answers = [
        SlotAnswer(text, combined([score for score, _ in all_]), tuple(n for _, n in all_))
        for text, all_ in given.items()
    ]
    return sorted(answers, key=lambda one: -one.score)


def follow(probabilities: "Tensor", passage: Sequence[int], end: int) -> tuple[list[int], float]:
    """The tokens that slots spell: a span of a passage, the likeliest token at each step.

    Args:
        probabilities: of tokens in each slot, `(slots, vocab_size)`.
        passage: its tokens.
        end: the token that ends an answer.

    Returns:
        The tokens without the end, and the mean probability of the steps, the end's included.
    """
    found: list[int] = []
    total = 0.0
    places = list(range(len(passage)))  # where the next token may stand
    for step, slot in enumerate(probabilities, 1):
        allowed = sorted({end, *(passage[place] for place in places)})
        values = slot[allowed]
        best = int(values.argmax())
        total += float(values[best])
        if allowed[best] == end:
            return found, total / step
        found.append(allowed[best])
        places = [
            place + 1
            for place in places
            if passage[place] == found[-1] and place + 1 < len(passage)
        ]
    return found, total / len(probabilities)


def combined(scores: Sequence[float]) -> float:
    """One score of an answer that several passages gave: s^2 summed over 1 plus the sum of s."""
    return sum(score**2 for score in scores) / (1 + sum(scores))


def _tokens(tokenizer: Any, text: str, number: int) -> list[int]:
    """A text's tokens and the end behind them, at most so many."""
    ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return [*ids[: number - 1], tokenizer.sep_token_id]


def _fill(
    network: Any, tokenizer: Any, num_slots: int, question: list[int], passages: list[list[int]]
) -> "Tensor":
    """Probabilities of the slots, `(passages, slots, vocab_size)`."""
    import torch

    begun = [tokenizer.cls_token_id, *[tokenizer.mask_token_id] * num_slots]
    begun += [tokenizer.sep_token_id, *question]
    rows = [torch.tensor([*begun, *passage]) for passage in passages]
    ids = torch.nn.utils.rnn.pad_sequence(rows, True, tokenizer.pad_token_id or 0)
    lengths = torch.tensor([len(row) for row in rows])
    mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    with torch.no_grad():
        logits: Tensor = network(input_ids=ids, attention_mask=mask).logits
    return logits[:, 1 : num_slots + 1].float().softmax(-1)
