"""The best paths of labels: recorded ones, and all paths tried one by one."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.models.text.viterbi import n_best, viterbi

RECORDED = Path(__file__).resolve().parents[1] / "fixtures" / "layers"


@pytest.mark.parametrize("name", ["crf_lr1", "crf_lr100"])
def test_paths_are_the_recorded_ones(name):
    with np.load(RECORDED / f"{name}.npz") as arrays:
        given = {key: torch.from_numpy(value) for key, value in arrays.items()}
    for emissions in (given["emission"], given["masked_emission"]):
        for stem, rules in (
            ("viterbi", {}),
            ("viterbi_startend", {"starts": [0, 2], "ends": [0, 3]}),
        ):
            found = viterbi(emissions, given["trans"], given["mask"], **rules)
            assert found == [given[f"{stem}_{row}"].tolist() for row in range(3)]


def scored(emissions, trans, starts=None, ends=None, forbidden=()):
    """Every allowed path and its score, best first."""
    found = []
    for path in itertools.product(range(len(trans)), repeat=len(emissions)):
        pairs = list(itertools.pairwise(path))
        allowed = starts is None or path[0] in starts
        allowed = allowed and (ends is None or path[-1] in ends)
        if allowed and not set(pairs) & set(forbidden):
            score = sum(emissions[place][label] for place, label in enumerate(path))
            found.append((score + sum(trans[i][j] for i, j in pairs), path))
    return sorted(found, reverse=True)


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"starts": [0, 2]},
        {"ends": [1]},
        {"starts": [1], "ends": [0, 2], "forbidden": [(1, 1), (0, 2), (2, 1)]},
    ],
)
def test_the_best_paths_are_the_best_of_all(rules):
    emissions, trans = torch.randn(3, 5, 3).double(), torch.randn(3, 3).double()
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 1, 0, 1, 0]])
    found = n_best(emissions, trans, 6, mask, **rules)
    assert viterbi(emissions, trans, mask, **rules) == [paths[0][0] for paths in found]
    for row in range(3):
        kept = emissions[row][mask[row].bool()].tolist()
        wanted = scored(kept, trans.tolist(), **rules)[:6]
        assert [path for path, _ in found[row]] == [list(path) for _, path in wanted]
        scores = torch.tensor([score for _, score in found[row]])
        torch.testing.assert_close(scores, torch.tensor([score for score, _ in wanted]))


def test_among_equal_paths_the_lower_labels_win():
    emissions, trans = torch.zeros(1, 4, 3), torch.zeros(3, 3)
    assert viterbi(emissions, trans) == [[0, 0, 0, 0]]
    # As bert4keras breaks ties: by the last label first, then by that before it.
    (paths,) = n_best(emissions, trans, 4)
    assert paths[0] == ([0, 0, 0, 0], 0.0)
    assert [path for path, _ in paths] == [[label, 0, 0, 0] for label in (0, 1, 2)] + [
        [0, 1, 0, 0]
    ]


def test_a_matrix_of_what_is_forbidden_is_the_same_as_pairs():
    emissions, trans = torch.randn(2, 6, 4), torch.randn(4, 4)
    pairs = [(0, 1), (3, 3), (2, 0)]
    matrix = torch.zeros(4, 4)
    for first, second in pairs:
        matrix[first, second] = 1
    found = viterbi(emissions, trans, forbidden=pairs)
    assert found == viterbi(emissions, trans, forbidden=matrix)
    assert not {pair for path in found for pair in itertools.pairwise(path)} & set(pairs)


def test_where_no_path_is_left_there_is_one_of_no_score():
    emissions, trans = torch.randn(1, 1, 3), torch.randn(3, 3)
    ((path, score),) = n_best(emissions, trans, 2, starts=[0], ends=[1])[0]
    assert (path, score) == ([0], -math.inf)
    assert viterbi(emissions, trans, torch.zeros(1, 1)) == [[]]
    with pytest.raises(ValueError, match="at least 1, got 0"):
        n_best(emissions, trans, 0)


def test_a_long_batch_takes_no_gradient_and_little_time():
    emissions = torch.randn(8, 256, 9, requires_grad=True)
    found = viterbi(emissions, torch.randn(9, 9, requires_grad=True))
    assert [len(path) for path in found] == [256] * 8
