"""What the figures of the experiments share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure


def mean_sd(samples: Sequence[float] | np.ndarray) -> str:
    """Write mean and standard deviation with sensible digits."""
    mean, sd = float(np.mean(samples)), float(np.std(samples, ddof=1)) if len(samples) > 1 else 0.0
    digits = 1 if abs(mean) < 100 else 0
    return f"{mean:,.{digits}f} ± {sd:,.{digits}f}"


def panels(
    rows: int, columns: int, width: float = 4.2, height: float = 3.4, **options: Any
) -> tuple[Figure, Any]:
    """Return a figure that needs no display, and its axes in a flat array."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes.ravel()


def outside_legend(figure: Figure, ax: Axes, columns: int) -> None:
    """Put one legend for all panels below them."""
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=columns, frameon=False)


def log_points(rounds: int, number: int = 300) -> np.ndarray:
    """Return episodes, evenly spaced on a logarithmic axis."""
    return np.unique(np.geomspace(1, rounds, number).astype(np.int64))
