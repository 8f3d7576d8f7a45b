"""Ids of any registry at transformers' and sentence-transformers' own doors, without a network."""

import shutil
import socket
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

import zoo
import zoo.models
from tests.fresh import commands
from zoo.errors import NotFoundError, UsageError
from zoo.loading import locate
from zoo.pipelines import OF_TEXTS, tasks_of
from zoo.registry import embedded

POETRY = "genae/bert-poetry-zh"
SHIPPED = [f"genae/{folder.name}" for folder in embedded.folders() if embedded.ships(folder)]
#: The command that does what no pipeline does for a head, and what fits it.
REFUSED = {
    "BertForCRFTokenClassification": ("token-classification", "genae tag", "feature-extraction"),
    "BertForEntityPointers": ("token-classification", "genae extract", "feature-extraction"),
    "BertForTokenClassification": ("text-classification", "genae tag", "token-classification"),
}


@pytest.fixture
def cut_off(monkeypatch):
    """No way to any network, and nothing in the environment that says so."""
    from huggingface_hub import constants

    def refuse(*args, **kwargs):
        raise AssertionError(f"a connection was tried: {args}")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def tuned(tmp_path):
    """`tuned(class name)`: a small BERT with random weights and a head, with its tokenizer."""

    def make(name):
        config = transformers.BertConfig(
            vocab_size=70, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=8, max_position_embeddings=16, num_labels=3,
        )  # fmt: skip
        if hasattr(zoo.models, name):
            spans = {"entities": {"kind": "global_pointer", "size": 4}}
            config.heads = {"tags": {"kind": "crf"}} if "CRF" in name else spans
        kind = getattr(zoo.models, name, None) or getattr(transformers, name)
        kind(config).save_pretrained(tmp_path / name)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(embedded.folder("genae/tiny-bert") / file, tmp_path / name)
        return tmp_path / name

    return make


def test_a_resolved_id_enters_every_door_without_a_network(cut_off):
    place = zoo.resolve(POETRY)
    assert Path(place) == embedded.folder(POETRY)
    found = transformers.pipeline("fill-mask", model=place)("[MASK]眠不覺曉")[0]
    assert found["token_str"] == "春"
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    assert tokenizer("春").input_ids == zoo.load_tokenizer(POETRY)("春").input_ids
    model = transformers.AutoModelForMaskedLM.from_pretrained(place)
    assert model.num_parameters() == zoo.from_pretrained(POETRY).num_parameters()
    own = transformers.AutoModel.from_pretrained(zoo.resolve("genae/eae-mnist"))
    assert type(own) is zoo.EAEModel


@pytest.mark.slow
def test_sentence_transformers_takes_a_resolved_id(cut_off):
    library = pytest.importorskip("sentence_transformers")
    found = library.SentenceTransformer(zoo.resolve(POETRY)).encode(["床前明月光"])
    wanted = zoo.embed(POETRY, ["床前明月光"], pooling="last-avg")
    torch.testing.assert_close(torch.from_numpy(found), wanted, rtol=1e-4, atol=1e-4)


def test_an_id_that_is_nowhere_is_said_to_be(cut_off):
    with pytest.raises(NotFoundError, match="Did you mean 'genae/bert-poetry-zh'"):
        zoo.resolve("genae/bert-poetry-z")
    with pytest.raises(NotFoundError, match=r"has no tokenizer\.json"):
        zoo.load_tokenizer("genae/eae-mnist")


def test_fill_mask_is_what_the_command_says(run, cut_off):
    found = zoo.pipeline("fill-mask", POETRY)("舉頭望明[MASK]")[0]
    assert f"{found['score']:.0%}" in run("fill-mask", POETRY, "舉頭望明[MASK]").out
    two = zoo.pipeline("fill-mask", "genae/tiny-bert", top_k=2)("[MASK]的")  # saved with two heads
    assert len(two) == 2


@pytest.mark.parametrize("name", ["tiny-gpt2", "tiny-gpt", "tiny-unilm"])
def test_text_is_generated_within_the_positions_there_are(cut_off, name):
    pipe = zoo.pipeline("text-generation", f"genae/{name}", do_sample=False)
    text = pipe("的")[0]["generated_text"]
    assert text.startswith("的")
    limit = pipe.model.config.max_position_embeddings
    assert 1 < len(pipe.tokenizer(text, add_special_tokens=False).input_ids) <= limit


