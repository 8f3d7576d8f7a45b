"""How close the texts that a model makes of others come to those of people, by sacrebleu."""

from itertools import chain
from typing import Any

import torch

from zoo.errors import MissingDependencyError, UsageError
from zoo.evaluation.subject import Outcome, Subject
from zoo.evaluation.texts import context_of, some_texts
from zoo.gathering import shared


def bleu(
    subject: Subject,
    *,
    tokenize: str = "13a",
    num_beams: int = 1,
    num_texts: int | None = None,
) -> Outcome:
    """BLEU of a whole split, 0 to 100 (Papineni et al., ACL 2002; Post, arXiv:1804.08771).

    The floor takes the reference of the next text for a translation.

    Args:
        subject: a model that turns texts into texts, and pairs of them.
        tokenize: how sacrebleu finds words: "13a" for European languages, "zh" for Chinese.
        num_beams: of the search; 1 takes the likeliest token each time.
        num_texts: how many texts; None for all.

    Raises:
        UsageError: an unknown `tokenize`.
        MissingDependencyError: sacrebleu is not installed.
    """
    known = sacrebleu().BLEU.TOKENIZERS
    if tokenize not in known:
        raise UsageError(f"no tokenize {tokenize!r}; it is one of {', '.join(sorted(known))}")
    metric = sacrebleu().BLEU(tokenize=tokenize)
    return _compared(subject, metric, num_beams, num_texts, {"tokenize": tokenize})


def chrf(subject: Subject, *, num_beams: int = 1, num_texts: int | None = None) -> Outcome:
    """F-score of n-grams of characters, 0 to 100 (Popović, WMT 2015), n up to 6.

    The floor takes the reference of the next text for a translation.

    Args:
        subject: a model that turns texts into texts, and pairs of them.
        num_beams: of the search; 1 takes the likeliest token each time.
        num_texts: how many texts; None for all.

    Raises:
        MissingDependencyError: sacrebleu is not installed.
    """
    return _compared(subject, sacrebleu().CHRF(), num_beams, num_texts, {})


def sacrebleu() -> Any:
    """The metrics of sacrebleu.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        from sacrebleu import metrics
    except ImportError as error:
        raise MissingDependencyError(
            'BLEU and chrF need sacrebleu, which is not installed: pip install "genae[text]"'
        ) from error
    return metrics


def _compared(
    subject: Subject, metric: Any, num_beams: int, num_texts: int | None, options: dict[str, Any]
) -> Outcome:
    made, wanted = translate(subject, num_beams, num_texts)
    others = wanted[1:] + wanted[:1]
    value, floor = (metric.corpus_score(texts, [wanted]).score for texts in (made, others))
    options |= {"num_beams": num_beams, "num_texts": len(wanted)}
    return Outcome(value, floor if len(wanted) > 1 else None, options)


@torch.no_grad()
def translate(
    subject: Subject, num_beams: int, num_texts: int | None
) -> tuple[list[str], list[str]]:
    """What a model makes of the texts of a split, and what people made of them."""
    context = context_of(subject)

    def run() -> tuple[list[str], list[str]]:
        source, target = context.options.columns or context.task.columns
        texts = some_texts(subject, num_texts)
        pairs = zip(texts[source], texts[target], strict=True)
        whole = [i for i, pair in enumerate(pairs) if all(text.strip() for text in pair)]
        texts = texts.select(whole)

        def translated(inputs: dict[str, torch.Tensor]) -> list[str]:
            inputs.pop("labels")
            ids = context.model.generate(
                **inputs,
                max_new_tokens=context.options.max_length,
                num_beams=num_beams,
                do_sample=False,
            )
            found: list[str] = context.processor.batch_decode(ids, skip_special_tokens=True)
            return found

        batches = context.text_batches(
            context.rows(texts), "translating", subject.generator("none")
        )
        return [*chain(*shared(batches, translated))], list(texts[target])

    key = (subject.dataset, subject.split, subject.config, subject.seed, num_texts, num_beams)
    return context.latest("translations", key, run)
