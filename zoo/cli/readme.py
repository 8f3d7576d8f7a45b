"""Everything that is derived from the cards and the catalog.

Each shipped folder's README and manifest, the tables of models, and the lines by which type
checkers know the classes. Run `make readme` after editing a card or the catalog.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from zoo import catalog
from zoo.card import Card, Result
from zoo.card.meanings import MEANINGS
from zoo.card.schema import TABLES
from zoo.errors import UsageError
from zoo.registry import describe, embedded, list_models, load_card, manifest, upkeep

BEGIN, END = "<!-- models:begin -->", "<!-- models:end -->"
NONE = "–"
# Samplers whose numbers of samples are comparable: what models draw 10,000 of.
SAMPLERS = ("prior", "generator")
# Columns of numbers: heading, metric, decimals; those of samples are for these samplers.
NUMBERS = (
    ("reconstruction error", "reconstruction_mse", 4),
    ("Fréchet distance", "frechet_distance", 1),
    ("log-likelihood, at least", "iwae", 1),
    ("accuracy", "accuracy", 4),
    ("perplexity", "perplexity", 1),
)
#: What the front pages show: a model, a metric of its card and options that choose among its
#: results, and how the number is written.
BEST: tuple[tuple[str, str, dict[str, str], str], ...] = (
    ("bert-poetry-zh", "parity", {}, "logits within {:.0e} of the original's"),
    ("cvae-mnist", "conditional_accuracy", {}, "draws the digit asked for, {:.0%}"),
    ("dde-mnist", "frechet_distance", {}, "Fréchet distance {:.1f}"),
    ("eae-faces", "reconstruction_mse", {}, "reconstruction error {:.4f}"),
    ("eae-mnist", "frechet_distance", {"sampler": "prior"}, "Fréchet distance {:.1f}"),
    ("infomax-cifar10", "probe_accuracy", {"probe": "mlp", "tap": "conv"}, "probe {:.1%} right"),
    ("iwae-mnist", "iwae", {}, "log-likelihood at least {:.1f} nats"),
    ("sentiment-zh", "accuracy", {}, "{:.1%} of reviews right"),
    ("synthesizer-causal-classics", "perplexity", {}, "perplexity {:.0f} a character"),
    ("synthesizer-mixture-classics", "perplexity", {}, "perplexity {:.0f} a masked character"),
    ("vae-mnist", "iwae", {}, "log-likelihood at least {:.1f} nats"),
    ("vae-mnist-8bit", "bits_per_dim", {}, "at most {:.2f} bits per pixel"),
    ("vq-vae-fashion-mnist", "frechet_distance", {}, "Fréchet distance {:.1f}"),
)


def best_table() -> str:
    """The few models of the front pages, each with its best number."""
    rows = [["model", "architecture", "trained on", "parameters", "best number"]]
    rows.append(["---"] * 3 + ["--:", "---"])
    for name, metric, options, text in BEST:
        card = load_card(f"{embedded.OWNER}/{name}")
        data = card.data.dataset if card.data else (card.source or {}).get("format", NONE)
        size = f"{describe(card)['parameters']:,}"
        number = text.format(_best(card, metric, options))
        rows.append([f"[{name}](cards/{name})", card.architecture, data, size, number])
    return _markdown(rows)


def _best(card: Card, metric: str, options: Mapping[str, str]) -> float:
    if metric == "parity":
        return float((card.source or {})["parity"]["max_abs_error"])
    return next(
        result.value
        for result in card.results
        if result.metric == metric and options.items() <= result.options.items()
    )


def models_table(cards: Iterable[Card]) -> str:
    """A Markdown table, one row per card; every number is a result that the card states.

    Args:
        cards: in the order of the rows.
    """
    heads = ["model", "architecture", "trained on", "parameters", *(h for h, _, _ in NUMBERS)]
    rows = [heads, ["---"] * 3 + ["--:"] * (1 + len(NUMBERS))]
    for card in cards:
        facts = describe(card)
        size = f"{facts['parameters']:,}" if facts["parameters"] else NONE
        data = card.data.dataset if card.data else NONE
        weights = "" if facts["ships"] or facts["published"] else " (recipe)"
        name = f"[{card.name}]({card.name}){weights}"
        numbers = [_number(card.results, metric, digits) for _, metric, digits in NUMBERS]
        rows.append([name, card.architecture, data, size, *numbers])
    return _markdown(rows)


#: How the page of the card calls a table, where that is not `[place]`.
TITLES = {
    "": "At the top",
    "results": "`[[results]]`, one a number",
    "results.measured": "`measured` of a result",
    "results.training": "`training` of a result",
    "train": "`[train]`, besides the fields of `transformers.TrainingArguments`",
    "train.rates.rules": "`[[train.rates.rules]]`, one a rule",
}


def keys_table() -> str:
    """Every key of a card by table: what it says and expects, whether it must be there."""
    parts = []
    for place, keys in TABLES.items():
        title = TITLES.get(place, f"`[{place}]`")
        rows = [["key", "what it says", "value"], ["---"] * 3]
        for name, key in keys.items():
            needed = "" if key.required else " (optional)"
            rows.append([f"`{name}`", MEANINGS[place][name], f"{key.expected}{needed}"])
        parts += [f"### {title}", _markdown(rows)]
    return "\n\n".join(parts)


def _markdown(rows: Iterable[Iterable[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _number(results: Iterable[Result], metric: str, digits: int) -> str:
    for result in results:
        if result.metric == metric and result.options.get("sampler", "prior") in SAMPLERS:
            return f"{result.value:.{digits}f}"
    return NONE


def replace_table(text: str, table: str) -> str:
    """A README's text with the table between the markers replaced.

    Raises:
        UsageError: the markers are missing, doubled or in the wrong order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in before + after:
        raise UsageError(f"a README contains {BEGIN} once and {END} once after it.")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def main(root: Path) -> None:
    """Bring the shipped folders up to their cards, and the tables of a checkout's pages.

    Raises:
        IntegrityError: more than text changed in a shipped folder; see `upkeep.renew`.
    """
    for folder in embedded.folders():
        if (folder / manifest.MANIFEST_FILE).is_file():
            upkeep.renew(folder)
    for name, table in tables().items():
        text = replace_table((root / name).read_text(encoding="utf-8"), table)
        (root / name).write_text(text, encoding="utf-8", newline="\n")
    stub = root / "zoo" / "__init__.pyi"
    text = with_classes(stub.read_text(encoding="utf-8"))
    stub.write_text(text, encoding="utf-8", newline="\n")


def with_classes(stub: str) -> str:
    """The names of `zoo` as a type checker reads them, with the catalog's classes."""
    lines = [line for line in stub.splitlines() if not line.startswith("from zoo.models.")]
    for name, reference in catalog.classes().items():
        lines.append(f"from {reference.partition(':')[0]} import {name} as {name}")
    return "\n".join(sorted(lines)) + "\n"


def tables() -> dict[str, str]:
    """The pages that have a table of models or of keys, and the table."""
    best = best_table()
    return {
        "README.md": best,
        "README.zh-CN.md": best,
        "cards/README.md": models_table(list_models()),
        "zoo/card/README.md": keys_table(),
    }


if __name__ == "__main__":
    main(Path.cwd())
