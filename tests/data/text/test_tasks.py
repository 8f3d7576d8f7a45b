"""What each task makes of texts."""

import sys

import datasets
import pytest
import torch

from zoo.data.text import TASKS, TextOptions, find_labels, train_tokenizer
from zoo.data.text.collators import IGNORED
from zoo.data.text.marked_collators import EntitiesCollator
from zoo.errors import MissingDependencyError, UsageError


def rows_of(task, table, tokenizer, **options):
    options = TextOptions(**options)
    rows = TASKS[task].prepare(table, tokenizer, options)
    return rows, TASKS[task].collator(tokenizer, options)


def test_masked_texts(table, characters, poems):
    rows, collator = rows_of("masked-lm", table, characters)
    assert [row["input_ids"] for row in rows] == characters(poems)["input_ids"]
    assert [row["length"] for row in rows] == [len(poem) + 2 for poem in poems]
    padded = collator.pad(list(rows))
    assert padded["input_ids"].shape == (6, max(rows["length"]))
    assert padded["attention_mask"].sum(1).tolist() == list(rows["length"])
    assert (padded["input_ids"][padded["attention_mask"] == 0] == 0).all()
    batch = collator.finish(padded)
    assert set(batch) == {"input_ids", "attention_mask", "labels"}
    chosen = batch["labels"] != IGNORED
    assert not (chosen & (padded["input_ids"] < 5)).any()


def test_for_a_model_without_a_mask_a_batch_is_as_long_as_any(table, poems):
    tokenizer = train_tokenizer(poems, "characters", 500)
    rows, collator = rows_of("masked-lm", table, tokenizer, max_length=50)
    with_mask = collator.pad(list(rows))
    assert with_mask["input_ids"].shape[1] < 50
    tokenizer.model_input_names = ["input_ids"]
    collator = TASKS["masked-lm"].collator(tokenizer, collator.options)
    padded = collator.pad(list(rows))
    batch = collator.finish(padded)
    assert set(batch) == {"input_ids", "labels"}
    assert {tuple(each.shape) for each in batch.values()} == {(6, 50)}
    length = with_mask["input_ids"].shape[1]
    assert torch.equal(padded["input_ids"][:, :length], with_mask["input_ids"])
    assert not padded["input_ids"][:, length:].any()
    assert (batch["labels"][:, length:] == IGNORED).all()


def test_a_step_masks_by_torchs_random_state_and_padding_does_not(table, characters):
    rows, collator = rows_of("masked-lm", table, characters)
    padded = collator.pad(list(rows))
    torch.manual_seed(5)
    state = torch.get_rng_state()
    collator.pad(list(rows))  # a loader that runs ahead
    assert torch.equal(torch.get_rng_state(), state)
    first, second = collator.finish(padded), collator.finish(padded)
    torch.set_rng_state(state)
    again = collator.finish(padded)
    assert torch.equal(first["labels"], again["labels"])
    assert not torch.equal(first["labels"], second["labels"])
    torch.set_rng_state(state)
    assert torch.equal(collator(list(rows))["input_ids"], first["input_ids"])


def test_whole_words_are_masked_whole(characters, monkeypatch):
    monkeypatch.setattr("zoo.data.text.encoding.jieba_words", lambda text: ["he", "l", text[3:]])
    rows, collator = rows_of(
        "masked-lm",
        datasets.Dataset.from_dict({"text": ["hello☃!"]}),
        characters,
        whole_words=True,
    )
    # h, e; l; l, o and two characters that are not in the vocabulary, which cannot be masked.
    assert rows[0]["words"] == [-1, 0, 0, 1, 2, 2, -1, -1, -1]
    for _ in range(30):
        first, second, _, third, fourth = (
            collator(list(rows))["labels"][0, 1:6] != IGNORED
        ).tolist()
        assert (first, third) == (second, fourth)


@pytest.mark.slow
def test_whole_words_are_those_of_jieba():
    table = datasets.Dataset.from_dict({"text": ["自然语言处理", "hello 明月"]})
    tokenizer = train_tokenizer(table["text"], "characters", 99)
    rows, _ = rows_of("masked-lm", table, tokenizer, whole_words=True)
    assert rows[0]["words"] == [-1, 0, 0, 0, 0, 1, 1, -1]
    assert rows[1]["words"] == [-1, 0, 0, 0, 0, 0, 1, 2, 2, -1]


