"""Inner problems: every set against cvxpy, against its own certificate, and against the laws it obeys."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.solvers.robust.cases import (
    BALLS,
    NAMES,
    by_cvxpy,
    random_row,
    random_set,
    random_values,
)
from theoryrl.models import Uncertainty
from theoryrl.solvers.robust.backups import divergence, expectation, robust_expectation

CERTIFICATE = 1e-9
"""What the issue of a certificate must guarantee; values are below ten."""

ROUNDING = 1e-12
"""A few dozen float64 operations on numbers below ten."""

SOLVER = 1e-7
"""A thousand times the tolerance of 1e-10 that the solver is asked for."""

AT_RADIUS_ZERO = 3e-4
"""A row that is 1e-10 outside a KL ball is sqrt(2e-10) away in total variation; values differ by 3 at
most, and Clarabel may stop a hundred times short of its tolerance where the ball has no interior."""

seeds = st.integers(0, 2**32 - 1)


def quiet(problem):
    """Clarabel may stop short of the accuracy that was asked for, and says so by a warning."""
    return pytest.mark.filterwarnings("ignore:Solution may be inaccurate")(problem)


@quiet
@pytest.mark.parametrize("name", NAMES)
def test_the_value_is_that_of_an_independent_convex_solver(name):
    rng = np.random.default_rng(NAMES.index(name))
    for _ in range(25):
        S = int(rng.integers(1, 8))
        uncertainty, p0, v = random_set(rng, name, S), random_row(rng, S), random_values(rng, S)
        found = expectation(uncertainty, p0, v)
        flat = name == "kl" and uncertainty.radius < 1e-6
        tolerance = AT_RADIUS_ZERO if flat else SOLVER
        assert abs(float(found.value) - by_cvxpy(uncertainty, p0, v)) <= tolerance


@pytest.mark.parametrize("name", NAMES)
@given(seed=seeds)
def test_the_certificate_closes_and_its_row_lies_in_the_set(name, seed):
    rng = np.random.default_rng(seed)
    S = int(rng.integers(1, 9))
    uncertainty, p0, v = random_set(rng, name, S), random_row(rng, S), random_values(rng, S)
    found = expectation(uncertainty, p0, v, rows=True)
    assert found.gap <= CERTIFICATE
    p = found.rows
    assert p.min() >= 0
    assert abs(p.sum() - 1) <= ROUNDING
    if uncertainty.divergence == "wasserstein":
        return
    distance = float(divergence(uncertainty, p, p0))
    price = uncertainty.radius * distance if uncertainty.penalty else 0.0
    assert abs(p @ v + price - float(found.value)) <= ROUNDING * max(1.0, price)
    if not uncertainty.penalty:
        assert distance <= uncertainty.radius * (1 + 1e-9) + ROUNDING


def row_of_many_magnitudes(rng, S):
    """A row whose probabilities may be as small as 1e-290."""
    p = rng.dirichlet(np.full(S, rng.choice([0.05, 0.5])))
    p[rng.integers(S)] *= 10.0 ** -rng.integers(0, 290)
    return p / p.sum() if p.sum() > 0 else np.eye(S)[0]


@pytest.mark.parametrize("name", NAMES)
@given(seed=seeds)
def test_the_certificate_closes_for_probabilities_and_radii_of_every_magnitude(name, seed):
    rng = np.random.default_rng(seed)
    S, kind = int(rng.integers(1, 9)), name.removesuffix("-penalty")
    p0, scale = row_of_many_magnitudes(rng, S), 10.0 ** rng.integers(-9, 5)
    v = scale * (np.round(rng.random(S), 1) + 1e-15 * rng.integers(0, 4, S))
    top = {"tv": 1.0, "l1": 2.0, "linf": 1.0, "contamination": 1.0}.get(kind, np.inf)
    # Radii at which the whole mass may just go to the lowest states, and their neighbours.
    lowest = p0[(p0 > 0) & (v <= v[p0 > 0].min())].sum()
    edge = {"chi2": 1 / lowest - 1, "kl": -np.log(lowest)}.get(kind, top if top < np.inf else 1.0)
    radius = rng.choice([10.0 ** rng.uniform(-300, 5), edge * (1 + 1e-16 * rng.integers(-9, 9))])
    radius = min(float(radius), top) if name == kind else float(10.0 ** rng.uniform(-12, 6))
    cost = (rng.random((S, S)) * (1 - np.eye(S))) if kind == "wasserstein" else None
    found = expectation(Uncertainty(kind, max(radius, 0.0), name != kind, cost), p0, v, rows=True)
    assert np.isfinite(float(found.value))
    assert found.gap <= CERTIFICATE * max(1.0, scale)
    assert found.rows.min() >= 0
    assert abs(found.rows.sum() - 1) <= ROUNDING


def test_rows_with_a_nearly_impossible_lowest_state_are_no_trap():
    """Cases in which a level far from the origin, or an unscaled bracket, once lost all digits."""
    cases = [
        ("chi2", 1.2740338112221728e24, [7.85e-25, 2.113e-12, 1.0], [2e-10, 5e-10, 3e-9]),
        ("chi2", 7.89e-152, [2.3531812971704988e-33, 1.0], [2.0, 2.000000000000003]),
        ("chi2", 4.886, [1.0866e-216, 1.0, 6.6e-16], [-1.375, -0.7067, -0.3715]),
        ("kl", 0.729027026752987, [2.6576944421151457e-19, 1.0], [0.0, 2.0]),
    ]
    for name, radius, weights, values in cases:
        p0 = np.array(weights) / np.sum(weights)
        found = expectation(Uncertainty(name, radius), p0, np.array(values), rows=True)
        assert found.gap <= ROUNDING
        assert abs(found.rows.sum() - 1) <= ROUNDING
        assert float(divergence(Uncertainty(name, radius), found.rows, p0)) <= radius * (1 + 1e-9) + ROUNDING


@pytest.mark.parametrize("name", NAMES)
@given(seed=seeds)
def test_no_row_of_the_set_is_worse(name, seed):
    """Points between the centre and a vertex, shrunk until they are inside, never fall below the value."""
    rng = np.random.default_rng(seed)
    S = int(rng.integers(2, 7))
    uncertainty, p0, v = random_set(rng, name, S), random_row(rng, S), random_values(rng, S)
    if uncertainty.divergence == "wasserstein":
        # The cost of moving everything that is moved to one state is an upper bound on the distance.
        t, share = int(rng.integers(S)), rng.random()
        p, distance = (1 - share) * p0 + share * np.eye(S)[t], share * float(p0 @ uncertainty.cost[:, t])
    else:
        q = rng.dirichlet(np.full(S, 0.4))
        p = p0 + rng.random() ** 2 * (np.where(p0 > 0, q, 0) / max(q[p0 > 0].sum(), 1e-300) - p0)
        distance = float(divergence(uncertainty, p, p0))
    value = float(expectation(uncertainty, p0, v).lower)
    if uncertainty.penalty:
        assert p @ v + uncertainty.radius * distance >= value - ROUNDING * max(1.0, uncertainty.radius)
    elif distance <= uncertainty.radius:
        assert p @ v >= value - ROUNDING


@pytest.mark.parametrize("name", NAMES)
@given(seed=seeds)
def test_the_operator_is_monotone_concave_non_expansive_and_moves_with_constants(name, seed):
    rng = np.random.default_rng(seed)
    S = int(rng.integers(1, 7))
    uncertainty, p0 = random_set(rng, name, S), random_row(rng, S)
    v, w, c = random_values(rng, S), random_values(rng, S), float(rng.normal())

    def sigma(values):
        return float(expectation(uncertainty, p0, values).value)

    assert abs(sigma(v) - sigma(w)) <= np.abs(v - w).max() + CERTIFICATE
    assert sigma(np.maximum(v, w)) >= max(sigma(v), sigma(w)) - CERTIFICATE
    assert sigma((v + w) / 2) >= (sigma(v) + sigma(w)) / 2 - CERTIFICATE
    assert abs(sigma(v + c) - sigma(v) - c) <= CERTIFICATE


@pytest.mark.parametrize("name", BALLS)
def test_radius_zero_is_the_plain_expectation_and_more_radius_is_never_better(name):
    rng = np.random.default_rng(1)
    for _ in range(20):
        S = int(rng.integers(1, 7))
        p0, v, cost = random_row(rng, S), random_values(rng, S), None
        if name == "wasserstein":
            cost = np.abs(np.subtract.outer(np.arange(S), np.arange(S))).astype(float)
        radii = np.array([0.0, 1e-6, 1e-3, 0.03, 0.2, 0.5, 1.0])
        values = expectation(Uncertainty(name, radii, cost=cost), np.tile(p0, (7, 1)), v).value
        assert abs(values[0] - p0 @ v) <= ROUNDING
        assert (np.diff(values) <= CERTIFICATE).all()


@pytest.mark.parametrize(
    ("name", "radius", "floor"),
    [("tv", 1.0, "all"), ("l1", 2.0, "all"), ("linf", 1.0, "all"), ("contamination", 1.0, "all"),
     ("kl", 50.0, "support"), ("chi2", 1e9, "support"), ("wasserstein", 10.0, "all")],
)  # fmt: skip
def test_the_largest_radius_gives_the_lowest_value_that_the_set_can_reach(name, radius, floor):
    p0, v = np.array([0.5, 0.0, 0.2, 0.3]), np.array([2.0, 0.0, 1.0, 3.0])
    uncertainty = Uncertainty.parse(f"{name}:{radius}", 4)
    found = robust_expectation(uncertainty, p0, v, rows=True)
    assert abs(float(found.value) - (0.0 if floor == "all" else 1.0)) <= ROUNDING
    assert found.gap <= CERTIFICATE


def test_known_values_by_hand():
    p0, v = np.array([0.5, 0.5]), np.array([0.0, 1.0])
    by_hand = {
        "tv:0.2": 0.3, "l1:0.4": 0.3, "linf:0.2": 0.3, "contamination:0.2": 0.4, "wasserstein:0.2": 0.3,
        "chi2:0.16": 0.3,  # (p - 1/2)^2 * 4 = 0.16
        "tv-penalty:0.6": 0.3, "l1-penalty:0.3": 0.3, "wasserstein-penalty:0.6": 0.3,
        "kl-penalty:1": -np.log((1 + np.exp(-1)) / 2), "chi2-penalty:0.25": 0.25,
        "linf-penalty:0.5": 0.25,
    }  # fmt: skip
    for text, value in by_hand.items():
        assert abs(float(expectation(Uncertainty.parse(text, 2), p0, v).value) - value) <= ROUNDING, text


def test_a_search_over_the_values_alone_would_miss_the_chi_square_penalty():
    """The maximum over the dual's breakpoints is 0 here; the infimum is 1/4."""
    found = expectation(Uncertainty("chi2", 0.25, penalty=True), np.array([0.5, 0.5]), np.array([0.0, 3.0]))
    assert abs(float(found.value) - 0.25) <= ROUNDING


