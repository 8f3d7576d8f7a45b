"""Programs that write texts: from a cache as from whole texts, and in NumPy as in PyTorch."""

import re

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

import zoo
import zoo.models
from tests.contract.subjects import randomize
from tests.tiny import TINY
from zoo import catalog
from zoo.exporting.export import export
from zoo.exporting.graphs import graphs

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
BLOCK = re.compile(r"```python\n(.*?)```", re.S)
#: Rows of the catalog, their variants, and the heads that write.
ENCODER_DECODERS = [
    ("t5", "plain", "ForConditionalGeneration"),
    ("mt5", "gated", "ForConditionalGeneration"),
    ("genae_t5", "plain", "ForConditionalGeneration"),
    ("genae_t5", "tied", "ForConditionalGeneration"),
    ("synthesizer", "mixed", "ForConditionalGeneration"),
    ("synthesizer", "t5", "ForConditionalGeneration"),
]
DECODERS = [
    ("gpt2", "plain", "LMHeadModel"),
    ("genae_gpt", "segments", "ForCausalLM"),
    ("genae_bert", "prefix", "ForCausalLM"),
    ("synthesizer", "layers", "ForCausalLM"),
]
NAMES = ("name", "variant", "head")


def build(name, variant, head, **options):
    """A model in eval mode, as if trained."""
    entry = catalog.ARCHITECTURES[name]
    stem = catalog.class_name(entry.config).removesuffix("Config")
    kind = catalog.load(f"{entry.model.partition(':')[0]}:{stem}{head}")
    torch.manual_seed(0)
    model = kind(catalog.load(entry.config)(**TINY[name][variant] | options)).eval()
    randomize(model)
    return model


def save_tokenizer(folder, size):
    """One of letters, with the tokens that begin and end a text."""
    words = [*SPECIAL, *"今天气很好Theweatrisfn"]
    vocab = {word: number for number, word in enumerate(dict.fromkeys(words))}
    vocab |= {f"[unused{number}]": number for number in range(len(vocab), size)}
    made = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=False)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    roles = zip(("pad", "unk", "cls", "sep", "mask"), SPECIAL, strict=True)
    PreTrainedTokenizerFast(
        tokenizer_object=made, **{f"{role}_token": token for role, token in roles}
    ).save_pretrained(folder)


@pytest.mark.parametrize(NAMES, [*ENCODER_DECODERS, ("t5", "plain", "Model")])
def test_a_decoder_goes_on_from_its_cache(name, variant, head):
    """From an empty cache, in steps of two tokens and one: the scores of whole texts."""
    model = build(name, variant, head)
    given = "last_hidden_state" if head == "Model" else "logits"
    encoder, decoder = graphs(model)
    source, tokens = encoder.examples(2, 5), torch.randint(1, 30, (2, 5))
    start = decoder.examples(2, 1)
    with torch.no_grad():
        wanted = model(**source, decoder_input_ids=tokens, decoder_attention_mask=tokens != 0)
        cross = encoder.module(**source)["cross_key_values"]
        cache, scores = start["past_key_values"], []
        for begin, end in ((0, 2), (2, 3), (3, 5)):
            found = decoder.module(
                decoder_input_ids=tokens[:, begin:end],
                decoder_attention_mask=torch.ones((2, end), dtype=torch.long),
                attention_mask=source["attention_mask"],
                past_key_values=cache,
                cross_key_values=cross,
            )
            cache = found["past_key_values"]
            scores.append(found[given])
    torch.testing.assert_close(torch.cat(scores, 1), wanted[given], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(NAMES, [*ENCODER_DECODERS, *DECODERS])
def test_texts_are_written_without_pytorch_as_the_page_says(
    name, variant, head, tmp_path, monkeypatch, capsys
):
    pytest.importorskip("onnxruntime")
    model = build(name, variant, head)
    model.save_pretrained(tmp_path / "model")
    save_tokenizer(tmp_path / "model", model.config.vocab_size)
    made = export(tmp_path / "model", tmp_path / "out", to="onnx")
    assert all(
        far < 1e-4
        for graph in made.parity.values()
        for far in graph["relative_difference"].values()
    )
    monkeypatch.chdir(tmp_path / "out")
    (block,) = BLOCK.findall((tmp_path / "out/README.md").read_text("utf-8"))
    assert "torch" not in block
    assert "transformers" not in block
    capsys.readouterr()
    found = {}
    exec(block, found)
    text = re.search(r"encode\('(.*?)'\)", block).group(1)
    steps = int(re.search(r"range\((\d+)\)", block).group(1))
    wanted = zoo.generate(tmp_path / "model", text, greedy=True, max_new_tokens=steps)
    assert capsys.readouterr().out == wanted.texts[0] + "\n"
    assert len(found["ids"]) > 2


def test_a_model_without_a_tokenizer_and_one_of_conditions_have_no_lines(tmp_path):
    from zoo.exporting import generating, writing

    model = build("genae_t5", "plain", "ForConditionalGeneration")
    assert writing._writing(model, str(tmp_path), "it") is None
    model.config.condition_size = 3
    assert generating.recipe(model, None) is None
