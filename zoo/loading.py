"""Load a model and its image processor by id or folder."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import signature
from logging import ERROR
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, TypeAlias

from zoo import catalog
from zoo.advice import advice, refusal
from zoo.errors import IntegrityError, MissingDependencyError, NotFoundError, UsageError
from zoo.header import safetensors_header
from zoo.registry import embedded, resolve
from zoo.registry.loading import class_in_folder, loading_as, unknown_class
from zoo.registry.manifest import read_config

if TYPE_CHECKING:
    from zoo.models.images.image_processing_genae import GenaeImageProcessor


def from_pretrained(
    name: str | os.PathLike[str],
    *,
    revision: str | None = None,
    source: str | None = None,
    **kwargs: Any,
) -> Any:
    """Load a model without knowing its class.

    `transformers.AutoModel` does the same for folders, once `zoo.models` is imported; ids are for
    here and for each class's own `from_pretrained`.

    Args:
        name: an id such as `genae/vae-mnist` or `genae/vae-mnist@v1.0.1`, or a folder.
        revision: a version of the model, such as `v1.0.0`.
        source: the only registry to ask, such as a folder of models.
        **kwargs: passed on to the class's own `from_pretrained`. Code in the folder of a model of
            another architecture runs only with `trust_remote_code=True`.

    Returns:
        The model, in evaluation mode.

    Raises:
        NotFoundError: there is no such model, or it has no weights; the message says what to do.
        NotAllowedError: it is gated on the Hub.
        IntegrityError: its files differ from their manifest.
        UsageError: the model is of another library, or the name is empty.
        UnsafeError: its only weights are pickled.
    """
    return model_at(resolve(name, revision, source=source), **kwargs)


def model_at(place: str, **kwargs: Any) -> Any:
    """`from_pretrained` for a folder that is already checked; arguments and errors likewise."""
    config = read_config(Path(place))
    try:
        entry = catalog.find_config(config.get("model_type"), config.get("architectures") or ())
    except UsageError:
        if not kwargs.get("trust_remote_code"):
            raise
        return _load_with_its_code(place, config, kwargs)
    trusted = kwargs.pop("trust_remote_code", None)
    _check_weights_exist(place)
    model_class = catalog.model_for(entry, config.get("architectures") or ())
    if trusted and unknown_class(model_class, config):
        model_class = class_in_folder(place, config) or model_class
    kwargs |= _without_pooler(model_class, place, entry)
    with loading_as(model_class, config):
        return _complete(model_class, place, kwargs, entry)


def _load_with_its_code(place: str, config: dict[str, Any], kwargs: dict[str, Any]) -> Any:
    """Load a model whose folder has its own class; the user has allowed its code to run."""
    import transformers

    classes = config.get("auto_map") if isinstance(config.get("auto_map"), dict) else {}
    finders = [name for name in classes or () if name.startswith("AutoModel")]
    finder = getattr(transformers, finders[0] if finders else "AutoModel")
    return finder.from_pretrained(place, **kwargs)


def load_image_processor(
    name: str | os.PathLike[str], *, revision: str | None = None, source: str | None = None
) -> "GenaeImageProcessor":
    """The image processor of a model; arguments as of `from_pretrained`.

    Raises:
        NotFoundError: there is no such model, or its folder has no `preprocessor_config.json`.
        IntegrityError: that file is malformed.
    """
    return processor_at(resolve(name, revision, source=source), str(name))


def processor_at(place: str, name: str) -> "GenaeImageProcessor":
    """The image processor in a folder that is already checked; `name` is used in messages."""
    from zoo.models import seam
    from zoo.models.images.image_processing_genae import GenaeImageProcessor

    path = Path(place) / "preprocessor_config.json"
    if not path.is_file():
        raise NotFoundError(
            f"{name} has no {path.name}, which says how to process images; save its "
            "GenaeImageProcessor there"
        )
    read_config(path.parent, path.name)  # transformers fails on other JSON in many ways
    try:
        with seam.found():
            return GenaeImageProcessor.from_pretrained(place)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise IntegrityError(
            f"{path}: is not an image processor ({reason}); get it again"
        ) from error


@dataclass(frozen=True)
class Located:
    """A model that was looked up and checked.

    Attributes:
        name: what it was called.
        place: its folder.
        entry: its architecture's row in the catalog.
        config: its `config.json`.
    """

    name: str
    place: str
    entry: catalog.Entry
    config: dict[str, Any]

    def __str__(self) -> str:
        return self.name


Model: TypeAlias = str | os.PathLike[str] | Located


def locate(model: Model) -> Located:
    """Look a model up and check it, unless that was done; torch is not imported.

    Raises:
        NotFoundError: there is no such model.
        UsageError: it is of another library.
    """
    if isinstance(model, Located):
        return model
    place = resolve(model)
    config = read_config(Path(place))
    entry = catalog.find_config(config.get("model_type"), config.get("architectures") or ())
    return Located(str(model), place, entry, config)


def check_able(model: Model, ability: str, verb: str) -> Located:
    """A model that can do something; torch is not imported.

    Args:
        model: an id or a folder.
        ability: a key of `zoo.catalog.ABILITIES`.
        verb: of the command line, for the message.

    Raises:
        NotFoundError: there is no such model.
        UsageError: it cannot do this.
    """
    found = locate(model)
    entry = found.entry
    if ability not in catalog.abilities(entry, found.config.get("architectures") or ()):
        able = ", ".join(catalog.able(ability))
        raise UsageError(
            f"`genae {verb}` needs a model that {catalog.ABILITIES[ability]} ({able}), and the "
            f"architecture of {found} is {entry.name}, {entry.title}; "
            f"{advice(str(found), found.config)}"
        )
    return found


def load_for(model: Model, method: str) -> tuple[Any, "GenaeImageProcessor"]:
    """A model of images and its image processor, looked up and checked once.

    Args:
        model: an id or a folder.
        method: the method of the model that will be called, such as "sample".

    Raises:
        NotFoundError: the model does not exist, or has no image processor.
        IntegrityError: the files of the model or its processor are malformed.
        UsageError: the model has no such method or reads no images, or its processor makes images
            of another shape.
    """
    name = locate(model)
    network = model_at(name.place)
    if reason := refusal(str(name), name.config, network, method):
        raise UsageError(reason)
    if getattr(network.config, "input_shape", None) is not None:
        raise UsageError(
            f"{name} is a model of vectors, not of images, which Python uses: "
            f"zoo.from_pretrained({str(name)!r})"
        )
    processor = processor_at(name.place, str(name))
    wanted = (network.config.num_channels, network.config.image_size)
    if (processor.num_channels, processor.output_size) != wanted:
        raise UsageError(
            f"{name}: its preprocessor_config.json makes images of {processor.num_channels} "
            f"channels and {processor.output_size} pixels a side, the model reads {wanted[0]} "
            f"and {wanted[1]}; correct the file"
        )
    return network, processor


def load_scoring(
    model: Model, verb: str, *, images: bool = False, plane: bool = False
) -> tuple[Any, Any]:
    """A model with an energy, and its image processor; None for points of the plane.

    What the model's files alone decide is refused before torch is imported.

    Args:
        model: an id or a folder.
        verb: of the command line, for messages.
        images: refuse a model of vectors.
        plane: refuse a model of images.

    Raises:
        UsageError: the model has no energy, or is of other data than the verb needs.
        NotFoundError: as `load_for`.
        IntegrityError: as `load_for`.
    """
    name = check_able(model, "scores", verb)
    shape = name.config.get("input_shape")
    if shape is None and plane:
        raise UsageError(f"{name} is a model of images; `genae {verb}` shows points of the plane")
    if shape is not None and images:
        raise UsageError(f"{name} is a model of vectors; `genae {verb}` reads images")
    if shape is not None and list(shape) != [2]:
        raise UsageError(
            f"{name} is a model of vectors of {shape[0]} numbers, which no image shows; Python "
            f"has them: zoo.from_pretrained({str(name)!r})"
        )
    return load_for(name, "score") if shape is None else (model_at(name.place), None)


def load_with_tokenizer(name: str | os.PathLike[str], head: str) -> tuple[Any, Any]:
    """A text model with one of its heads, and its tokenizer, looked up and checked once.

    Args:
        name: an id or a folder.
        head: how the names of its classes end, a key of `catalog.HEADS` such as "ForMaskedLM".
            The files may have more heads than this one.

    Returns:
        The model, float32 and in evaluation mode, and the tokenizer.

    Raises:
        NotFoundError: there is no such model, or no weights or no `tokenizer.json` beside it.
        IntegrityError: the files of the model or its tokenizer are malformed.
        UsageError: the model has no such head.
        MissingDependencyError: the tokenizer needs a package that is not installed.
    """
    place = resolve(name)
    if not (Path(place) / "tokenizer.json").is_file():
        raise NotFoundError(f"{place} has no tokenizer.json; is it a language model?")
    return head_at(place, str(name), head), tokenizer_at(place, str(name))


def head_at(place: str, name: str, head: str) -> Any:
    """The model of a folder that was found and checked; arguments as of `load_with_tokenizer`."""
    import transformers

    import zoo.models  # noqa: F401  (the Auto classes find genae's text models as well)

    config = read_config(Path(place))
    _check_weights_exist(place)
    auto, _, can = catalog.HEADS[head]
    try:
        entry = catalog.find_config(config.get("model_type"), config.get("architectures") or ())
    except UsageError:
        entry = None  # of transformers, whose Auto class knows it or not
    try:
        model, report = read_weights(getattr(transformers, auto), place, {"dtype": "float32"})
    except ValueError as error:
        reason = shorten(str(error), 200, placeholder=" ...")
        raise UsageError(
            f"{name}: {auto} makes no model of its files: {reason}; {advice(name, config, can)}"
        ) from error
    missing = _unexplained(report, "missing", entry)
    if missing:
        raise UsageError(
            f"{name} has no weights for {auto}, such as {', '.join(missing[:3])}; it was saved "
            f"without this head; {advice(name, config, can)}"
        )
    _refuse(place, "mismatched", _unexplained(report, "mismatched", entry))
    return model


def tokenizer_at(place: str, name: str) -> Any:
    """The tokenizer in a folder that was found and checked; `name` is what messages say.

    Raises:
        IntegrityError: its files are malformed.
        MissingDependencyError: it needs a package that is not installed.
    """
    import transformers

    from zoo.models import seam

    try:
        with seam.found(), quietly():
            return transformers.AutoTokenizer.from_pretrained(place)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise IntegrityError(f"{name}: makes no tokenizer ({reason}); get it again") from error
    except ImportError as error:
        raise MissingDependencyError(f"{name}: {error}") from error


def _check_weights_exist(folder: str) -> None:
    if not embedded.ships(Path(folder)):
        raise NotFoundError(
            f"{folder} has a config.json but no weights ({' or '.join(embedded.WEIGHTS)}); "
            "save the model there or get it again"
        )


def _without_pooler(model_class: Any, place: str, entry: catalog.Entry) -> dict[str, Any]:
    """The argument for an encoder of transformers without a pooler, if the files have none."""
    if not entry.optional or "add_pooling_layer" not in signature(model_class).parameters:
        return {}
    headers = map(safetensors_header, sorted(Path(place).glob("*.safetensors")))
    has_pooler = any(entry.leaves_open(name) for header in headers for name in header)
    return {} if has_pooler else {"add_pooling_layer": False}


def _complete(
    model_class: Any,
    place: str | os.PathLike[str],
    kwargs: dict[str, Any],
    entry: catalog.Entry,
) -> Any:
    """Load a model, and refuse weights that do not match the config exactly.

    transformers would fill missing weights with random numbers and continue.
    """
    wanted = kwargs.pop("output_loading_info", False)
    model, report = read_weights(model_class, place, kwargs)
    for kind in ("missing", "unexpected", "mismatched"):
        _refuse(place, kind, _unexplained(report, kind, entry))
    return (model, report) if wanted else model


def read_weights(model_class: Any, place: str | os.PathLike[str], kwargs: dict[str, Any]) -> Any:
    """A model, and transformers' report of the tensors that the files lack or have too many."""
    from huggingface_hub.errors import StrictDataclassError

    from zoo.models import seam

    # transformers names mismatched sizes only if it is told to ignore them.
    options = kwargs | {"ignore_mismatched_sizes": True, "output_loading_info": True}
    try:
        with seam.found(), seam.without_bar(place), quietly():
            return model_class.from_pretrained(place, **options)
    except (StrictDataclassError, RuntimeError, TypeError) as error:
        raise IntegrityError(
            f"{place}: config.json and weights do not form a model: {' '.join(str(error).split())}"
        ) from error


@contextlib.contextmanager
def quietly(level: int = ERROR) -> Iterator[None]:
    """Without transformers' warnings; a user's own setting comes back."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity(level)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _unexplained(report: dict[str, Any], kind: str, entry: catalog.Entry | None) -> list[str]:
    """The tensors of a report that the architecture does not allow for, in order."""
    allows = {} if entry is None else {"missing": entry.rebuilds, "unexpected": entry.leaves_open}
    names = map(str, report.get(f"{kind}_keys") or ())
    return sorted(name for name in names if not (kind in allows and allows[kind](name)))


def _refuse(place: str | os.PathLike[str], kind: str, names: list[str]) -> None:
    if names:
        raise IntegrityError(
            f"{place}: the weights do not match config.json: {len(names)} {kind}, such as "
            f"{', '.join(names[:3])}; get the model again"
        )
