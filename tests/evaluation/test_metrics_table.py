import inspect
import re
import subprocess
import sys

import pytest

from zoo import catalog
from zoo.catalog import HEADS
from zoo.evaluation.metrics.table import METRICS, defaults, find


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_every_row_names_a_function_whose_options_have_defaults(metric):
    subject, *options = inspect.signature(metric.function).parameters.values()
    assert subject.name == "subject"
    for option in options:
        assert option.kind is inspect.Parameter.KEYWORD_ONLY
        assert option.default is not inspect.Parameter.empty
    assert metric.function.__name__ == metric.name
    assert metric.function.__doc__
    assert metric.needs in catalog.ABILITIES
    assert any(metric.needs in can for *_, can in HEADS.values()) or catalog.able(metric.needs)
    assert find(metric.name) is metric


def test_every_architecture_has_defaults_that_fit_it():
    for entry in catalog.IMAGES:
        for likelihood in ("gaussian", "bernoulli", "discretized_logistic", "beta_binomial"):
            names = defaults(entry.name, likelihood)
            assert names
            assert not [n for n in names if METRICS[n].refusal(entry.name, likelihood)]


def test_no_module_asks_for_an_architecture_by_name(root):
    names = "|".join(entry.name for entry in catalog.IMAGES)
    name = rf"[\"']({names})[\"']"
    asked = re.compile(rf"architecture (not )?in [A-Z(\[{{]|[!=]= {name}|{name}, {name}")
    for path in (root / "zoo").rglob("*.py"):
        if path.name not in ("catalog.py", "hints.py") and "models" not in path.parts:
            assert not asked.search(path.read_text("utf-8")), path


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
