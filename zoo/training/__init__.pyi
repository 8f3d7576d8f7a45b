from zoo.training.around.ema import EMA as EMA
from zoo.training.around.lamb import LAMB as LAMB
from zoo.training.around.lazy_rows import LazyRows as LazyRows
from zoo.training.around.lookahead import Lookahead as Lookahead
from zoo.training.around.schedules import piecewise_linear as piecewise_linear
from zoo.training.run import train as train