def test_whole_words_without_jieba(table, characters, monkeypatch):
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(MissingDependencyError, match=r"genae\[chinese\]"):
        rows_of("masked-lm", table, characters, whole_words=True)


def test_causal_labels_are_the_tokens_without_padding(table, characters, poems):
    rows, collator = rows_of("causal-lm", table, characters)
    ids = characters(poems, add_special_tokens=False)["input_ids"]
    assert [row["input_ids"] for row in rows] == [[*each, 3] for each in ids]
    batch = collator(list(rows))
    read = batch["attention_mask"] == 1
    assert torch.equal(batch["labels"][read], batch["input_ids"][read])
    assert (batch["labels"][~read] == IGNORED).all()


def test_a_text_that_was_cut_has_no_end(characters, capsys):
    table = datasets.Dataset.from_dict({"text": ["月光", "月光月", "月光月光", "月光月光月"]})
    rows, _ = rows_of("causal-lm", table, characters, max_length=4)
    moon, light = characters.encode("月光", add_special_tokens=False)
    expected = [[moon, light, 3], [moon, light, moon, 3], [moon, light, moon, light]]
    assert [row["input_ids"] for row in rows] == [*expected, expected[-1]]
    said = "1 of 4 texts are longer than 4 tokens and were cut"
    assert capsys.readouterr().err == f"{said}\n"
    told: list[str] = []
    for note in (None, told.append):
        TASKS["causal-lm"].prepare(table, characters, TextOptions(max_length=4), note)
    assert told == [said]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("task", ["causal-lm", "masked-lm"])
def test_packing_joins_all_texts(task, streaming, table, characters, poems):
    texts = table.to_iterable_dataset() if streaming else table
    rows, collator = rows_of(task, texts, characters, max_length=16, packing=True)
    ids = characters(poems, add_special_tokens=False)["input_ids"]
    joined = [token for each in ids for token in [*each, 3]]
    for _ in range(2):  # epochs
        blocks = [row["input_ids"] for row in rows]
        assert {len(block) for block in blocks} == {16}
        inner = [token for block in blocks for token in block[task == "masked-lm" :]]
        assert inner == joined[: len(inner)]
        assert len(joined) - len(inner) < 16
    batch = collator(list(rows))
    if task == "causal-lm":
        assert torch.equal(batch["labels"], batch["input_ids"])
    else:
        assert (batch["input_ids"][:, 0] == 2).all()
        assert (batch["labels"][:, 0] == IGNORED).all()


def test_streams_can_be_shuffled(table, characters):
    for packing in (False, True):
        rows, _ = rows_of(
            "causal-lm", table.to_iterable_dataset(), characters, packing=packing, max_length=16
        )
        plain = sorted(row["input_ids"] for row in rows)
        shuffled = rows.shuffle(seed=0, buffer_size=10)
        orders = []
        for epoch in (0, 1, 0):
            shuffled.set_epoch(epoch)
            orders.append([row["input_ids"] for row in shuffled])
        assert orders[0] == orders[2] != orders[1]
        assert sorted(orders[0]) == sorted(orders[1]) == plain


def test_packing_keeps_words_apart():
    from zoo.data.text.packing import Packer

    packer = Packer(6, 3, ([2], []))
    rows = {"input_ids": [[7, 7, 8], [9], [10, 11, 11]], "words": [[0, 0, 1], [0], [0, 1, 1]]}
    blocks = packer(rows)
    assert blocks["input_ids"] == [[2, 7, 7, 8, 3, 9], [2, 3, 10, 11, 11, 3]]
    assert blocks["words"] == [[-1, 0, 0, 1, -1, 2], [-1, -1, 0, 1, 1, -1]]


