"""Other names for the same layers: what is read, and that the result is the same."""

import numpy as np
import pytest

from convert.dialects import Dialect, Rule, translated
from convert.ops import TRANSPOSE, merge, part, then
from convert.readers.base import Checkpoint, boxes
from convert.views import Held
from zoo.errors import IntegrityError


def held(**arrays):
    """A checkpoint in memory; `__` in names is `/`."""
    tensors = {
        name.replace("__", "/"): Held(array, name.replace("__", "/"))
        for name, array in arrays.items()
    }
    return Checkpoint("tf_bundle", [], tensors)


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (merge(0), lambda a: a.reshape(6, 4)),
        (merge(1), lambda a: a.reshape(2, 12)),
        (part(2, 1, 2), lambda a: a[..., 2:]),
        (part(0, 0, 2), lambda a: a[:1]),
        (then(merge(1), TRANSPOSE), lambda a: a.reshape(2, 12).T),
        (then(merge(1), part(1, 2, 3)), lambda a: a.reshape(2, 12)[:, 8:]),
    ],
)
def test_an_operation_gives_any_box_of_its_result(op, expected):
    array = np.arange(24.0).reshape(2, 3, 4)
    made, wanted = op.view(Held(array)), expected(array)
    assert made.shape == wanted.shape
    for most in (1, 2, 5, 7, 100):
        for box in boxes(made.shape, most):
            assert np.array_equal(made.block(box), wanted[box])


def test_operations_refuse_axes_that_are_not_there():
    flat = Held(np.zeros((2, 3)))
    with pytest.raises(IntegrityError, match="no axes 1 and 2"):
        merge(1).view(flat)
    with pytest.raises(IntegrityError, match="not 2 parts"):
        part(1, 0, 2).view(flat)


TOY = Dialect(
    "toy",
    "a toy",
    r"block1/split/kernel",
    (
        Rule(r"block(?P<i>\d+)/split/kernel", "bert/{i}/left", part(0, 0, 2)),
        Rule(r"block(?P<i>\d+)/split/kernel", "bert/{i}/right", part(0, 1, 2)),
        Rule(r"block(?P<i>\d+)/seen", dropped="a counter"),
    ),
    (Rule(r"head/(?P<w>kernel|bias)", "cls/{w}"),),
    first=1,
)


def test_rules_name_split_number_and_leave_out():
    kernel = np.arange(8.0).reshape(4, 2)
    checkpoint = held(
        net__body__block1__split__kernel=kernel,
        net__body__block1__seen=np.zeros(()),
        net__head__bias=np.ones(2),
        other=np.ones(3),
        body__block2__seen=np.ones(4),
    )
    (naming,) = translated([TOY], checkpoint)
    assert naming.names == {
        "bert/0/left": "net/body/block1/split/kernel",
        "bert/0/right": "net/body/block1/split/kernel",
        "cls/bias": "net/head/bias",
        "other": "other",
        "body/block2/seen": "body/block2/seen",
    }
    assert naming.dropped == {"net/body/block1/seen": "a counter"}
    assert naming.shapes(checkpoint)["bert/0/right"] == (2, 2)
    right = naming.op("bert/0/right").view(checkpoint["net/body/block1/split/kernel"])
    assert np.array_equal(right.numpy(), kernel[2:])
    assert any("a toy" in note for note in naming.notes)
    assert any("net/body/" in note for note in naming.notes)


def test_a_dialect_does_not_apply_where_names_would_be_one_or_axes_are_others():
    twice = held(
        block1__split__kernel=np.zeros((4, 2)), head__bias=np.ones(2), cls__bias=np.ones(2)
    )
    odd = held(block1__split__kernel=np.zeros((3, 2)))
    assert not list(translated([TOY], twice))
    assert not list(translated([TOY], odd))
    assert not list(translated([TOY], held(block1__kernel=np.zeros((4, 2)))))
