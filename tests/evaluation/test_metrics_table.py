import inspect
import subprocess
import sys

import pytest

from zoo import catalog
from zoo.evaluation.metrics import DEFAULTS, METRICS, defaults, find


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_every_row_names_a_function_whose_options_have_defaults(metric):
    subject, *options = inspect.signature(metric.function).parameters.values()
    assert subject.name == "subject"
    for option in options:
        assert option.kind is inspect.Parameter.KEYWORD_ONLY
        assert option.default is not inspect.Parameter.empty
    assert metric.function.__name__ == metric.name
    assert metric.function.__doc__
    assert set(metric.kinds) <= set(catalog.ARCHITECTURES)
    assert find(metric.name) is metric


def test_every_architecture_has_defaults_that_fit_it():
    for kind in catalog.ARCHITECTURES:
        assert defaults(kind, "gaussian")
    for kind, likelihood, names in DEFAULTS:
        assert all(METRICS[name].refusal(kind, likelihood) is None for name in names
                   if likelihood or not METRICS[name].likelihoods)  # fmt: skip


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
@pytest.mark.parametrize("value", [0.0, 1.0, -123.4, 1e-4])
def test_suggested_tolerances_are_positive_and_cover_the_rounding(metric, value):
    tolerance = metric.suggested_tolerance(value)
    assert tolerance >= abs(value - round(value, metric.digits))
    assert tolerance > 0


def test_the_table_imports_neither_torch_nor_numpy(root):
    code = (
        "import sys, zoo.evaluation; zoo.evaluation.METRICS; import zoo.cli.evaluate; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'datasets')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0
