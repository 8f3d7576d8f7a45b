"""The verb `env`: versions and folders, for a bug report. A token itself is never shown."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import typer

from zoo.cli.common import Json, print_json

PACKAGES = (
    "genae",
    "torch",
    "transformers",
    "accelerate",
    "datasets",
    "safetensors",
    "huggingface-hub",
    "hf-xet",
    "fsspec",
    "model-signing",
    "numpy",
    "pillow",
)


def env(as_json: Json = False) -> None:
    """Show versions, devices, and where data and models are looked for."""
    facts = collect()
    if as_json:
        print_json(facts)
        return
    for key, value in facts.items():
        shown = {None: "-", True: "yes", False: "no"}.get(value, value)
        typer.echo(f"{key + ':':<20}{shown}")


def collect() -> dict[str, Any]:
    """The facts by name, ready for JSON."""
    from huggingface_hub import constants, get_token

    from zoo.registry.order import order
    from zoo.registry.shown import bare
    from zoo.registry.signing import SIGN_WITH, TRUST

    return {
        **{name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "system": platform.platform(),
        "device": _device(),
        "GENAE_DATA": os.environ.get("GENAE_DATA"),
        "GENAE_VERIFY": os.environ.get("GENAE_VERIFY"),
        "data folder": str(Path("data").resolve()) if Path("data").is_dir() else None,
        "cards folder": str(_cards()),
        "Hub endpoint": bare(constants.ENDPOINT),
        "Hub cache": str(constants.HF_HUB_CACHE),
        "Hub offline": bool(constants.HF_HUB_OFFLINE),
        "Hub token": get_token() is not None,
        "registries": ", ".join(map(bare, order())),
        "GENAE_HUB_DEADLINE": os.environ.get("GENAE_HUB_DEADLINE"),
        "signs with": os.environ.get(SIGN_WITH),
        "trusts": os.environ.get(TRUST),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _device() -> str:
    try:
        import torch
    except ImportError:
        return "unknown, as torch is not installed"
    if torch.cuda.is_available():
        return torch.cuda.get_device_name(0)
    return (
        "mps" if torch.backends.mps.is_available() else f"cpu, {torch.get_num_threads()} threads"
    )


def _cards() -> Path:
    from zoo.registry import embedded

    return embedded.ROOT