def test_pairs_of_sources_and_targets(capsys):
    table = datasets.Dataset.from_dict(
        {"zh": ["月光", "月", " ", "光光光光"], "en": ["ab", "a", "b", "b"], "x": [1, 2, 3, 4]}
    )
    tokenizer = train_tokenizer(["月光ab"], "characters", 99, template="[SEP]")
    rows, collator = rows_of("seq2seq", table, tokenizer, columns=("zh", "en"), max_length=4)
    assert len(rows) == 3
    batch = collator(list(rows))
    moon, light, a, b = tokenizer.encode("月光ab", add_special_tokens=False)
    assert batch["input_ids"].tolist()[0] == [moon, light, 3, 0]
    assert batch["input_ids"].tolist()[2] == [light, light, light, 3]
    assert batch["labels"].tolist() == [[a, b, 3], [a, 3, IGNORED], [b, 3, IGNORED]]
    assert batch["attention_mask"].sum(1).tolist() == [3, 2, 4]
    assert "1 of 4 texts are longer than 4 tokens" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "names", "numbers"),
    [
        ([1, 0, 2], ("0", "1", "2"), [1, 0, 2]),
        (["1", "0", "3"], ("0", "1", "2", "3"), [1, 0, 3]),
        (["good", "bad", "good"], ("bad", "good"), [1, 0, 1]),
        ([1.0, 0.0, 1.0], ("0", "1"), [1, 0, 1]),
    ],
)
def test_classes(values, names, numbers, characters):
    table = datasets.Dataset.from_dict({"text": ["月", "光", "月光"], "label": values})
    found = find_labels(table, "label")
    assert found == names
    rows, collator = rows_of("classification", table, characters, labels=found)
    assert collator(list(rows))["labels"].tolist() == numbers


def test_classes_that_a_data_set_names(characters):
    kind = datasets.ClassLabel(names=["no", "yes"])
    features = datasets.Features({"text": datasets.Value("string"), "label": kind})
    table = datasets.Dataset.from_dict({"text": ["月", "光"], "label": [1, 1]}, features)
    assert find_labels(table, "label") == ("no", "yes")


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (("1", "2", "3"), [0, 1, 2, 1]),  # names that look like numbers of other classes
        (("3", "2", "1"), [2, 1, 0, 1]),
        (("low", "middle", "high"), [0, 1, 2, 1]),  # none of the names: by number
    ],
)
def test_numbers_of_a_data_set_are_read_by_its_names(known, expected, characters):
    kind = datasets.ClassLabel(names=["1", "2", "3"])
    text = datasets.Value("string")
    one = datasets.Features({"text": text, "label": kind})
    table = datasets.Dataset.from_dict({"text": ["月"] * 4, "label": [0, 1, 2, 1]}, one)
    for each in (table, table.to_iterable_dataset()):
        rows, _ = rows_of("classification", each, characters, labels=known)
        assert [row["labels"] for row in rows] == expected
    words = datasets.Features({"tokens": datasets.List(text), "tags": datasets.List(kind)})
    table = datasets.Dataset.from_dict({"tokens": [["月"] * 4], "tags": [[0, 1, 2, 1]]}, words)
    head = {"kind": "token_classifier"}
    rows, _ = rows_of("tags", table, characters, labels=known, head=head)
    assert rows[0]["labels"] == [IGNORED, *expected, IGNORED]


def test_pairs_of_texts_are_classified(characters):
    table = datasets.Dataset.from_dict({"a": ["月"], "b": ["光"], "label": [0]})
    rows, _ = rows_of("classification", table, characters, columns=("a", "b"), labels=("x",))
    assert rows[0]["input_ids"] == characters("月", "光")["input_ids"]


def test_a_token_has_the_label_of_its_word():
    tokenizer = train_tokenizer(["abcde "] * 3, "characters", 99)
    table = datasets.Dataset.from_dict(
        {"tokens": [["ab", "e"], ["cd"]], "tags": [["B", "O"], ["B"]]}
    )
    for head, edge in (("token_classifier", IGNORED), ("crf", 0)):
        rows, collator = rows_of(
            "tags", table, tokenizer, labels=("O", "B", "I"), head={"kind": head}
        )
        assert collator(list(rows))["labels"].tolist() == [
            [edge, 1, 2, 0, 0, edge],
            [edge, 1, 2, edge, IGNORED, IGNORED],
        ]


def test_texts_cannot_pass_for_special_tokens(characters):
    table = datasets.Dataset.from_dict({"text": ["月[MASK]光[SEP]"]})
    rows, _ = rows_of("masked-lm", table, characters)
    assert not {3, 4} & set(rows[0]["input_ids"][1:-1])


def test_what_has_no_token_is_left_out(characters):
    table = datasets.Dataset.from_dict({"text": ["", "月", "☃"]})
    rows, _ = rows_of("masked-lm", table, characters)
    assert list(rows["length"]) == [3]
    with pytest.raises(UsageError, match="nothing is left of 2 texts"):
        rows_of("masked-lm", table.select([0, 2]), characters)
    with pytest.raises(UsageError, match="nothing is left"):
        list(rows_of("masked-lm", table.select([0, 2]).to_iterable_dataset(), characters)[0])
    with pytest.raises(UsageError, match="less than one block of 64 tokens"):
        rows_of("causal-lm", table, characters, packing=True, max_length=64)