def test_divergences_without_new_support_leave_empty_states_empty():
    p0, v = np.array([0.0, 0.4, 0.6]), np.array([-1.0, 1.0, 2.0])
    for name in ("kl:3", "chi2:30", "kl-penalty:.1", "chi2-penalty:.1"):
        found = expectation(Uncertainty.parse(name, 3), p0, v, rows=True)
        assert found.rows[0] == 0
        assert float(found.value) >= 1.0


@pytest.mark.parametrize("radius", [1e-14, 1e-11, 1e-8, 1e-5])
@pytest.mark.parametrize("name", ["kl", "chi2"])
def test_tiny_radii_follow_the_square_root_law(name, radius):
    """sigma = mean - sqrt(c radius Var) + O(radius), with c = 2 for KL and 1 for chi-square."""
    rng = np.random.default_rng(3)
    p0, v = rng.dirichlet(np.ones(6)), rng.random(6)
    mean = p0 @ v
    spread = np.sqrt((2 if name == "kl" else 1) * radius * (p0 @ (v - mean) ** 2))
    found = expectation(Uncertainty(name, radius), p0, v)
    assert abs(float(found.value) - (mean - spread)) <= 3 * radius + CERTIFICATE
    assert found.gap <= CERTIFICATE


def test_a_preferred_sink_receives_the_mass_wherever_it_is_lowest():
    p0, v = np.array([0.2, 0.3, 0.5]), np.array([0.0, 1.0, 0.0])
    for sink, row in ((0, [0.4, 0.1, 0.5]), (2, [0.2, 0.1, 0.7]), (1, [0.4, 0.1, 0.5])):
        found = expectation(Uncertainty("tv", 0.2), p0, v, rows=True, sink=sink)
        np.testing.assert_allclose(found.rows, row, atol=ROUNDING)


