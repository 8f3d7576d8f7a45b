"""Every card of the zoo can be followed, and every shipped folder is what it says."""

import inspect
import json
import shlex
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.numpy import load_file, save_file

import convert
import zoo
from convert.backward.targets import TARGETS
from convert.card import FORMATS
from convert.families import FAMILIES
from convert.readers.base import FORMS
from convert.verify.texts import compare
from tests.weights import content
from zoo import catalog, drawing
from zoo.card import Card, dumps, render_readme, schema
from zoo.card.card import Train
from zoo.data.augmentation import AUGMENTATIONS
from zoo.data.binarization import BINARIZATIONS
from zoo.data.sources import DATASETS
from zoo.data.text import KINDS, TASKS
from zoo.data.text.schemes import spells_entities
from zoo.evaluation.density import run as density
from zoo.evaluation.metrics import table as metrics
from zoo.evaluation.results import protocol
from zoo.models.images.samplers import SAMPLERS
from zoo.registry import embedded, manifest, verify
from zoo.registry.fit import check_fit
from zoo.training.adversarial.objectives import OBJECTIVES
from zoo.training.around.ema import WARM_UPS
from zoo.training.fitting import stored_weights
from zoo.training.optimizing import SAVED
from zoo.training.recipe import build_config
from zoo.training.recipes import build_recipe

FOLDERS = embedded.folders()
SHIPPED = [folder for folder in FOLDERS if embedded.ships(folder)]
WITH_SOURCE = [folder for folder in FOLDERS if Card.load(folder).source is not None]
CONVERTED = [folder for folder in WITH_SOURCE if folder in SHIPPED]
TRAINED = [folder for folder in SHIPPED if folder not in WITH_SOURCE]
MADE_HERE = [folder for folder in FOLDERS if folder not in WITH_SOURCE]
MAX_CARDS_BYTES = 90_000_000
MAX_PARAMETERS, MAX_BYTES, MAX_TINY_BYTES = 1_000_000, 4_000_000, 300_000
#: Parameters and bytes of what is larger: the encoder of a paper whose figures are compared, a
#: density of images with a generator.
LARGER = {
    "infomax": (6_000_000, 12_000_000),
    "dde": (2_500_000, 5_000_000),
    "synthesizer": (1_250_000, 2_500_000),
    "bert": (2_500_000, 5_000_000),
}

#: What the converter reads, by the format that a card says of it.
READ_AS = {
    format: [form for form, called in FORMATS.items() if called == format]
    for format in dict.fromkeys(FORMATS.values())
} | {"safetensors": []}  # saved by another program, and not converted
#: What a conversion writes and a shipped folder has of its own.
PAGES = {"README.md", "conversion.json", "card.toml", "manifest.json"}
#: Values that stand in two places, as reading a card must not import torch or numpy.
COPIES = {
    "binarizations": (schema.BINARIZATIONS, BINARIZATIONS),
    "binarizations of densities": ((*schema.BINARIZATIONS, "frozen"), density.BINARIZATIONS),
    "augmentations": (schema.AUGMENTATIONS, AUGMENTATIONS),
    "warm-ups of averages": (schema.WARM_UPS, WARM_UPS),
    "averages": ((*schema.AVERAGES, "no"), SAVED),
    "tasks of texts": (schema.TASKS, TASKS),
    "kinds of tokenizers": (schema.TOKENIZERS, KINDS),
    "objectives": (schema.OBJECTIVES, OBJECTIVES),
    "samplers": (("prior", *schema.SAMPLERS), SAMPLERS),
    "samplers of the command line": (drawing.SAMPLERS, SAMPLERS),
    "formats": (schema.FORMATS, READ_AS),
    "forms of checkpoints": ([form for forms in READ_AS.values() for form in forms], FORMS),
}


def test_every_image_model_says_what_it_can_do():
    assert not [entry.name for entry in catalog.IMAGES if not entry.can]


@pytest.mark.parametrize(("copy", "table"), COPIES.values(), ids=COPIES)
def test_a_copy_equals_its_table(copy, table):
    assert list(copy) == list(table)


def test_what_is_exported_has_a_format_of_cards():
    assert TARGETS.keys() < set(schema.FORMATS)


@pytest.mark.parametrize("stored_as", schema.STORED_AS)
def test_weights_are_stored_in_each_type_that_a_card_may_name(stored_as):
    dtype = getattr(torch, stored_as)
    stored = stored_weights(torch.nn.Linear(2, 2), stored_as)
    assert {tensor.dtype for tensor in stored.values()} == {dtype}
    assert torch.finfo(dtype).bits <= 32
    assert Train().stored_as == schema.STORED_AS[0]


def name(folder: Path) -> str:
    return folder.name


@pytest.fixture(params=FOLDERS, ids=name)
def folder(request):
    return request.param


@pytest.fixture
def card(folder):
    return Card.load(folder)


def build_on_meta(card):
    """The model of a card, without memory; of texts with the vocabulary that its card allows."""
    with torch.device("meta"):
        return build_recipe(card).make_model()


