"""The objectives by the names that cards give them."""

from .attacks import FGM, PGD, Free
from .objective import Objective
from .smoothness import GradientPenalty, RDrop, VirtualAdversarial

OBJECTIVES: dict[str, type[Objective]] = {
    "fgm": FGM,
    "pgd": PGD,
    "free": Free,
    "virtual": VirtualAdversarial,
    "gradient-penalty": GradientPenalty,
    "r-drop": RDrop,
}
