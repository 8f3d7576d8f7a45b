"""Which function a name of an activation means: bert4keras's names, Keras 2's, other libraries'.

A name is taken for the function that its library computes by it. None is guessed from its
spelling: `gelu_fast` and `gelu_erf` look alike and give other numbers.
"""

from __future__ import annotations

from zoo.errors import UsageError

#: bert4keras's names -> transformers' (of several of one function, an export takes the first).
ACTIVATIONS = {
    "gelu_erf": "gelu",
    "gelu_tanh": "gelu_pytorch_tanh",
    "relu": "relu",
    "swish": "silu",
    "silu": "silu",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "linear": "linear",
}

#: Other libraries' names of the same functions: transformers', fairseq's (`gelu_accurate`),
#: keras-nlp's (`gelu_approximate`), Megatron's (`openai_gelu`, `erf_gelu`).
ALIASES = {
    "gelu_python": "gelu",
    "erf_gelu": "gelu",
    "gelu_new": "gelu_pytorch_tanh",
    "gelu_fast": "gelu_pytorch_tanh",
    "gelu_accurate": "gelu_pytorch_tanh",
    "gelu_approximate": "gelu_pytorch_tanh",
    "gelu_pytorch_tanh": "gelu_pytorch_tanh",
    "gelu_python_tanh": "gelu_pytorch_tanh",
    "openai_gelu": "gelu_pytorch_tanh",
}

#: Names of bert4keras and Keras that transformers lacks, or means otherwise by (`leaky_relu` has
#: a slope of 0.2 here, 0.01 there): our models alone compute them, in
#: `zoo/models/text/activations.py`.
OWN_ACTIVATIONS = (
    *("leaky_relu", "elu", "selu", "softplus", "softsign", "exponential", "hard_sigmoid"),
    "softmax",
)

#: Functions that transformers has under these names and bert4keras lacks.
BEYOND = {
    name: name
    for name in (
        *("gelu_10", "hardswish", "laplace", "mish", "quick_gelu", "relu2", "relu6"),
        "sqrtsoftplus",
    )
} | {"hard_swish": "hardswish", "hard_silu": "hardswish"}

#: Functions with weights of their own, which no legacy checkpoint has.
WEIGHTED = ("prelu", "xielu")

KNOWN = ACTIVATIONS | ALIASES | {own: own for own in OWN_ACTIVATIONS} | BEYOND

#: Both forms of gelu, as transformers calls them.
GELUS = ("gelu", "gelu_pytorch_tanh")


def word_of(name: object) -> str:
    """A name in the spelling of the tables: Google's code reads `GELU` and `gelu` alike."""
    return name.strip().lower().replace("-", "_") if isinstance(name, str) else ""


def is_plain_gelu(name: object) -> bool:
    """Whether a name leaves open which of the two forms it means."""
    return word_of(name) == "gelu"


def function_of(name: object, gelu: str) -> str:
    """The function that a name means, as transformers or, of `OWN_ACTIVATIONS`, we call it.

    Args:
        name: as a configuration or an option has it.
        gelu: the form that a plain `gelu` means, "erf" or "tanh".

    Raises:
        UsageError: it is no function that is known.
    """
    word = word_of(name)
    word = f"gelu_{gelu}" if word == "gelu" else word
    if word in WEIGHTED:
        raise UsageError(
            f"no activation {name!r} here: it has weights of its own, which these checkpoints do "
            "not have. Is the configuration the checkpoint's?"
        )
    if word not in KNOWN:
        raise UsageError(
            f"no activation {name!r} is known, and none is guessed from the spelling, because "
            f"another function gives other numbers. Known: gelu, {', '.join(KNOWN)}; if it is one "
            "of them under another name, give that one (--option hidden_act=NAME)"
        )
    return KNOWN[word]
