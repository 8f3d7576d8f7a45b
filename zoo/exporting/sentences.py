"""Encoders of texts as folders that sentence-transformers loads."""

import shutil
from pathlib import Path
from typing import Any

from zoo import catalog
from zoo.embedding import Embedder, open_embedder, pooled
from zoo.errors import MissingDependencyError, UsageError
from zoo.exporting.programs import silently
from zoo.exporting.proof import check, difference
from zoo.registry.code import add_code, has_code

#: Names of poolings besides those of `zoo.embed`.
ALIASES = {"mean": "last-avg"}
#: How sentence-transformers calls what becomes of the tokens' states.
MODES = {"cls": "cls", "pooler": "cls", "last-avg": "mean", "first-last-avg": "mean", "max": "max"}
TEXTS = ("今天天气很好", "The weather is fine today, and so it was yesterday.", "好", "a b c")


def write_sentences(
    model: str, made: Path, *, pooling: str | None, backbone: bool, with_code: bool
) -> dict[str, Any]:
    """Write an encoder, its tokenizer and its pooling; then read and compare them.

    Args:
        model: an id or a folder.
        made: the folder to write into.
        pooling: a key of `zoo.embedding.POOLINGS`, or "mean"; None is the model's own.
        backbone: the encoder and its tokenizer alone, without modules of sentence-transformers.
        with_code: add the modelling files of a class of genae's.

    Returns:
        What was compared, as `proof.compare` has it; empty of a backbone.

    Raises:
        UsageError: as `zoo.embed`; or code was asked for, and transformers has the class.
        MissingDependencyError: sentence-transformers is not installed.
        ToleranceError: the folder gives other vectors.
    """
    reader = open_embedder(model, pooling=ALIASES.get(pooling or "", pooling))
    with silently():
        reader.encoder.config.architectures = [type(reader.encoder).__name__]
        reader.encoder.save_pretrained(made)
        reader.tokenizer.save_pretrained(made)
    vocabulary = Path(reader.place) / "vocab.txt"
    if reader.place and vocabulary.is_file():
        shutil.copyfile(vocabulary, made / vocabulary.name)
    entry = catalog.find_config(reader.encoder.config.model_type, [type(reader.encoder).__name__])
    if with_code and not has_code(made, entry):
        raise UsageError(f"--with-code: transformers has {type(reader.encoder).__name__} itself")
    if not backbone:
        _write_modules(reader, made)
    if with_code:
        add_code(made, entry)
    return {} if backbone else _compare(reader, made)


def _library() -> Any:
    try:
        import sentence_transformers
    except ImportError as error:
        raise MissingDependencyError(
            "--to sentence-transformers needs the package of that name, not installed here: "
            'pip install "genae[sentence-transformers]"'
        ) from error
    return sentence_transformers


def _write_modules(reader: Embedder, made: Path) -> None:
    """The modules behind the tokens' states, and the files that name them."""
    library = _library()
    from sentence_transformers.sentence_transformer import modules as parts

    if not reader.masked:
        raise UsageError(
            f"{reader.name} reads no mask, so its texts are all padded to one length, which "
            "sentence-transformers does not do: use zoo.embed"
        )
    first_and_last = reader.pooling == "first-last-avg"
    with silently():
        states = parts.Transformer(
            str(made),
            max_seq_length=reader.limit,
            config_kwargs={"output_hidden_states": True} if first_and_last else None,
        )
        chain = [states]
        if first_and_last:
            chain.append(_weighing(parts, reader))
        chain.append(parts.Pooling(reader.size, MODES[reader.pooling]))
        if reader.pooling == "pooler":
            chain.append(_dense(parts, reader.encoder))
        library.SentenceTransformer(modules=chain, device="cpu").save(
            str(made), create_model_card=False
        )


def _weighing(parts: Any, reader: Embedder) -> Any:
    """The mean of the states of the first and of the last block."""
    import torch

    blocks = int(reader.encoder.config.num_hidden_layers)
    weights = torch.zeros(blocks)
    weights[0] += 1
    weights[-1] += 1
    return parts.WeightedLayerPooling(reader.size, blocks, 1, torch.nn.Parameter(weights))


def _dense(parts: Any, encoder: Any) -> Any:
    """The pooler's map and activation; of ALBERT they stand beside each other."""
    import torch

    pooler = encoder.pooler
    dense = getattr(pooler, "dense", pooler)
    act = next(
        act
        for act in (
            getattr(pooler, "activation", None),
            getattr(pooler, "act", None),
            getattr(encoder, "pooler_activation", None),
        )
        if act is not None
    )
    values = torch.linspace(-2, 2, 5)
    same = (
        each
        for each in (torch.nn.Identity(), torch.nn.Tanh())
        if torch.equal(each(values), act(values))
    )
    found = next(same, None)
    if found is None:
        raise UsageError("--pooling pooler: the pooler of this model is neither linear nor a tanh")
    return parts.Dense(
        dense.in_features, dense.out_features, activation_function=found,
        init_weight=dense.weight, init_bias=dense.bias,
    )  # fmt: skip


def _compare(reader: Embedder, made: Path) -> dict[str, Any]:
    """Vectors of texts by sentence-transformers, beside those of the model before."""
    import torch

    library, worst = _library(), 0.0
    with silently():
        again = library.SentenceTransformer(str(made), device="cpu", local_files_only=True)
        for texts in (TEXTS[:1], TEXTS):
            inputs = reader.tokenizer(
                list(texts), padding=True, truncation=reader.limit is not None,
                max_length=reader.limit, return_tensors="pt",
            )  # fmt: skip
            mask = inputs["attention_mask"]
            wanted = pooled(reader.encoder, dict(inputs), mask, reader.pooling)
            found = torch.as_tensor(again.encode(list(texts), convert_to_numpy=True))
            worst = max(worst, difference(found, wanted))
    compared = {"texts": len(TEXTS), "relative_difference": {"vectors": worst}}
    check("sentence-transformers", compared)
    return compared