def test_each_row_has_its_own_radius():
    rng = np.random.default_rng(4)
    P, v = rng.dirichlet(np.ones(4), size=(3, 2)), rng.random(4)
    radii = rng.random((3, 2))
    for name in ("tv", "linf", "kl", "chi2", "contamination"):
        together = expectation(Uncertainty(name, radii), P, v, rows=True)
        for i, j in np.ndindex(3, 2):
            alone = expectation(Uncertainty(name, float(radii[i, j])), P[i, j], v, rows=True)
            assert alone.value == together.value[i, j]
            np.testing.assert_array_equal(alone.rows, together.rows[i, j])


REFUSED = [
    ({"P": [0.5, 0.6]}, "P must sum to 1"),
    ({"P": [[0.5, 0.5], [1.5, -0.5]]}, r"P\[1, 1\] must be a probability"),
    ({"v": [1.0, np.nan]}, r"v\[1\] must be finite"),
    ({"v": [1.0]}, r"v must have shape \(2\); got shape \(1,\)"),
    (
        {"uncertainty": Uncertainty("tv", np.array([0.1, 0.2, 0.3])), "P": [[0.5, 0.5]]},
        "radius of shape .* broadcast",
    ),
    (
        {"uncertainty": Uncertainty("wasserstein", 0.1, cost=np.zeros((3, 3)))},
        r"cost must have shape \(2, 2\)",
    ),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_bad_rows_and_values_are_refused(changes, message):
    arguments = {"uncertainty": Uncertainty("tv", 0.1), "P": [0.5, 0.5], "v": [0.0, 1.0]} | changes
    arguments["P"], arguments["v"] = np.array(arguments["P"]), np.array(arguments["v"])
    with pytest.raises(ValueError, match=message):
        robust_expectation(**arguments)
