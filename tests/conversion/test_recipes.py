"""bert4keras's recipes on the page: every line that replaces theirs runs, on tiny models."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from transformers import BertConfig, BertForPreTraining

import convert
import zoo
import zoo.models
from tests.conversion.records import FIXTURES
from zoo.registry import resolve

PAGES = ("convert/RECIPES.md", "convert/RECIPES.zh-CN.md")
ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CHINESE = "chinese_L-12_H-768_A-12"


def sections(page):
    """The blocks of each recipe by the name in its heading: the language and the text of each."""
    parts = re.split(r"^## ", (ROOT / page).read_text("utf-8"), flags=re.MULTILINE)[1:]
    return {
        re.search(r"`(\w+)`", part.partition("\n")[0])[1]: BLOCK.findall(part) for part in parts
    }


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory):
    """A folder with a small BERT as Google saved its own, and the same converted."""
    place = tmp_path_factory.mktemp("recipes")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 6, "num_attention_heads": 2}
    tokenizer = zoo.load_tokenizer("genae/tiny-bert")
    config = BertConfig(vocab_size=len(tokenizer), intermediate_size=20, **sizes)
    BertForPreTraining(config).save_pretrained(place / "made")
    shutil.copy(Path(resolve("genae/tiny-bert")) / "vocab.txt", place / "made")
    convert.export_checkpoint(place / "made", place / CHINESE, to="tf-checkpoint")
    convert.convert_checkpoint(place / CHINESE, place / "out/bert")
    return place


@pytest.fixture
def workplace(pretrained, tmp_path, monkeypatch):
    """The folder in which a recipe is run."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/bert").symlink_to(pretrained / "out/bert")
    (tmp_path / CHINESE).symlink_to(pretrained / CHINESE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def saved(place, name, source, labels=(), **settings):
    """A fine-tuned model of random weights, as bert4keras's `save_weights` leaves it."""
    owner = zoo.models if hasattr(zoo.models, name) else transformers
    made = getattr(owner, name).from_pretrained(source, **settings)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    made.save_pretrained(place / "made")
    shutil.copy(Path(source) / "vocab.txt", place / "made")
    convert.export_checkpoint(place / "made", place / "left", to="keras-hdf5")
    shutil.move(place / "left/model.weights", place / "best_model.weights")
    for file in ("bert_config.json", "vocab.txt"):
        shutil.move(place / "left" / file, place / file)
    (place / "labels.txt").write_text("".join(f"{label}\n" for label in labels), "utf-8")


def table(place, name, rows):
    """A table with a header, apart by tabs or commas."""
    sign = "\t" if name.endswith("tsv") else ","
    lines = [sign.join(rows[0]), *(sign.join(row.values()) for row in rows)]
    (place / name).write_text("".join(f"{line}\n" for line in lines), "utf-8")


def lines(place, name, rows):
    """A file of JSON lines."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (place / name).write_text(text, "utf-8")


REVIEWS = [
    {"text": f"{said}{number}", "label": label}
    for number in range(8)
    for said, label in (("房间小服务不好", "0"), ("书很好看", "1"))
]
BERT, ALBERT = ("genae/tiny-bert", "genae/tiny-albert")


def sentiment(place):
    albert = resolve(ALBERT)
    saved(place, "AlbertForSequenceClassification", albert, ("差评", "好评"), num_labels=2)
    table(place, "sentiment.tsv", REVIEWS)


def similarity(place):
    saved(place, "BertForSequenceClassification", resolve(BERT), num_labels=2)
    pairs = [{"text1": "天气好吗", "text2": one["text"], "label": one["label"]} for one in REVIEWS]
    table(place, "lcqmc.tsv", pairs)


NEWS = "海 O\n钓 O\n在 O\n厦 B-LOC\n门 I-LOC\n\n李 B-PER\n白 I-PER\n说 O\n\n"


def entities(place):
    (place / "example.train").write_text(NEWS * 4, "utf-8")
    heads = {"tags": {"kind": "crf", "lr_multiplier": 1000.0}}
    names = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    saved(place, "BertForCRFTokenClassification", resolve(BERT), names, num_labels=5, heads=heads)


def words(place):
    (place / "pku_training.utf8").write_text("我们 在 厦门\n李白 是 唐代 诗人\n" * 4, "utf-8")
    heads = {"tags": {"kind": "crf", "lr_multiplier": 1.0}}
    saved(place, "BertForCRFTokenClassification", resolve(BERT), "SBME", num_labels=4, heads=heads)


def spans(place):
    marked = {"PER": {"李白": [[0, 1]]}, "LOC": {"厦门": [[3, 4]]}}
    lines(place, "cluener.json", [{"text": "李白在厦门", "label": marked}] * 8)
    heads = {"entities": {"kind": "global_pointer", "size": 8}}
    names = ("LOC", "PER", "ORG")
    saved(place, "BertForEntityPointers", resolve(BERT), names, num_labels=3, heads=heads)


def triples(place):
    triple = {"subject": "李白", "predicate": "朝代", "object": "唐代"}
    other = {"subject": "李白", "predicate": "职业", "object": "诗人"}
    lines(place, "duie.json", [{"text": "李白是唐代诗人", "spo_list": [triple, other]}] * 8)


def linked(place):
    triples(place)
    heads = {"relations": {"kind": "gplinker", "size": 8}}
    names = ("作者", "朝代", "职业")
    saved(place, "BertForRelationPointers", resolve(BERT), names, num_labels=3, heads=heads)


def halves(place):
    triples(place)
    heads = {"relations": {"kind": "half_pointer"}}
    names = ("作者", "朝代", "职业")
    saved(place, "BertForHalfPointerRelations", resolve(BERT), names, num_labels=3, heads=heads)


def titles(place):
    saved(place, "GenaeBertForCausalLM", resolve("genae/tiny-unilm"))
    lines(place, "news.jsonl", [{"content": "夏天来了天很热" * 9, "title": "夏天"}] * 4)


def classes(place):
    for file in ("best_model.weights", "bert_config.json", "vocab_simplified.txt"):
        shutil.copy(FIXTURES / "finetuned/conditional_lm" / file, place / file)
    (place / "labels.txt").write_text("差评\n好评\n", "utf-8")
    table(place, "sentiment.tsv", REVIEWS)


def reviews(place):
    table(place, "sentiment.tsv", REVIEWS)


def apps(place):
    table(place, "iflytek.csv", REVIEWS)


def slots(place):
    saved(place, "BertForMaskedLM", place / "out/bert")
    row = {"question": "谁字太白", "passage": "李白字太白", "answer": "李白"}
    lines(place, "webqa.jsonl", [row] * 4)


def vectors(place):
    saved(place, "GenaeBertForCausalLM", resolve("genae/tiny-simbert"))


#: The files of each recipe, by the name of bert4keras's example.
FILES = {
    "task_sentiment_albert": sentiment,
    "task_sentence_similarity_lcqmc": similarity,
    "task_sequence_labeling_ner_crf": entities,
    "task_sequence_labeling_cws_crf": words,
    "CLUENER_GlobalPointer": spans,
    "duie_v1": linked,
    "task_relation_extraction": halves,
    "task_seq2seq_autotitle": titles,
    "task_conditional_language_model": classes,
    "task_iflytek_adversarial_training": apps,
    "task_iflytek_gradient_penalty": apps,
    "task_sentiment_virtual_adversarial_training": reviews,
    "task_iflytek_bert_of_theseus": apps,
    "task_reading_comprehension_by_mlm": slots,
    "task_sentiment_r_drop": reviews,
    "basic_extract_features": vectors,
}
#: Those that are run each time.
QUICK = ("task_seq2seq_autotitle", "basic_extract_features")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in FILES],
)
def test_what_takes_the_place_of_a_recipe_runs(name, workplace, run):
    FILES[name](workplace)
    names = {}
    ran = 0
    for language, text in sections(PAGES[0])[name]:
        if language == "python":
            exec(compile(text, name, "exec"), names)
        for line in text.splitlines() if not language else ():
            words = shlex.split(line, comments=True)
            assert words[0] == "genae", line
            done = run(*words[1:])
            assert done.code == 0, f"{line}\n{done.err}"
            ran += 1
    assert ran


def test_every_recipe_has_its_files_and_its_old_calls():
    found = sections(PAGES[0])
    assert found.keys() == FILES.keys()
    assert all(blocks[0][0] == "py" for blocks in found.values())


@pytest.mark.parametrize("page", PAGES[1:])
def test_both_languages_have_the_same_blocks(page):
    assert sections(page) == sections(PAGES[0])


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page):
    place = ROOT / page
    links = re.findall(r"\]\(([^)#]+)", place.read_text("utf-8"))
    assert links
    assert not [one for one in links if "://" not in one and not (place.parent / one).exists()]
