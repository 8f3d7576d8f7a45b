from zoo.evaluation.comparing import compare as compare
from zoo.evaluation.measure import Measurement as Measurement
from zoo.evaluation.measure import evaluate as evaluate
from zoo.evaluation.metrics.table import METRICS as METRICS
from zoo.evaluation.metrics.table import Metric as Metric
from zoo.evaluation.results import results_toml as results_toml
