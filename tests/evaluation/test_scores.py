"""Scores: hand-made counts, published examples, scikit-learn's and scipy's numbers, and laws."""

import math
import random
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support
from sklearn.preprocessing import MultiLabelBinarizer

from zoo.data.text.schemes import read_entities
from zoo.errors import UsageError
from zoo.scores import (
    Counts,
    accuracy,
    character_overlap,
    entity_counts,
    label_counts,
    macro_f1,
    micro,
    relation_counts,
    spearman,
)

#: Labels as the documentation of seqeval 1.2 has them, with the numbers that it gives for them.
SEQEVAL = [
    (
        [["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]],
        [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]],
        {"MISC": 0.0, "PER": 1.0},
        (0.5, 0.5, 0.8),
    ),
    (
        [["O", "O", "B-MISC", "I-MISC", "B-MISC", "O", "O"], ["B-PER", "I-PER", "O"]],
        [["O", "O", "B-MISC", "I-MISC", "B-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]],
        {"MISC": 0.5, "PER": 1.0},
        (2 / 3, 0.75, 0.9),
    ),
]

ENTITY = st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.integers(0, 3))
TEXTS = st.lists(st.tuples(st.sets(ENTITY), st.sets(ENTITY)), max_size=6)


@pytest.mark.parametrize(("true", "found", "by_type", "whole"), SEQEVAL, ids=["one", "two"])
def test_entities_score_as_in_the_examples_of_seqeval(true, found, by_type, whole):
    counts = entity_counts([*map(read_entities, true)], [*map(read_entities, found)])
    assert {kind: each.f1 for kind, each in counts.items()} == by_type
    assert (micro(counts).f1, macro_f1(counts)) == pytest.approx(whole[:2])
    assert accuracy([*chain(*true)], [*chain(*found)]) == pytest.approx(whole[2])


def test_counts_are_those_of_the_hand():
    true = [{("LOC", 0, 2), ("LOC", 4, 6), ("PER", 7, 9)}, set(), {("PER", 0, 1)}]
    found = [{("LOC", 0, 2), ("LOC", 4, 5)}, {("ORG", 0, 3)}, {("PER", 0, 1)}]
    counts = entity_counts(true, found)
    assert counts == {"LOC": Counts(1, 2, 2), "ORG": Counts(0, 1, 0), "PER": Counts(1, 1, 2)}
    whole = micro(counts)
    assert whole == Counts(2, 4, 4)
    assert (whole.precision, whole.recall, whole.f1) == (0.5, 0.5, 0.5)
    assert counts["PER"].f1 == pytest.approx(2 * 1 * 0.5 / (1 + 0.5))
    assert micro(counts, leave_out=["ORG"]) == Counts(2, 3, 4)
    assert macro_f1(counts) == pytest.approx((1 / 2 + 0 + 2 / 3) / 3)


def test_nothing_true_and_nothing_found_is_zero_as_in_seqeval_and_sklearn():
    assert (Counts().precision, Counts().recall, Counts().f1) == (0, 0, 0)
    for count in (entity_counts, relation_counts, label_counts):
        assert count([[], []], [[], []]) == {}
        assert count([], []) == {}
    assert micro({}) == Counts()
    assert macro_f1({}) == accuracy([], []) == 0
    assert f1_score([[0, 0]], [[0, 0]], average="micro", zero_division=0) == 0
    assert (Counts(0, 0, 3).f1, Counts(0, 3, 0).f1) == (0, 0)
    assert accuracy([[]], [[]]) == 1  # no label is right where none holds


@given(TEXTS, st.randoms(use_true_random=False))
def test_the_order_of_texts_is_nothing_and_what_is_right_is_1(texts, shuffled):
    true, found = [one for one, _ in texts], [other for _, other in texts]
    order = list(range(len(texts)))
    shuffled.shuffle(order)
    counts = entity_counts(true, found)
    assert entity_counts([true[at] for at in order], [found[at] for at in order]) == counts
    swapped = entity_counts(found, true)
    for kind, each in counts.items():
        assert swapped[kind] == Counts(each.correct, each.true, each.found)
        assert swapped[kind].f1 == each.f1
        assert 0 <= each.f1 <= 1
    perfect = entity_counts(true, true)
    assert all(each.f1 == 1 for each in perfect.values())
    assert micro(perfect).f1 == macro_f1(perfect) == float(any(true))


@given(TEXTS)
def test_the_sum_of_counts_is_that_of_one_long_text(texts):
    """Micro averages do not ask which text a thing stands in, if its place says so."""
    true = [{(kind, (at, *rest)) for kind, *rest in one} for at, (one, _) in enumerate(texts)]
    found = [{(kind, (at, *rest)) for kind, *rest in one} for at, (_, one) in enumerate(texts)]
    whole = entity_counts([set().union(*true)], [set().union(*found)])
    assert whole == entity_counts(true, found)
    assert micro(whole) == Counts(
        sum(len(one & other) for one, other in zip(true, found, strict=True)),
        sum(map(len, found)),
        sum(map(len, true)),
    )


def test_relations_are_compared_as_spans_or_as_texts_as_duie_does():
    text = "王之渙作登鸛雀樓。登鸛雀樓。王之渙。"
    true = [((0, 3), "作者", (4, 8))]
    found = [((14, 17), "作者", (9, 13)), ((0, 3), "作者", (4, 8)), ((0, 3), "朝代", (4, 8))]
    spans = relation_counts([true], [found])
    assert spans == {"作者": Counts(1, 2, 1), "朝代": Counts(0, 1, 0)}

    def spelled(relations):
        return [(text[slice(*s)], predicate, text[slice(*o)]) for s, predicate, o in relations]

    assert spelled(found)[:2] == [("王之渙", "作者", "登鸛雀樓")] * 2
    texts = relation_counts([spelled(true)], [spelled(found)])
    assert texts["作者"] == Counts(1, 1, 1)  # the same words twice count once


def test_labels_score_as_scikit_learn_has_it():
    choose = random.Random(0)
    names = "abcde"
    true, found = ([choose.choice(names) for _ in range(200)] for _ in range(2))
    counts = label_counts(true, found)
    theirs = precision_recall_fscore_support(true, found, labels=[*names])
    for place, name in enumerate(names):
        each = counts[name]
        mine = (each.precision, each.recall, each.f1, each.true)
        assert mine == pytest.approx([column[place] for column in theirs])
    assert macro_f1(counts) == pytest.approx(f1_score(true, found, average="macro"))
    assert micro(counts).f1 == pytest.approx(accuracy_score(true, found))
    some = f1_score(true, found, labels=[*names[1:]], average="micro")
    assert micro(counts, leave_out=["a"]).f1 == pytest.approx(some)


def test_several_labels_score_as_scikit_learn_has_it():
    choose = random.Random(1)
    true, found = (
        [{*choose.choices("abcd", k=choose.randrange(4))} for _ in range(100)] for _ in range(2)
    )
    counts = label_counts(true, found)
    table = MultiLabelBinarizer().fit([{*"abcd"}])
    wanted, got = table.transform(true), table.transform(found)
    for average, mine in (("micro", micro(counts).f1), ("macro", macro_f1(counts))):
        assert mine == pytest.approx(f1_score(wanted, got, average=average))
    assert accuracy(true, found) == pytest.approx(accuracy_score(wanted, got))
    numbers = [[ord(each) for each in sorted(labels)] for labels in true]
    assert micro(label_counts(numbers, numbers)).f1 == 1


def test_lengths_must_agree():
    for call in (label_counts, accuracy, spearman):
        with pytest.raises(ValueError, match="zip"):
            call([1, 0, 1], [1, 0])


def test_spearman_is_scipys_and_does_not_ask_for_the_scale():
    true, found = [0.0, 1.0, 1.0, 2.0, 5.0], [0.1, 0.4, 0.3, 0.3, 0.9]
    ranks = [stats.rankdata(values) for values in (true, found)]
    expected = stats.pearsonr(*ranks).statistic
    assert spearman(true, found) == pytest.approx(expected)
    assert spearman(true, [math.exp(3 * value) for value in found]) == pytest.approx(expected)
    assert spearman(true, true) == pytest.approx(1)
    assert spearman(true, [-value for value in true]) == pytest.approx(-1)


def test_spearman_of_what_ranks_nothing_is_zero():
    assert spearman([1, 2, 3], [0.5, 0.5, 0.5]) == spearman([1, 1], [1, 2]) == 0
    assert spearman([1, 2, 3], [0.1, math.nan, 0.3]) == 0
    with pytest.raises(UsageError, match="at least 2 pairs, got 1; give more"):
        spearman([1], [1])


def test_overlap_is_of_different_characters():
    assert character_overlap("aab", "abb") == 1
    assert character_overlap("ab", "bc") == pytest.approx(1 / 3)
    assert character_overlap("ab", "cd") == 0
    assert character_overlap("", "") == 1
