"""Figures show what they claim, and every word of it."""

from dataclasses import dataclass

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.text import Text

from tests.study import toy
from theoryrl.study import plot_regret, plot_values, plot_verification
from theoryrl.study.plots import VERDICT_STYLE
from theoryrl.theory import Series, Theorem, Verdict, check
from theoryrl.theory.core import Evidence, Kind, Mark
from theoryrl.theory.statistics import Interval

PIXEL = 1.0


def assert_nothing_is_clipped(figure):
    """Every visible text lies within the figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = canvas.get_width_height()
    for text in figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_visible()):
        if not text.get_text() or not visible_in_tree(text, figure):
            continue
        box = text.get_window_extent(canvas.get_renderer())
        inside = (
            -PIXEL <= box.x0 and box.x1 <= width + PIXEL and -PIXEL <= box.y0 and box.y1 <= height + PIXEL
        )
        assert inside, (text.get_text(), box, (width, height))


def visible_in_tree(text, figure):
    """Axes that are switched off, and ticks outside the limits, draw nothing."""
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if text in (tick.label1, tick.label2):
                    return ax.get_visible() and low <= tick.get_loc() <= high
        if text in ax.findobj(Text):
            return ax.get_visible()
    return True


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.fixture(scope="module")
def dataset():
    return toy.study().run(progress=False)


def test_regret_has_a_linear_and_a_logarithmic_panel_per_instance(dataset):
    figure = plot_regret(dataset)
    assert [(ax.get_xscale(), ax.get_yscale()) for ax in figure.axes] == [("linear",) * 2, ("log",) * 2] * 2
    line = figure.axes[0].get_lines()[0]
    mean = dataset["regret"].sel(instance="plain", learner="greedy").mean("seed")
    np.testing.assert_array_equal(line.get_ydata(), mean)
    assert legend_texts(figure.axes[0]) == ["greedy", "bold"]
    assert all("slope" in text for text in legend_texts(figure.axes[1]))
    assert_nothing_is_clipped(figure)


@pytest.mark.parametrize("bound", [lambda k: 3 * np.sqrt(k), {"plain": lambda k: 3 * np.sqrt(k)}])
def test_a_bound_is_drawn_where_it_is_given(dataset, bound):
    axes = plot_regret(dataset, bound).axes
    assert "bound" in legend_texts(axes[0])
    np.testing.assert_array_equal(axes[1].get_lines()[-1].get_ydata(), 3 * np.sqrt(dataset["round"]))
    assert ("bound" in legend_texts(axes[2])) == callable(bound)


def test_values_show_threshold_optimum_and_violations(dataset):
    figure = plot_values(dataset)
    plain, safe = (legend_texts(ax) for ax in figure.axes)
    assert "threshold" in safe
    assert "threshold" not in plain
    count = int(dataset["violations"].sel(instance="safe", learner="bold").sum())
    assert f"bold: {count} violations" in safe
    assert plain[:2] == ["greedy", "bold"]
    assert_nothing_is_clipped(figure)


def test_one_seed_and_no_regret_can_be_drawn():
    study = toy.study(problems={"flat": toy.Bandit(np.ones(2))}, seeds=1)
    result = study.run(progress=False)
    figure = plot_regret(result)
    assert all("no slope" in text for text in legend_texts(figure.axes[1]))
    assert not figure.axes[0].collections, "one seed has no band"
    assert_nothing_is_clipped(figure)


def test_many_learners_with_long_names_stay_apart_and_inside():
    learners = {
        f"learner number {i} with a rather long name:epsilon=0.{i}": toy.Greedy(i / 10) for i in range(9)
    }
    figure = plot_regret(toy.study(learners=learners, seeds=2).run(progress=False))
    styles = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].get_lines()}
    assert len(styles) == 9
    assert_nothing_is_clipped(figure)
    assert_nothing_is_clipped(plot_values(toy.study(learners=learners, seeds=2).run(progress=False)))


@dataclass(frozen=True)
class Piece(Evidence):
    left: float
    right: float


def theorem(key, **options):
    return Theorem(
        key=key,
        statement="left <= right",
        source="here",
        kind=Kind.INEQUALITY,
        mark=Mark.OURS,
        evidence=lambda scope: [Piece("here", 0.5, 1.0)],
        measured=lambda piece: piece.left,
        bound=lambda piece: piece.right,
        **options,
    )


def reports():
    x = np.geomspace(10, 1e5, 5)
    curve = Series("", "rounds", "regret", x, np.sqrt(x), 3 * np.sqrt(x), True, Interval(0.5, 0.4, 0.6))
    plain = Series("", "a very long label of the horizontal axis, with units", "y", x, x, None, False, None)
    made = [
        check(theorem("paper.holds")),
        check(theorem("paper.violated"), [Piece("here", 3.0, 1.0)]),
        check(theorem("paper.curve", series=lambda piece: curve)),
        check(theorem("paper.a-key-that-is-quite-a-bit-longer-than-most", series=lambda piece: plain)),
        check(theorem("paper.vacuous", trivial=lambda piece: 0.1)),
        check(theorem("paper.tiny"), [Piece("here", 1e-15, 1.0)]),
        check(theorem("paper.none"), []),
    ]
    assert [report.verdict.value for report in made] == ["holds", "violated", *["holds"] * 4, "inconclusive"]
    return made


def test_a_verification_shows_every_theorem_in_the_colour_of_its_verdict():
    made = reports()
    figure = plot_verification(made)
    chart = figure.axes[0]
    assert [label.get_text() for label in chart.get_yticklabels()] == [report.theorem.key for report in made]
    drawn = {
        round(float(line.get_ydata()[0])): line for line in chart.get_lines() if line.get_marker() != "None"
    }
    for row, report in zip(range(len(made), 0, -1), made, strict=True):
        if report.tightness is not None:
            colour, marker = VERDICT_STYLE[report.verdict]
            assert (drawn[row].get_color(), drawn[row].get_marker()) == (colour, marker)
            assert (to_hex(drawn[row].get_markerfacecolor()) == "#ffffff") == report.vacuous
    assert {"holds", "violated", "inconclusive", "vacuous bound"} >= set(legend_texts(chart))
    assert_nothing_is_clipped(figure)


def test_a_verification_has_one_panel_per_series():
    visible = [ax for ax in plot_verification(reports()).axes[1:] if ax.get_visible()]
    assert visible[0].get_title() == "paper.curve"
    assert len(visible) == 2
    assert (visible[0].get_xscale(), visible[1].get_xscale()) == ("log", "linear")
    assert "slope 0.50 [0.40, 0.60]" in legend_texts(visible[0])


def test_a_verification_without_series_or_with_many_is_inside():
    assert_nothing_is_clipped(plot_verification(reports()[:1]))
    assert_nothing_is_clipped(plot_verification([reports()[2]] * 7))


def test_an_empty_verification_is_refused():
    with pytest.raises(ValueError, match="reports must not be empty"):
        plot_verification([])


def test_every_verdict_has_its_own_colour_and_shape():
    assert set(VERDICT_STYLE) == set(Verdict)
    assert len({colour for colour, _ in VERDICT_STYLE.values()}) == len(Verdict)
    assert len({marker for _, marker in VERDICT_STYLE.values()}) == len(Verdict)