def task_of(card):
    """What a model of texts was trained for; None of images, and of what was converted."""
    return TASKS[card.data.task] if card.data is not None and card.data.task else None


def ending_of(card):
    """What the class of such a model ends with."""
    tables = card.config.get("heads") or {}
    return task_of(card).head(next(iter(tables.values()), None)).ending


def test_the_zoo_is_found(root):
    assert FOLDERS
    assert {path.parent for path in (root / "cards").glob("*/card.toml")} == set(FOLDERS)


def test_a_folder_is_named_for_its_model(folder, card):
    assert card.id == f"genae/{folder.name}"


def test_a_card_survives_being_written_again(card):
    assert Card.parse(dumps(card.to_dict())) == card


@pytest.mark.parametrize("folder", MADE_HERE, ids=name)
def test_a_card_can_be_followed(folder, card):
    recipe = build_recipe(card)  # config, image processor and training arguments
    entry, task = catalog.find(card.architecture), task_of(card)
    if task is None and recipe.processor is not None:
        assert recipe.config.num_channels == recipe.processor.num_channels
    elif task is None:
        assert recipe.config.input_shape
    model = build_on_meta(card)
    assert model.num_parameters() > 0
    assert card.task == (entry.task if task is None else catalog.HEADS[ending_of(card)][1])


@pytest.mark.parametrize("folder", MADE_HERE, ids=name)
def test_a_card_trains_on_data_that_has_a_name(folder, card):
    assert card.data.dataset in DATASETS
    assert card.data.binarization in BINARIZATIONS
    if card.config.get("likelihood") == "bernoulli":
        # Grey pixels are not outcomes of a Bernoulli variable; the likelihood would mean nothing.
        assert card.data.binarization != "none"


def abilities_of(folder, card):
    """What a model of texts can do: a tagger whose labels spell entities finds them, too."""
    can, config = catalog.HEADS[ending_of(card)][-1], folder / "config.json"
    labels = json.loads(config.read_text("utf-8")).get("id2label", {}) if config.is_file() else {}
    return (*can, *(("extracts",) if "tags" in can and spells_entities(labels.values()) else ()))


def test_results_name_metrics_that_can_measure_them(folder, card):
    likelihood = build_config(card).to_dict().get("likelihood")
    can = None if task_of(card) is None else abilities_of(folder, card)
    for result in card.results:
        metric = metrics.find(result.metric)
        assert metric.refusal(card.architecture, likelihood, can) is None
        assert result.unit == metric.unit
        assert result.dataset in DATASETS
        assert result.protocol.startswith((f"genae evaluate {card.id}", "genae evaluate out/"))
        assert result.metric in result.protocol
        takes = inspect.signature(metric.function).parameters
        assert set(result.options) <= set(takes), "the card's own command would be refused"


def test_results_are_stated_only_of_weights_that_exist_or_that_a_minute_makes(folder, card):
    quick = card.train.budget is not None and card.train.budget["minutes"] <= 1
    assert not card.results or embedded.ships(folder) or card.published or quick


def test_a_recipe_has_no_weights_and_the_others_have(folder, card):
    assert (card.status == "recipe") == (not embedded.ships(folder) and not card.published)


def test_all_cards_together_stay_small(root):
    total = sum(file.stat().st_size for file in (root / "cards").rglob("*") if file.is_file())
    assert total < MAX_CARDS_BYTES


def test_a_fixture_and_nothing_else_has_random_weights(card):
    assert (card.status == "fixture") == ("random-weights" in card.tags)


@pytest.mark.parametrize("folder", SHIPPED, ids=name)
class TestShipped:
    """What holds of a folder with weights."""

    def test_its_files_are_what_the_manifest_says(self, folder):
        assert verify(folder).problems == check_fit(folder) == []

    def test_its_readme_follows_from_card_and_manifest(self, folder):
        readme = render_readme(Card.load(folder), manifest.read(folder))
        assert (folder / "README.md").read_text(encoding="utf-8") == readme

    def test_a_person_can_see_what_it_draws(self, folder):
        if catalog.find(Card.load(folder).architecture).task == "unconditional-image-generation":
            assert (folder / "samples.png").is_file()


@pytest.mark.parametrize("folder", TRAINED, ids=name)
class TestTrainedHere:
    """What holds of weights that were trained from their card."""

    def test_it_is_the_model_of_its_card(self, folder):
        card = Card.load(folder)
        stored = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        for key, value in card.config.items():
            if key != "num_labels":  # stored as the labels' names
                assert stored[key] == value, key
        if task_of(card) is not None:  # its vocabulary is that of its tokenizer; see `check_fit`
            assert (folder / "tokenizer.json").is_file()
            return
        if "input_shape" not in card.config:
            file = folder / "preprocessor_config.json"
            processor = json.loads(file.read_text(encoding="utf-8"))
            assert card.processor.items() <= processor.items()
        header = manifest.safetensors_header(folder / "model.safetensors")
        trained = build_on_meta(card)
        if stored.get("generator_density") is False:  # what only training needs does not ship
            trained.leave_training()
        expected = {k: list(t.shape) for k, t in trained.state_dict().items()}
        found = {k: entry["shape"] for k, entry in header.items() if k != "__metadata__"}
        assert found == expected

    def test_it_is_small(self, folder):
        card = Card.load(folder)
        parameters, size = LARGER.get(card.architecture, (MAX_PARAMETERS, MAX_BYTES))
        assert manifest.read(folder)["parameters"] < parameters
        assert (folder / "model.safetensors").stat().st_size < size


