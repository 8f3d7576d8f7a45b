from zoo.evaluation.measuring import Measurement as Measurement
from zoo.evaluation.measuring import evaluate as evaluate
from zoo.evaluation.metrics import METRICS as METRICS
from zoo.evaluation.metrics import Metric as Metric
from zoo.evaluation.reporting import results_toml as results_toml
