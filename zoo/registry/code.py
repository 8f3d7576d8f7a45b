"""The modelling code beside a model's weights, so that transformers loads it without genae."""

import json
import shutil
from pathlib import Path

from zoo import catalog
from zoo.registry import manifest


def add_code(folder: Path, entry: catalog.Entry) -> set[str]:
    """Copy the modelling files and say in the configurations which class is whose.

    Args:
        folder: the model's; its configurations are written anew.
        entry: its architecture's row, one of genae's own.

    Returns:
        The paths of what was written.
    """
    from transformers.dynamic_module_utils import get_relative_import_files

    root_of_code = Path(catalog.__file__).parents[1]
    heads = {auto: f"{entry.module}:{name}" for name, auto in catalog.heads(entry).items()}
    classes = {"config.json": {"AutoConfig": entry.config} | heads}
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
