"""Figures of studies and of verifications.

Every function returns a `matplotlib.figure.Figure` that needs no display; Matplotlib itself is imported
when the first one is drawn. Colours are those of Okabe and Ito (2008), which stay apart for colour-blind
readers; verdicts differ by shape too.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import xarray as xr

from theoryrl.study.statistics import regret_slope
from theoryrl.theory import Report, Series, Verdict
from theoryrl.theory.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Bound: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""Rounds to the value of a bound on the cumulative regret."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
GREY = "#666666"
BAND = (0.05, 0.95)
"""Quantiles over seeds between which the bands lie."""

VERDICT_STYLE = {
    Verdict.HOLDS: ("#0072B2", "o"),
    Verdict.VIOLATED: ("#D55E00", "X"),
    Verdict.INCONCLUSIVE: ("#E69F00", "D"),
}
PANELS = 3
"""Panels per row below the chart of a verification."""

SMALLEST_TIGHTNESS = 1e-4
"""Ratios below it are drawn at the left edge of the chart, with their number beside."""


def plot_regret(dataset: xr.Dataset, bound: Bound | Mapping[str, Bound] | None = None) -> Figure:
    """Draw cumulative regret, one row per instance: linear on the left, log-log on the right.

    Parameters
    ----------
    dataset
        What `Study.run` returned.
    bound
        A theorem's bound as a function of the rounds, for all instances or by name.

    Returns
    -------
    matplotlib.figure.Figure
        Lines are means over seeds, bands reach from the 5th to the 95th percentile. The legend gives
        each fitted slope with its interval.
    """
    instances = [str(name) for name in dataset["instance"].values]
    figure, rows = _grid(len(instances), 2)
    for instance, (linear, logarithmic) in zip(instances, rows, strict=True):
        runs = dataset.sel(instance=instance)
        own = bound.get(instance) if isinstance(bound, Mapping) else bound
        for ax in (linear, logarithmic):
            _draw_curves(ax, runs, "regret", _with_slope if ax is logarithmic else _plain)
            if own is not None:
                _draw_bound(ax, runs["round"].values, own)
            ax.set(xlabel="round", ylabel="cumulative regret", title=_wrapped(instance))
        _make_logarithmic(logarithmic, runs["regret"].values)
        linear.set_ylim(bottom=min(0.0, float(np.nanmin(runs["regret"]))))
        for ax in (linear, logarithmic):
            ax.legend(fontsize="small", frameon=False)
    return figure


def plot_values(dataset: xr.Dataset) -> Figure:
    """Draw the exact value of each round's decision, with the optimum and the threshold.

    Lines are means over seeds, bands reach from the smallest to the largest seed; the legend gives
    the number of rounds below the threshold over all seeds.
    """
    instances = [str(name) for name in dataset["instance"].values]
    figure, rows = _grid(len(instances), 1)
    for instance, (ax,) in zip(instances, rows, strict=True):
        runs = dataset.sel(instance=instance)
        _draw_curves(ax, runs, "value", _with_violations, band=(0.0, 1.0))
        ax.axhline(float(runs["benchmark"].mean()), color=GREY, linestyle=":", label="optimum")
        threshold = float(runs["threshold"])
        if math.isfinite(threshold):
            ax.axhline(threshold, color="black", linestyle="--", linewidth=1, label="threshold")
        ax.set(xlabel="round", ylabel="value of the round", title=_wrapped(instance), xscale="log")
        ax.legend(fontsize="small", frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


def plot_verification(reports: Sequence[Report]) -> Figure:
    """Draw what `theoryrl.verify` found: tightness per theorem, and the series of those that have one.

    Parameters
    ----------
    reports
        At least one.

    Returns
    -------
    matplotlib.figure.Figure
        Above, measured / bound of each theorem on a logarithmic axis (hollow: the bound is vacuous);
        below, one panel per series.

    Raises
    ------
    ValueError
        If there is no report.
    """
    if not reports:
        raise ValueError("reports must not be empty")
    from matplotlib.figure import Figure

    series = [(report, report.series) for report in reports if report.series is not None]
    heights = [0.9 + 0.27 * len(reports), 3.2 * math.ceil(len(series) / PANELS)]
    figure = Figure(figsize=(11, sum(heights) + 0.3), layout="constrained", dpi=120)
    if not series:
        _draw_tightness(figure.subplots(), reports)
        return figure
    above, below = figure.subfigures(2, 1, height_ratios=heights, squeeze=False).flat
    _draw_tightness(above.subplots(), reports)
    panels = below.subplots(math.ceil(len(series) / PANELS), PANELS, squeeze=False).flat
    for ax, pair in zip_longest(panels, series):
        if pair is None:
            ax.set_visible(False)
        else:
            _draw_series(ax, *pair)
    return figure


def _grid(rows: int, columns: int) -> tuple[Figure, list[list[Axes]]]:
    from matplotlib.figure import Figure

    size = (5.5 * columns if columns > 1 else 9.0, 3.8 * rows)
    figure = Figure(figsize=size, layout="constrained", dpi=120)
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, [list(row) for row in axes]


def _draw_curves(
    ax: Axes,
    runs: xr.Dataset,
    name: str,
    label: Callable[[xr.Dataset], str],
    band: tuple[float, float] = BAND,
) -> None:
    """Draw one line per learner, and a band over its seeds."""
    for index, learner in enumerate(runs["learner"].values):
        own = runs.sel(learner=learner)
        colour, dash = COLOURS[index % len(COLOURS)], DASHES[index // len(COLOURS) % len(DASHES)]
        curves = own[name].transpose("seed", "round").values
        ax.plot(
            own["round"], curves.mean(axis=0), label=_wrapped(label(own), 48), color=colour, linestyle=dash
        )
        if len(curves) > 1:
            low, high = np.quantile(curves, band, axis=0)
            ax.fill_between(own["round"], low, high, color=colour, alpha=0.18, linewidth=0.5)


def _plain(runs: xr.Dataset) -> str:
    return str(runs["learner"].item())


def _with_slope(runs: xr.Dataset) -> str:
    slope = regret_slope(runs["round"].values, runs["regret"].transpose("seed", "round").values)
    if math.isnan(slope.estimate):
        return f"{_plain(runs)}: no slope"
    return f"{_plain(runs)}: slope {_slope_text(slope)}"


def _with_violations(runs: xr.Dataset) -> str:
    violations = float(runs["violations"].sum(skipna=False))
    return _plain(runs) if math.isnan(violations) else f"{_plain(runs)}: {violations:.0f} violations"


def _slope_text(slope: Interval) -> str:
    estimate, low, high = slope
    return f"{estimate:.2f}" if math.isnan(low) else f"{estimate:.2f} [{low:.2f}, {high:.2f}]"


def _draw_bound(ax: Axes, rounds: np.ndarray, bound: Bound) -> None:
    ax.plot(rounds, bound(rounds), color="black", linestyle="--", linewidth=1.2, label="bound")


def _make_logarithmic(ax: Axes, regret: np.ndarray) -> None:
    """Set log-log axes, unless no regret is positive."""
    positive = regret[regret > 0]
    if positive.size:
        ax.set(xscale="log", yscale="log")
        ax.set_ylim(bottom=float(positive.min()) / 1.5)


def _draw_tightness(ax: Axes, reports: Sequence[Report]) -> None:
    ratios = [math.nan if report.tightness is None else report.tightness for report in reports]
    shown = [min(max(ratio, SMALLEST_TIGHTNESS), 10.0) for ratio in ratios]
    rows = range(len(reports), 0, -1)
    for row, report, ratio, x in zip(rows, reports, ratios, shown, strict=True):
        colour, marker = VERDICT_STYLE[report.verdict]
        if math.isnan(ratio):
            ax.text(SMALLEST_TIGHTNESS * 1.15, row, "no ratio", va="center", fontsize="small", color=colour)
            continue
        ax.hlines(row, SMALLEST_TIGHTNESS, x, color=colour, linewidth=1.5, alpha=0.6)
        face = "white" if report.vacuous else colour
        ax.plot(x, row, marker=marker, color=colour, markerfacecolor=face, markersize=7, clip_on=False)
        ax.annotate(
            f"{ratio:.2g}",
            (x, row),
            xytext=(9, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )
    ax.axvline(1.0, color=GREY, linestyle=":", linewidth=1, zorder=0)
    ax.set(xscale="log", xlim=(SMALLEST_TIGHTNESS, 20), ylim=(0.3, len(reports) + 0.7))
    ax.set_yticks(list(rows), [report.theorem.key for report in reports], fontsize="small")
    ax.set_xlabel("tightness: measured / bound (1: as large as the theorem allows)")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(
        handles=_verdict_legend(reports), loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False
    )


def _verdict_legend(reports: Sequence[Report]) -> list[Any]:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=verdict.value)
        for verdict, (colour, marker) in VERDICT_STYLE.items()
        if any(report.verdict is verdict for report in reports)
    ]
    if any(report.vacuous for report in reports):
        handles.append(
            Line2D(
                [], [], color=GREY, marker="o", markerfacecolor="white", linestyle="", label="vacuous bound"
            )
        )
    return handles


def _draw_series(ax: Axes, report: Report, series: Series) -> None:
    colour, marker = VERDICT_STYLE[report.verdict]
    few = len(series.x) <= 40
    ax.plot(
        series.x,
        series.measured,
        color=colour,
        marker=marker if few else "",
        markersize=5,
        linestyle="" if few and series.slope is not None else "-",
        label="measured",
    )
    if series.bound is not None:
        ax.plot(series.x, series.bound, color="black", linestyle="--", linewidth=1.2, label="bound")
    if series.slope is not None:
        _draw_fit(ax, series, series.slope)
    if series.log:
        _set_log_scale(ax, "x", series.x)
        sides = [series.measured] if series.bound is None else [series.measured, series.bound]
        _set_log_scale(ax, "y", np.concatenate(sides))
    ax.set_title(_wrapped(report.theorem.key, 34), fontsize="medium")
    ax.set_xlabel(_wrapped(series.x_label, 44))
    ax.set_ylabel(_wrapped(series.y_label, 34))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize="small", frameon=False)


def _set_log_scale(ax: Axes, axis: Literal["x", "y"], numbers: np.ndarray) -> None:
    """Make an axis logarithmic, over at least a decade, with few and plain labels."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    positive = numbers[np.isfinite(numbers) & (numbers > 0)]
    if not positive.size:
        return
    low, high = math.log10(positive.min()), math.log10(positive.max())
    span = max(1.0, 1.1 * (high - low))
    ax.set(**{f"{axis}scale": "log"})
    ax.set(**{f"{axis}lim": [10 ** ((low + high + sign * span) / 2) for sign in (-1, 1)]})
    if span < 2.5:
        scale = ax.xaxis if axis == "x" else ax.yaxis
        scale.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if span < 1.4 else (1.0, 3.0)))
        scale.set_major_formatter(FuncFormatter(_plain_number))
        scale.set_minor_formatter(NullFormatter())


def _plain_number(number: float, position: int | None = None) -> str:
    return f"{number:g}" if number < 10_000 else f"{number / 1000:g}k"


def _draw_fit(ax: Axes, series: Series, slope: Interval) -> None:
    """Draw the fitted power law through the geometric centre of the points."""
    x, y = np.log(series.x), np.log(series.measured)
    fit = np.exp(y.mean() + slope.estimate * (x - x.mean()))
    ax.plot(series.x, fit, color=GREY, linewidth=1, label=f"slope {_slope_text(slope)}")


def _wrapped(text: str, width: int = 60) -> str:
    return "\n".join(textwrap.wrap(text, width))
