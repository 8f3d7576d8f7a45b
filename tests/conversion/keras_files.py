"""Models that Keras itself wrote and ran, where they lie beside the checkout."""

from collections.abc import Iterator
from pathlib import Path

SHARED = Path(__file__).resolve().parents[3] / "shared/fixtures"
FOLDERS = ("keras_layers", "keras_models", "keras_era", "keras_odd", "keras_images")
INDICES = ("cases.json", "models.json", "index.json", "meta.json", "metadata.json")


def files(*folders: str) -> Iterator[Path]:
    """Every file of theirs that may contain an architecture."""
    for folder in folders or FOLDERS:
        for path in sorted((SHARED / folder).rglob("*")):
            if path.suffix in (".h5", ".keras", ".json") and path.name not in INDICES:
                yield path
