"""The modelling code beside a model's weights, so that transformers loads it without genae."""

import json
import shutil
from pathlib import Path

from zoo import catalog
from zoo.registry import manifest


def has_code(folder: Path, entry: catalog.Entry) -> bool:
    """Whether genae has the class of a model's folder; transformers has the others."""
    return entry.own or any(map(catalog.is_fine_tuned, _architectures(folder)))


def _architectures(folder: Path) -> list[str]:
    """The names of the classes that a folder's configuration says."""
    named = manifest.read_config(folder).get("architectures")
    return list(map(str, named)) if isinstance(named, list) else []


def add_code(folder: Path, entry: catalog.Entry) -> set[str]:
    """Copy the modelling files and say in the configurations which class is whose.

    Args:
        folder: the model's; its configurations are written anew.
        entry: its architecture's row; genae has the folder's class (`has_code`).

    Returns:
        The paths of what was written.
    """
    from transformers.dynamic_module_utils import get_relative_import_files

    root_of_code = Path(catalog.__file__).parents[1]
    found = catalog.heads(entry)
    # Of several classes with one Auto class that of the folder, else the first; of what
    # transformers has as well that of the folder alone.
    chosen = {auto: name for name, auto in reversed(found.items()) if entry.own}
    chosen |= {found[name]: name for name in _architectures(folder) if name in found}
    heads = {auto: f"{entry.own_module}:{name}" for auto, name in chosen.items()}
    own = {"AutoConfig": entry.config} if entry.own else {}
    classes = {"config.json": own | heads}
    if entry.processor and (folder / "preprocessor_config.json").is_file():
        classes["preprocessor_config.json"] = {"AutoImageProcessor": entry.processor}
        classes["config.json"]["AutoImageProcessor"] = entry.processor
    written = set(classes)
    for file, references in classes.items():
        config = manifest.read_config(folder, file)
        config["auto_map"] = {auto: _in_repo(ref) for auto, ref in sorted(references.items())}
        text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
        (folder / file).write_text(text, encoding="utf-8", newline="\n")
        for reference in references.values():
            start = root_of_code / f"{reference.partition(':')[0].replace('.', '/')}.py"
            for path in (start, *map(Path, get_relative_import_files(str(start)))):
                shutil.copyfile(path, folder / path.name)
                written.add(path.name)
    return written


def _in_repo(reference: str) -> str:
    """`zoo.models.images.modeling_eae:EAEModel` -> `modeling_eae.EAEModel`."""
    module, _, name = reference.partition(":")
    return f"{module.rpartition('.')[2]}.{name}"
