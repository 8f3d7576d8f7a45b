"""What follows from the cards: each shipped folder's README and manifest, the READMEs' table.

Run `make readme` after a card was edited: `python -m zoo.cli.readme README.md ...`.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from zoo.card import Card, Result
from zoo.errors import UsageError
from zoo.registry import describe, embedded, list_models, manifest

BEGIN, END = "<!-- models:begin -->", "<!-- models:end -->"
NONE = "–"
# Columns with numbers: heading, metric, decimals; of samples, those of the prior.
NUMBERS = (
    ("reconstruction error", "reconstruction_mse", 4),
    ("Fréchet distance", "frechet_distance", 1),
    ("log-likelihood, at least", "iwae", 1),
    ("accuracy", "accuracy", 4),
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
        name = f"[{card.name}](cards/{card.name}){weights}"
        numbers = [_number(card.results, metric, digits) for _, metric, digits in NUMBERS]
        rows.append([name, card.architecture, data, size, *numbers])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _number(results: Iterable[Result], metric: str, digits: int) -> str:
    for result in results:
        if result.metric == metric and result.options.get("sampler", "prior") == "prior":
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
        raise UsageError(f"a README holds {BEGIN} once and {END} once after it.")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def main(files: Iterable[str]) -> None:
    """Bring the shipped folders up to their cards, and write the table into the given files.

    Raises:
        IntegrityError: more than text changed in a shipped folder; see `manifest.refresh`.
    """
    for folder in embedded.folders():
        if (folder / manifest.MANIFEST_FILE).is_file():
            manifest.refresh(folder)
    table = models_table(list_models())
    for file in map(Path, files):
        text = replace_table(file.read_text(encoding="utf-8"), table)
        file.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
