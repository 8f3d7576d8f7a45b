"""`--set`: what can be set, what a mistyped one is told, and when it makes another model."""

import dataclasses
import subprocess
import sys

import pytest
from transformers import TrainingArguments

from zoo import catalog
from zoo.card import Card, render_readme
from zoo.card.toml import dumps
from zoo.errors import UsageError
from zoo.models.images.image_processing_genae import GenaeImagesKwargs
from zoo.registry import load_card
from zoo.training import declared
from zoo.training.known import ARGUMENTS, DEFAULTS, config_fields, list_settings, processor_fields
from zoo.training.settings import with_settings
from zoo.training.variants import card_of_weights, with_data

LIVE = dataclasses.MISSING


@pytest.mark.parametrize("architecture", catalog.ARCHITECTURES)
def test_what_is_read_off_the_source_is_what_the_class_has(architecture):
    kind = catalog.load(catalog.find(architecture).config)
    fields, others = config_fields(architecture)
    live = {field.name: field for field in dataclasses.fields(kind)}
    assert fields.keys() <= live.keys()
    assert live.keys() | kind.attribute_map.keys() <= fields.keys() | set(others)
    assert len(fields) > 3


def test_training_arguments_are_read_off_their_source():
    fields = declared.fields_of(*ARGUMENTS)
    assert fields.keys() == {field.name for field in dataclasses.fields(TrainingArguments)}
    assert fields["learning_rate"].default == "5e-05"
    assert fields["learning_rate"].meaning.startswith("The initial learning rate")
    assert fields.keys() >= DEFAULTS.keys()
    assert processor_fields().keys() == GenaeImagesKwargs.__annotations__.keys()


def test_every_setting_is_listed_with_its_value_its_default_and_its_meaning():
    listed = list_settings(load_card("genae/vae-mnist"))
    assert list(listed) == ["train", "config", "data", "processor"]
    rows = {each.name: each for each in listed["config"]}
    assert (rows["likelihood"].value, rows["likelihood"].default) == ('"bernoulli"', '"gaussian"')
    assert "nats per latent dimension" in rows["free_bits"].meaning
    assert not any(each.name == "adversarial.kind" for each in listed["train"])
    names = [each.name for each in listed["train"]]
    assert names.index("budget.minutes") < names.index("rates.layer_decay")
    of_texts = list_settings(load_card("genae/synthesizer-shakespeare"))
    assert "tokenizer" in of_texts
    assert "processor" not in of_texts


def test_a_mistyped_setting_is_told_without_torch():
    code = (
        "import sys\n"
        "from zoo.cli import app\n"
        "sys.argv = ['genae', 'train', 'genae/vae-mnist', '--set', 'latent_siz=3']\n"
        "try: app()\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "2 False\n"
    assert done.stderr == (
        "genae: --set latent_siz=3: nothing is called latent_siz. Nearest: config.latent_size, "
        "config.image_size, processor.pad_size. `genae train genae/vae-mnist --settings` lists "
        "all.\n"
    )


SHIPPED = load_card("genae/vae-mnist")


def weights_of(tmp_path, *settings, card=SHIPPED, name="Mine 2"):
    """The card that goes with weights that were trained with settings."""
    return card_of_weights(with_settings(card, settings), card, tmp_path / name)


@pytest.mark.parametrize("setting", ["beta=4", "seed=1", "binarization=threshold", "size=30"])
def test_a_variant_has_nothing_of_its_originals_identity(tmp_path, setting):
    made = weights_of(tmp_path, setting)
    assert (made.id, made.version, made.status) == ("local/mine-2", "0.1.0", "experimental")
    assert made.base_model == SHIPPED.id
    key, _, value = setting.partition("=")
    assert made.summary.startswith(
        f"Variational autoencoder by the recipe of genae/vae-mnist, with {key} = "
    )
    assert value in made.summary
    assert not made.results
    assert made.train.budget is None
    page = render_readme(made)
    assert "genae/vae-mnist" in page.split("---\n")[1]  # as base_model
    assert 'zoo.from_pretrained(".")' in page
    assert "digits" not in page
    assert Card.parse(dumps(made.to_dict())) == made


@pytest.mark.parametrize(
    "setting",
    ["logging_steps=3", "use_cpu=true", "dataloader_num_workers=2", "seed=0", "beta=1.0 "],
)
def test_speed_records_and_values_as_they_were_make_no_variant(tmp_path, setting):
    made = weights_of(tmp_path, setting)
    if setting.startswith("beta"):  # the default, which the card does not say: another card
        return
    assert made.id == SHIPPED.id
    assert made.results == SHIPPED.results


def test_a_variants_variant_says_all_changes_and_keeps_the_base(tmp_path):
    first = weights_of(tmp_path, "beta=4", "seed=1")
    assert first.summary.endswith("with beta = 4 and seed = 1.")
    second = weights_of(tmp_path, "latent_size=8", card=first, name="other")
    assert second.summary.endswith("with beta = 4 and seed = 1, with latent_size = 8.")
    assert (second.id, second.base_model) == ("local/other", "genae/vae-mnist")
    again = weights_of(tmp_path, card=first, name="third")
    assert (again.id, again.summary) == ("local/third", first.summary)


def test_other_data_makes_a_variant_too(tmp_path):
    made = weights_of(tmp_path, "seed=1", card=with_data(SHIPPED, "~/My Pets"), name="pets")
    assert made.id == "local/pets"
    assert made.summary.endswith("of genae/vae-mnist, trained on my-pets, with seed = 1.")
    assert made.tags == []
    set_ = weights_of(tmp_path, "dataset=fashion-mnist")
    assert (set_.data.license, set_.data.sha256) == ("unknown", {})
    assert set_.summary.endswith('with dataset = "fashion-mnist".')


def test_the_page_of_a_local_model_measures_what_lies_beside_it():
    table = SHIPPED.to_dict() | {"id": "local/mine"}
    for result in table["results"]:
        result["protocol"] = result["protocol"].replace(SHIPPED.id, "local/mine")
    page = render_readme(Card.of(table))
    assert page.count("`genae evaluate . --metric") == len(table["results"])
    assert "evaluate local/mine" not in page


def test_a_recipe_with_weights_is_a_recipe_no_more(tmp_path):
    recipe = load_card("genae/ae-examples")
    made = weights_of(tmp_path, card=recipe)
    assert (made.id, made.status) == (recipe.id, "experimental")
    assert made.text == recipe.text.replace('"recipe"', '"experimental"', 1)


def test_what_a_card_says_wrongly_is_not_blamed_on_a_setting():
    table = SHIPPED.to_dict()
    table["config"] |= {"latent_siz": 3}
    card = Card.of(table, SHIPPED.path)
    from zoo.training.explaining import explain

    with pytest.raises(UsageError, match=r"^.*card\.toml: \[config\] latent_siz"):
        explain(card, ["beta=2"])
