"""Learners over the same classes of hypotheses as MEX: confidence sets, posteriors, maximum likelihood."""

from theoryrl.learners.baselines.hypotheses.linear import LSVI, RLSVI
from theoryrl.learners.baselines.hypotheses.models import FinitePSRL, GreedyMLE, LevelSetOFU
from theoryrl.learners.baselines.hypotheses.product_golf import ProductGOLF
from theoryrl.learners.baselines.hypotheses.tabular import KLUCBVI, EpsilonGreedy

__all__ = [
    "KLUCBVI",
    "LSVI",
    "RLSVI",
    "EpsilonGreedy",
    "FinitePSRL",
    "GreedyMLE",
    "LevelSetOFU",
    "ProductGOLF",
]
