"""The verb that asks a masked language model."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli.common import Json, Model, Quiet, console, hint, print_json
from zoo.errors import IntegrityError, MissingDependencyError, NotFoundError, UsageError
from zoo.hints import command

if TYPE_CHECKING:
    from pathlib import Path

MOST_CANDIDATES = 100


def fill_mask(
    model: Model,
    texts: Annotated[
        list[str], typer.Argument(metavar="TEXT...", help="Each with a [MASK] or several.")
    ],
    number: Annotated[
        int, typer.Option("--number", "-n", min=1, max=MOST_CANDIDATES, help="Candidates a mask.")
    ] = 5,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what a masked language model puts in place of each [MASK], best first."""
    for text in texts:
        if "[MASK]" not in text:
            raise UsageError(f"{text!r} has no [MASK]; put one where a word is to be guessed")
    import torch

    network, tokenizer = _load(model)
    answers: list[dict[str, Any]] = []
    for text in texts:
        given = tokenizer(text, return_tensors="pt", truncation=True)
        with torch.no_grad():
            logits = network(**given).logits[0]
        places = (given["input_ids"][0] == tokenizer.mask_token_id).nonzero().flatten()
        best = logits[places].double().softmax(-1).topk(min(number, logits.shape[-1]))
        masks = [
            [
                {"token": token, "probability": round(probability, 6)}
                for token, probability in zip(
                    tokenizer.convert_ids_to_tokens(ids), probabilities, strict=True
                )
            ]
            for ids, probabilities in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]
        answers.append({"text": text, "masks": masks})
    if as_json:
        print_json(answers)
        return
    from rich.table import Table

    table = Table("text", "mask", "best first", box=None, pad_edge=False)
    for answer in answers:
        for place, mask in enumerate(answer["masks"], start=1):
            words = "  ".join(f"{c['token']} {c['probability']:.0%}" for c in mask)
            table.add_row(answer["text"] if place == 1 else "", str(place), words)
    console().print(table)
    hint(command("genae", "fill-mask", model, texts[0], "--json"), quiet=quiet)


def _load(name: str) -> tuple[Any, Any]:
    """A masked language model and its tokenizer, from a folder."""
    from pathlib import Path

    import transformers
    from transformers.utils import logging

    import zoo.models  # noqa: F401  (its text models are found by the Auto classes, too)
    from zoo.registry import resolve

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    place = Path(resolve(name))
    _check(name, place)
    try:
        model = transformers.AutoModelForMaskedLM.from_pretrained(place, dtype="float32")
        tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    except (OSError, ValueError, KeyError) as error:
        raise IntegrityError(
            f"{name}: makes no masked language model ({' '.join(str(error).split())})"
        ) from error
    except ImportError as error:  # a tokenizer's own needs
        raise MissingDependencyError(f"{name}: {error}") from error
    if tokenizer.mask_token_id is None:
        raise UsageError(f"{name}: its vocabulary has no [MASK]")
    return model.eval(), tokenizer


def _check(name: str, place: "Path") -> None:
    if not place.is_dir():
        raise NotFoundError(f"no folder {name!r}: give the folder of a converted model")
    if not (place / "tokenizer.json").is_file():
        raise NotFoundError(f"{place} has no tokenizer.json; is it a language model?")
