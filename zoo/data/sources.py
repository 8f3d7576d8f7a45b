"""Where data sets come from: the shipped examples, a local folder, Parquet files or the Hub."""

import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import (
    GenaeError,
    IntegrityError,
    NotAllowedError,
    NotFoundError,
    UnreachableError,
    UsageError,
)
from zoo.hints import did_you_mean, neighbor
from zoo.places import is_address
from zoo.registry import embedded

from .addresses import here
from .folders import METADATA, note_unnamed
from .splits import canonical, in_words
from .tables import numbered


@dataclass(frozen=True)
class Source:
    """What is known about a data set.

    Attributes:
        folder: its name in a folder of `GENAE_DATA` or `./data`; a path in `cards/examples` if
            `embedded`.
        config: the configuration to read, if there are several.
        hub_id: its repository on the Hub, if there is one.
        image_column: the column of images.
        label_column: the column of class numbers, if there is one.
        embedded: whether it ships with the package.
        planar: whether it is drawn, points of the plane (`zoo.data.planar`), and has no images.
        text_columns: its columns of texts; if there are any, it has no images.
        generated: whether its texts are made by code (`zoo.data.text.loading.GENERATED`).
    """

    folder: str
    config: str | None = None
    hub_id: str | None = None
    image_column: str = "image"
    label_column: str | None = "label"
    embedded: bool = False
    planar: bool = False
    text_columns: tuple[str, ...] = ()
    generated: bool = False


DATASETS: dict[str, Source] = {
    "mnist": Source("mnist", hub_id="ylecun/mnist"),
    "fashion-mnist": Source("fashion_mnist", hub_id="zalando-datasets/fashion_mnist"),
    "stacked-mnist": Source("mnist", hub_id="ylecun/mnist"),
    "cifar10": Source("cifar10", hub_id="uoft-cs/cifar10", image_column="img"),
    "synthetic-faces": Source("synthetic_faces", config="aligned", label_column=None),
    "celeba": Source("celeba", hub_id="flwrlabs/celeba", label_column=None),
    "examples-mnist": Source("mnist", embedded=True),
    "examples-fashion-mnist": Source("fashion-mnist", embedded=True),
    "examples-faces": Source("faces", label_column=None, embedded=True),
    "gaussians-2d": Source("", planar=True),
    "checkerboard-2d": Source("", planar=True),
    "spirals-2d": Source("", planar=True),
    "grid-2d": Source("", planar=True),
    "chinese-classics": Source("chinese_classics", label_column=None, text_columns=("text",)),
    "chinese-classics-punctuation": Source(
        "chinese_classics", label_column="tags", text_columns=("text",)
    ),
    "tiny-shakespeare": Source("tiny_shakespeare", label_column=None, text_columns=("text",)),
    "wikitext2-small": Source("wikitext2_small", label_column=None, text_columns=("text",)),
    "tatoeba-zh-en": Source("tatoeba_zh_en", label_column=None, text_columns=("text", "english")),
    "zh-sentiment": Source("zh_sentiment", text_columns=("text",)),
    "listops": Source("", text_columns=("text",), generated=True),
}


def roots() -> list[Path]:
    """Where data sets are looked for by name: the folders of `GENAE_DATA`, then `./data`."""
    given = os.environ.get("GENAE_DATA", "").split(os.pathsep)
    return [*(Path(os.path.expanduser(each)) for each in given if each), Path("data")]


def beside(name: str, card: Path | None) -> str:
    """A data set that a card names: the path of what lies beside the card, else the name.

    What begins with a dot is a path from the card, unless it is one from here alone.

    Args:
        name: as the card says it.
        card: the card's file, if it is one.
    """
    if card is None or name in DATASETS or os.path.isabs(name) or name.startswith("~"):
        return name
    place = os.path.normpath(card.parent / name)
    meant = name.startswith(".") and not os.path.exists(name)
    return place if meant or os.path.exists(place) else name


def locate(name: str) -> Path | str:
    """The local folder or file of a data set as a `Path`, or its id on the Hub as text.

    Raises:
        NotFoundError: if it is not here, and cannot be an id on the Hub.
    """
    name = os.path.expanduser(here(name))
    if is_address(name):
        raise NotFoundError(
            f"data set {name}: lies at an address, where this command cannot read it; copy it "
            "to here"
        )
    source = DATASETS.get(name, Source(name))
    if source.planar:
        raise UsageError(f"data set {name}: points of the plane, not images; use it for vectors")
    if source.generated:
        raise UsageError(
            f"data set {name}: made by code, in no folder; use it for models of texts"
        )
    if source.embedded:
        place = embedded.ROOT / "examples" / source.folder
        if not place.is_dir():
            raise NotFoundError(f"data set {name}: its images are missing; install genae again")
        return place
    if name not in DATASETS and Path(name).exists():
        return Path(name)
    near = neighbor(name)  # what lies here comes before what is known by name
    if os.path.isabs(name) or name.startswith("."):
        hint = f" Did you mean {near!r}?" if near else ""
        raise NotFoundError(
            f"no data set at {name}: there is no such folder or file.{hint} Say with --data where "
            "it lies now."
        )
    found = [root / source.folder for root in roots()]
    for place in found:
        if place.is_dir():
            return place
    if source.hub_id is not None:
        return source.hub_id
    if name not in DATASETS and re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        return name
    looked = ", ".join(map(str, found))
    hint = f" Did you mean {near!r}?" if near else f" {did_you_mean(name, DATASETS)}"
    hint = "" if name in DATASETS else hint
    raise NotFoundError(
        f"no data set {name!r} (looked for {looked}).{hint} Set GENAE_DATA to the folder that "
        "holds data sets, or give a folder, a Parquet file or a Hub id with --data."
    )