#: Originals that do not come along: where they lie in the data beside the checkout.
ELSEWHERE = {"sentiment-zh-bert4keras": "finetuned/sentiment_poetry_bert/best_model.weights"}


def origin_of(folder, root):
    """What a converted model was made from; skips the test where that is not here."""
    if folder.name not in ELSEWHERE:
        return root / Card.load(folder).source["url"]
    origin = root.parent / "shared/fixtures" / ELSEWHERE[folder.name]
    if not origin.is_file():
        pytest.skip(f"{origin} is not here")
    return origin


def is_half(folder):
    """Whether the weights are stored in half precision, in which they do not load."""
    header = manifest.safetensors_header(folder / "model.safetensors")
    return {each["dtype"] for key, each in header.items() if key != "__metadata__"} == {"F16"}


@pytest.mark.parametrize("folder", CONVERTED, ids=name)
class TestConverted:
    """What holds of weights that were brought over from another library's file."""

    def test_its_format_is_what_the_converter_reads(self, folder, root):
        source = Card.load(folder).source
        with convert.open_checkpoint(origin_of(folder, root)) as checkpoint:
            assert checkpoint.format in READ_AS[source["format"]]

    def test_converting_again_gives_the_same_files(self, folder, root, tmp_path):
        source = Card.load(folder).source
        origin = origin_of(folder, root)  # a folder, or a checkpoint of several in one
        beside = origin if origin.is_dir() else origin.parent
        for file, digest in source["files"].items():
            assert manifest.sha256(beside / file) == digest
        stored = {"dtype": "float16"} if is_half(folder) else {}
        report = convert.convert_checkpoint(
            origin,
            tmp_path / "out",
            family=source["family"],
            options=source.get("options"),
            **stored,
        )
        for file in set(report.files) - PAGES:
            made, shipped = content(tmp_path / "out" / file), content(folder / file)
            if file == "config.json" and stored:
                made = made.replace(b'"dtype": "float16"', b'"dtype": "float32"')
            assert made == shipped, file

    def test_a_tensor_less_is_noticed(self, folder, tmp_path):
        damaged = Path(shutil.copytree(folder, tmp_path / folder.name))
        weights = load_file(damaged / "model.safetensors")
        gone = weights.popitem()[0]
        save_file(weights, damaged / "model.safetensors", {"format": "pt"})
        assert any(gone in problem for problem in check_fit(damaged))

    def test_its_parity_is_what_the_card_states(self, folder, root):
        source = Card.load(folder).source
        origin = origin_of(folder, root)
        beside = origin if origin.is_dir() else origin.parent
        found = compare(folder, beside / "reference.npz")
        stated = source["parity"]
        # All, but where Google and bert4keras compute apart; half precision as the card states it.
        allowed = stated["atol"] if is_half(folder) else 0.0
        agree = [p for p in found if p.ok or p.max_absolute <= allowed]
        assert {p.name.removeprefix("out_") for p in agree} == set(stated["outputs"])
        assert max(p.max_absolute for p in agree) <= stated["atol"]
        assert len(agree) == len(found) or "computes otherwise" in Card.load(folder).limits

    def test_it_is_small(self, folder):
        size = sum(file.stat().st_size for file in folder.iterdir())
        assert size < (MAX_TINY_BYTES if folder.name.startswith("tiny-") else 10_000_000)

    def test_it_loads_as_the_class_that_its_files_name(self, folder):
        (named,) = json.loads((folder / "config.json").read_text("utf-8"))["architectures"]
        assert type(zoo.from_pretrained(f"genae/{folder.name}")).__name__ == named


#: Architectures that are trained here to compare with, and that no legacy files become.
BASELINES = {"fnet"}


def test_every_converted_architecture_has_a_card_and_every_family_ships_a_model():
    converted = {Card.load(folder).architecture for folder in WITH_SOURCE}
    assert converted <= {entry.name for entry in catalog.TEXTS}
    assert {entry.name for entry in catalog.TEXTS if not entry.heads} - BASELINES <= converted
    shipped = [Card.load(folder) for folder in CONVERTED]
    assert {family.name for family in FAMILIES} == {card.source["family"] for card in shipped}


def test_a_number_names_the_whole_command_that_measures_it_again():
    stated = 0
    for folder in FOLDERS:
        card = Card.load(folder)
        for result in card.results:
            model = shlex.split(result.protocol)[2]
            data = card.data and card.data.dataset
            assert result.protocol == protocol(model, data, asdict(result))
            assert f"`{result.protocol}`" in render_readme(card)
            stated += 1
    assert stated > 100