def test_a_token_that_no_other_follows_teaches_nothing(poems):
    characters = train_tokenizer(poems, "characters", 500)
    characters.eos_token = characters.sep_token = None
    table = datasets.Dataset.from_dict({"text": ["月", "月光", "光"]})
    rows, _ = rows_of("causal-lm", table, characters)
    assert list(rows["length"]) == [2]
    rows, _ = rows_of("causal-lm", table, characters, packing=True, max_length=4)
    assert list(rows["input_ids"]) == [
        characters("月月光光", add_special_tokens=False)["input_ids"]
    ]


REFUSED = [
    ("masked-lm", {"text": [1, 2]}, {}, "row 0: the column text has 1 where"),
    ("masked-lm", {"text": ["a"]}, {"columns": ("a", "b")}, "takes 1 columns of texts, got 2"),
    ("seq2seq", {"text": ["a"]}, {"columns": ("text",)}, "takes 2 columns of texts, got 1"),
    ("seq2seq", {"source": ["a"], "target": ["b"]}, {"packing": True}, "leave packing out"),
    ("causal-lm", {"text": ["a"]}, {"whole_words": True}, "leave whole_words out"),
    ("classification", {"text": ["a"], "label": [0]}, {}, "names of its classes"),
    (
        "classification",
        {"text": ["a"], "label": [2]},
        {"labels": ("x", "y")},
        "label has the label 2",
    ),
    ("classification", {"text": ["a"], "label": ["z"]}, {"labels": ("x", "y")}, "label 'z'"),
    ("classification", {"text": ["a"], "label": [-1]}, {"labels": ("x",)}, "label -1"),
    ("tags", {"tokens": [["a", "b"]], "tags": [["x"]]}, {"labels": ("x",)}, "2 words and 1 lab"),
    ("tags", {"tokens": [["a", None]], "tags": [["x", "x"]]}, {"labels": ("x",)}, "None is no wo"),
    ("tags", {"tokens": ["a b"], "tags": ["x x"]}, {"labels": ("x",)}, "row 0: has no tags, only"),
]


@pytest.mark.parametrize(("task", "columns", "options", "expected"), REFUSED)
def test_what_is_refused(task, columns, options, expected, characters):
    with pytest.raises(UsageError, match=expected):
        rows_of(task, datasets.Dataset.from_dict(columns), characters, **options)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_length": 1}, "at least 2"),
        ({"mask_rate": 0.0}, "above 0"),
        ({"group_by_length": True, "packing": True}, "one length"),
        ({"group_by_length": True, "streaming": True}, "not known"),
    ],
)
def test_options_out_of_range(options, expected):
    with pytest.raises(UsageError, match=expected):
        TextOptions(**options)


def test_labels_that_are_no_classes():
    for values, expected in (
        ([0.5], "0.5"),
        ([[]], "no labels"),
        ([None], "None"),
        (["x", " "], "an empty cell"),
        ([{"a": 1}], "'a': 1"),
        ([[["x"]]], "'x'"),
    ):
        with pytest.raises(UsageError, match=expected):
            find_labels(datasets.Dataset.from_dict({"label": values}), "label")


@pytest.mark.parametrize(
    ("head", "shape"),
    [
        ({"kind": "global_pointer"}, (1, 2, 5, 5)),  # whose own loss is dense
        ({"kind": "global_pointer", "loss": "dense"}, (1, 2, 5, 5)),
        ({"kind": "global_pointer", "loss": "sparse"}, (1, 2, 1, 2)),
    ],
    ids=["unsaid", "dense", "sparse"],
)
def test_labels_of_pointers_are_as_the_loss_of_their_head_takes_them(head, shape, characters):
    collator = EntitiesCollator(characters, TextOptions(labels=("LOC", "PER"), head=head))
    row = {"input_ids": [2, 5, 6, 7, 3], "spans": [1, 1, 2]}
    labels = collator.finish(collator.pad([row]))["labels"]
    assert labels.shape == shape
    if shape[-1] == 5:
        assert labels.nonzero().tolist() == [[0, 1, 1, 2]]
    else:
        assert labels[0, 1].tolist() == [[1, 2]]
