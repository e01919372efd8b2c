"""What the parts of the experiment on relaxation share: the learners, and how they are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from theoryrl.learners import BinnedTsallisINF, ChebCB, TsallisINF

EPS = 1e-8


RELEASED: dict[str, Any] = {"scale": "running-mean"}
"""How the released code scales losses; no theorem covers it."""


STYLE = {
    "best per system": ("#000000", ":"),
    "Tsallis-INF": ("#0072B2", "-"),
    "Tsallis-INF, theory's scale": ("#56B4E9", "-."),
    "binned": ("#009E73", "--"),
    "ChebCB": ("#D55E00", "-"),
    "UCB1": ("#CC79A7", "--"),
    "KL-UCB": ("#882255", "-"),
    "Thompson": ("#999933", "-."),
    "Exp3": ("#E69F00", "--"),
}


def contenders(bins: int) -> dict[str, Any]:
    """Return the learners of the paper's comparison."""
    return {
        "Tsallis-INF": TsallisINF(**RELEASED),
        "Tsallis-INF, theory's scale": TsallisINF(),
        "binned": BinnedTsallisINF(bins=bins, **RELEASED),
        "ChebCB": ChebCB(),
    }


def running_mean(counts: np.ndarray) -> np.ndarray:
    """Return the mean of the counts so far, along the last axis."""
    return np.cumsum(counts, axis=-1) / np.arange(1, counts.shape[-1] + 1)
