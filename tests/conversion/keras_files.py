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


#: The few that travel along.
KERAS = Path(__file__).resolve().parents[1] / "fixtures/keras"
WEIGHTS = (".h5", ".keras")


def cases(folder: Path = KERAS) -> list[Path]:
    """Every file with weights below a folder that has recorded outputs."""
    found = sorted(path for path in folder.rglob("*") if path.suffix in WEIGHTS)
    return [path for path in found if (path.parent / "io.npz").is_file()]


def case(path: Path) -> Path:
    """The file that the architecture of a file with weights is in."""
    alone = path.name.endswith("weights.h5")
    names = ("model_keras3.json", "model.json") if "keras3" in path.name else ("model.json",)
    here = [path.with_name(name) for name in names if path.with_name(name).is_file()]
    return here[0] if alone else path
