"""The files of a tokenizer that `AutoTokenizer` loads, whatever its model is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import errors

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing

#: The class that cuts texts into words, and the module that travels with a folder.
SEGMENTING = "GenaeWordTokenizer"
MODULE = Path(errors.__file__).with_name("models") / "text" / "tokenization_genae.py"


def special_tokens(tokenizer: Tokenizer, roles: Mapping[str, str]) -> dict[str, str]:
    """Make special those tokens that the vocabulary has, and return them by their roles."""
    known = tokenizer.get_vocab()
    found = {role: token for role, token in roles.items() if token in known}
    tokenizer.add_special_tokens(list(found.values()))
    return found


def template(tokenizer: Tokenizer, start: str | None, end: str | None) -> TemplateProcessing:
    """bert4keras's `S*E*E`: the start once, the end after each text, either absent if None."""
    from tokenizers.processors import TemplateProcessing

    first, last = ([token] if token else [] for token in (start, end))
    return TemplateProcessing(
        single=[*first, "$A", *last],
        pair=[*first, "$A", *last, "$B:1", *(f"{token}:1" for token in last)],
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (*first, *last)],
    )


def write_files(
    folder: Path,
    tokenizer: Tokenizer,
    settings: Mapping[str, Any],
    special: Mapping[str, str],
    segments: bool,
    pre_tokenize: str | None,
    whole_text_steps: int,
) -> list[str]:
    """Write `tokenizer.json` and `tokenizer_config.json`; with `pre_tokenize` the class as well.

    Args:
        folder: where to.
        tokenizer: with every part of it.
        settings: more of `tokenizer_config.json`.
        special: special tokens by their roles.
        segments: whether the model takes `token_type_ids`.
        pre_tokenize: how texts are cut into words, a name that the class knows, or None.
        whole_text_steps: of the normalizer, before that; the rest sees one word at a time.

    Returns:
        The names of the files.
    """
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **settings,
        "model_input_names": ["input_ids", *["token_type_ids"] * segments, "attention_mask"],
        "clean_up_tokenization_spaces": False,
        **special,
    }
    names = ["tokenizer.json", "tokenizer_config.json"]
    tokenizer.save(str(folder / names[0]))
    if pre_tokenize:
        # A type that `tokenizers` does not know: without the class the file fails to load, where
        # else it would give other ids silently.
        described = json.loads((folder / names[0]).read_text(encoding="utf-8"))
        described["pre_tokenizer"] = {
            "type": "Words",
            "segment": pre_tokenize,
            "whole_text_steps": whole_text_steps,
            "within": described["pre_tokenizer"],
        }
        write_json(folder / names[0], described)
        config["tokenizer_class"] = SEGMENTING
        config["auto_map"] = {"AutoTokenizer": [None, f"{MODULE.stem}.{SEGMENTING}"]}
        shutil.copyfile(MODULE, folder / MODULE.name)
        names.append(MODULE.name)
    write_json(folder / names[1], config)
    return names


def write_json(path: Path, table: Mapping[str, Any]) -> None:
    """A JSON file for people as well."""
    path.write_text(json.dumps(table, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
