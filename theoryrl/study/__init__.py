"""Grids of learners, instances and seeds: run, stored, resumed, drawn.

::

    study = Study(["hazard:kappa=0.1"], ["stepmix", "epsmix"], rounds=2000, seeds=10)
    dataset = study.run(store="results/hazard", workers=2)
    plot_regret(dataset).savefig("regret.png")
"""

from theoryrl.study.core import CellError, Study
from theoryrl.study.dataset import load_dataset, round_grid, save_dataset
from theoryrl.study.plots import plot_regret, plot_values, plot_verification
from theoryrl.study.statistics import Summary, mean_interval, regret_slope, summarise
from theoryrl.study.store import StoreError

__all__ = [
    "CellError",
    "StoreError",
    "Study",
    "Summary",
    "load_dataset",
    "mean_interval",
    "plot_regret",
    "plot_values",
    "plot_verification",
    "regret_slope",
    "round_grid",
    "save_dataset",
    "summarise",
]