def holds_tables(folder: Path) -> bool:
    """Whether a folder has Parquet files other than metadata."""
    return any(file.name not in METADATA for file in folder.rglob("*.parquet"))


def load_table(
    name: str,
    place: Path | str,
    split: str,
    config: str | None = None,
    *,
    quiet: bool = False,
    streaming: bool = False,
    described: dict[str, list[str]] | None = None,
) -> Any:
    """The split as a `datasets.Dataset`; failures are raised as errors of genae.

    Args:
        name: what messages call the data set.
        place: its folder or Parquet file, or its id on the Hub.
        split: in the slicing syntax of `datasets`; a whole one if it is streamed.
        config: the configuration, None for the only one.
        quiet: draw no progress bars of downloads.
        streaming: an `IterableDataset` that reads rows as they are asked for.
        described: the metadata tables by split, if the place is a folder of images.

    Raises:
        NotFoundError: if it is not found.
        NotAllowedError: if the Hub requires permission.
        UsageError: if the split or configuration is wrong, or the metadata cannot be used.
        IntegrityError: if a Parquet file cannot be read.
    """
    import datasets

    try:
        with no_bars(quiet), found(name, place):
            if isinstance(place, Path) and place.is_file():
                return datasets.load_dataset(
                    "parquet", data_files=str(place), split=split, streaming=streaming
                )
            if described:
                tables = datasets.load_dataset("imagefolder", data_files=described)
                note_unnamed(name, Path(place), sum(map(len, tables.values())))
                return numbered(tables, canonical(split))
            return datasets.load_dataset(str(place), name=config, split=split, streaming=streaming)
    except GenaeError:  # in words already
        raise
    except (ValueError, AssertionError) as error:
        reason = in_words(name, split, error)
        if described and "file_name" in reason:
            files = ", ".join(itertools.chain(*described.values()))
            reason += f" ({files}); name that column, or rename the file so that it is not read"
        raise UsageError(reason) from error
    except Exception as error:  # `datasets` raises whatever its readers of tables meet
        if not described:
            raise
        files = ", ".join(itertools.chain(*described.values()))
        reason = " ".join(str(error).split())
        raise UsageError(
            f"data set {name}: {files} cannot be read ({reason}); name one image per row in the "
            "column file_name, or rename the file so that it is not read"
        ) from error


@contextmanager
def found(name: str, place: Path | str) -> Iterator[None]:
    """Report a data set that is absent, closed or damaged as an error of genae, in one line.

    Args:
        name: what messages call the data set.
        place: its folder or file, or its id on the Hub.
    """
    import pyarrow as pa
    from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError

    try:
        yield
    except DatasetNotFoundError as error:
        if "gated" in str(error):
            raise NotAllowedError(
                f"data set {name}: {place} requires permission on the Hub; accept its terms there "
                "and log in with `hf auth login`"
            ) from error
        raise NotFoundError(_absent(name, place)) from error
    except (ConnectionError, FileNotFoundError) as error:
        if is_address(name):
            reason = " ".join(str(error).split())
            raise UnreachableError(
                f"data set {name}: {reason}; run the same command again later"
            ) from error
        raise NotFoundError(_absent(name, place)) from error
    except (DatasetGenerationError, pa.ArrowInvalid) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise IntegrityError(
            f"data set {name}: a file in {place} cannot be read ({reason}); get it again"
        ) from error


def _absent(name: str, place: Path | str) -> str:
    """The message when neither a local folder nor the Hub has a data set."""
    source = DATASETS.get(name)
    folder = source.folder if source else Path(name).name
    return (
        f"data set {name}: not in GENAE_DATA or ./data (as {folder}), and {place} cannot be "
        "reached on the Hub; set GENAE_DATA to the folder that holds data sets (several, joined "
        f"by {os.pathsep!r}, are searched in order), or go online"
    )


@contextmanager
def no_bars(quiet: bool = True) -> Iterator[None]:
    """Silence the bars of `datasets`, and when quiet also those of downloads."""
    import datasets
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    had_bars = datasets.is_progress_bar_enabled()
    had_downloads = not are_progress_bars_disabled()
    datasets.disable_progress_bars()
    if quiet and had_downloads:
        disable_progress_bars()
    try:
        yield
    finally:
        if had_bars:
            datasets.enable_progress_bars()
        if quiet and had_downloads:
            enable_progress_bars()
