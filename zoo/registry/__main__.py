"""`python -m zoo.registry cards/*/` writes READMEs and manifests again after a card was edited."""

import sys
from pathlib import Path

from zoo.errors import GenaeError
from zoo.registry import manifest

if __name__ == "__main__":
    for name in sys.argv[1:]:
        if (Path(name) / manifest.MANIFEST_FILE).is_file():  # a recipe has none
            try:
                manifest.refresh(name)
            except GenaeError as error:
                sys.exit(f"{name}: {error}")