def test_features_are_the_last_states_of_the_backbone(cut_off):
    pipe = zoo.pipeline("feature-extraction", "genae/tiny-gau-alpha")
    inputs = pipe.tokenizer("的", return_tensors="pt")
    model = zoo.from_pretrained("genae/tiny-gau-alpha").base_model
    with torch.no_grad():
        wanted = model(**inputs).last_hidden_state
    torch.testing.assert_close(pipe("的", return_tensors=True), wanted)


def test_labels_are_those_of_the_model(tuned):
    labels = {"LABEL_0", "LABEL_1", "LABEL_2"}
    found = zoo.pipeline("text-classification", tuned("BertForSequenceClassification"), top_k=None)
    assert {one["label"] for one in found(["的"])[0]} == labels
    assert sum(one["score"] for one in found(["的"])[0]) == pytest.approx(1)
    pipe = zoo.pipeline("token-classification", tuned("BertForTokenClassification"))
    assert {one["entity"] for one in pipe("的的")} <= labels


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_pipeline_does_names_the_command_that_does(tuned, name):
    task, verb, fits = REFUSED[name]
    place = tuned(name)
    with pytest.raises(UsageError, match=f"{task} does not fit .*{name}.*{fits}.*{verb}"):
        zoo.pipeline(task, place)


def test_images_become_codes_and_numbers_images(cut_off):
    image = Image.fromarray(np.arange(784, dtype=np.uint8).reshape(28, 28))
    pipe = zoo.pipeline("image-feature-extraction", "genae/vae-mnist")
    model, processor = zoo.from_pretrained("genae/vae-mnist"), pipe.image_processor
    with torch.no_grad():
        wanted = model.encode(processor(image, return_tensors="pt").pixel_values)
    torch.testing.assert_close(pipe(image, return_tensors=True), wanted)
    drawn = zoo.pipeline("unconditional-image-generation", "genae/vae-mnist")(3, seed=1)
    wanted = processor.post_process(model.sample(3, seed=1))
    assert [each.tobytes() for each in drawn] == [each.tobytes() for each in wanted]


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_model_enters_every_door_that_fits(name, cut_off):
    """Its folder within two seconds of work; what each pipeline gives is something."""
    started = time.process_time()
    place = zoo.resolve(name)
    assert time.process_time() - started < 2
    given, files = {}, {path.name for path in Path(place).iterdir()}
    assert transformers.AutoConfig.from_pretrained(place).model_type
    if "preprocessor_config.json" in files:
        processor, model = zoo.load_image_processor(name), zoo.from_pretrained(name)
        shape = (1, *model.config.data_shape)
        (image,) = processor.post_process(torch.zeros(shape))
        assert processor(image, return_tensors="pt").pixel_values.shape == shape
        given = {"image-feature-extraction": image, "unconditional-image-generation": 1}
    if "tokenizer.json" in files:
        tokenizer = zoo.load_tokenizer(name)
        given = dict.fromkeys(OF_TEXTS, tokenizer.convert_ids_to_tokens(20))
        given["fill-mask"] = tokenizer.mask_token
    for task in tasks_of(locate(name)) if given else ():
        assert len(zoo.pipeline(task, name)(given[task])) > 0


@pytest.mark.parametrize(
    ("task", "name", "says"),
    [
        ("fil-mask", POETRY, "Did you mean 'fill-mask'"),
        ("text-classification", POETRY, "pipelines are fill-mask, feature-extraction"),
        ("image-feature-extraction", "genae/vq-vae-fashion-mnist", "unconditional-image-gen"),
        ("unconditional-image-generation", "genae/infomax-fashion-mnist", "genae probe"),
        ("unconditional-image-generation", "genae/dde-gaussians-2d", "model of vectors"),
        ("text-generation", "genae/tiny-t5", "genae generate genae/tiny-t5"),
    ],
)
def test_tasks_that_do_not_fit_are_refused_with_those_that_do(task, name, says):
    with pytest.raises(UsageError, match=says):
        zoo.pipeline(task, name)


def test_half_numbers_are_not_silently_left_out():
    with pytest.raises(UsageError, match=r"pipe\.model\.to\(dtype\)"):
        zoo.pipeline("fill-mask", POETRY, dtype="float16")


def test_pulling_loads_no_torch():
    (said,) = commands(["pull", "genae/eae-mnist"])
    assert said.code == 0
    assert not {"torch", "transformers"} & {*said.loaded}
