r"""Bias-optimal policies: of all policies with the largest gain, one with the largest bias everywhere.

Which policies share the largest gain is a question of exact equality, which no rounding error may touch:
the bias of the best of them jumps when a probability changes by the last digit. Float64 numbers are
fractions, so the question has an answer, and it is computed in rational arithmetic: Veinott's policy
iteration. With P and r of a policy,

    g = P g,    g + h = r + P h,    h + w = P w,    and  pi . h = pi . w = 0 in each recurrent class,

improve lexicographically: first P g, then r + P h, then P w. It ends, at a policy that is bias-optimal
(Veinott 1966; Puterman 1994, chapter 10). The certificate is the exactness.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from theoryrl.models import AverageRewardMDP, DeterministicPolicy
from theoryrl.models._validation import check_type
from theoryrl.solvers._rows import actions_chain
from theoryrl.solvers.average.policy_iteration import policy_iteration
from theoryrl.solvers.average.solution import BiasSolution
from theoryrl.solvers.classes import closed_classes
from theoryrl.solvers.solution import NotConvergedError

MOST_STATES = 60
"""Fractions grow with every elimination: beyond this, a solution takes minutes."""
Vector = list[Fraction]
Row = list[tuple[int, Fraction]]
Chain = list[Row]


def bias_optimal_policy(mdp: AverageRewardMDP) -> BiasSolution:
    """Return a bias-optimal policy of a small model, its gain and its bias, exactly.

    Parameters
    ----------
    mdp
        The model, of at most `MOST_STATES` states; its rows are taken as divided by their sums.

    Returns
    -------
    BiasSolution
        Bounds are neighbouring float64 numbers of the rational results.

    Raises
    ------
    ValueError
        If the model has more states. `gain_and_bias` evaluates a policy of any model.
    """
    check_type("mdp", mdp, AverageRewardMDP)
    if mdp.n_states > MOST_STATES:
        raise ValueError(f"mdp must have at most {MOST_STATES} states; it has {mdp.n_states}")
    problem = Rational(mdp)
    actions, iterations = _first_policy(mdp), 0
    while True:
        iterations += 1
        found = problem.evaluate(actions)
        better = problem.improve(actions, found)
        if better == actions:
            return _solution(mdp, actions, found, iterations)
        actions = better


def _first_policy(mdp: AverageRewardMDP) -> list[int]:
    """Return actions that are likely to be gain-optimal, which saves rational work."""
    try:
        return [int(a) for a in policy_iteration(mdp).policy.actions]
    except NotConvergedError as stopped:
        return [int(a) for a in stopped.solution.policy.actions]


class Evaluation:
    """Gain g, bias h, and w of a policy, and its recurrent classes."""

    def __init__(self, g: Vector, h: Vector, w: Vector, classes: np.ndarray) -> None:
        self.g, self.h, self.w, self.classes = g, h, w, classes


class Rational:
    """A model in fractions: `rows[s][a]` lists (successor, probability), or is None if not available."""

    def __init__(self, mdp: AverageRewardMDP) -> None:
        self.mdp, dense = mdp, mdp.dense_P()
        S, A = mdp.r.shape
        self.rows = [[_row(dense[s, a]) if mdp.mask[s, a] else None for a in range(A)] for s in range(S)]
        self.r = [[Fraction(float(x)) for x in row] for row in mdp.r]

    def evaluate(self, actions: list[int]) -> Evaluation:
        """Solve the equations of a policy: in each recurrent class first, then on the way there."""
        S = len(actions)
        classes = closed_classes(actions_chain(self.mdp, np.array(actions))[0])
        chain = [self.rows[s][actions[s]] or [] for s in range(S)]
        r = [self.r[s][actions[s]] for s in range(S)]
        zero = Fraction(0)
        g, h, w = [zero] * S, [zero] * S, [zero] * S
        for k in range(int(classes.max()) + 1):
            members = [int(s) for s in np.flatnonzero(classes == k)]
            law = _stationary(chain, members)
            gain = sum((law[s] * r[s] for s in members), zero)
            for s in members:
                g[s] = gain
            _poisson(chain, members, {s: r[s] - gain for s in members}, law, h)
            _poisson(chain, members, {s: -h[s] for s in members}, law, w)
        passing = [int(s) for s in np.flatnonzero(classes < 0)]
        if passing:
            _absorb(chain, passing, [zero] * S, g)
            _absorb(chain, passing, [r[s] - g[s] for s in range(S)], h)
            _absorb(chain, passing, [-h[s] for s in range(S)], w)
        return Evaluation(g, h, w, classes)

    def improve(self, actions: list[int], found: Evaluation) -> list[int]:
        """Return the lexicographically best actions, the old ones where they are among these."""
        better = []
        for s, kept in enumerate(actions):
            values = {
                a: (_mean(row, found.g), self.r[s][a] + _mean(row, found.h), _mean(row, found.w))
                for a, row in enumerate(self.rows[s])
                if row is not None
            }
            best = max(values.values())
            better.append(kept if values[kept] == best else next(a for a in values if values[a] == best))
        return better


def _row(probabilities: np.ndarray) -> Row:
    entries = [(int(t), Fraction(float(probabilities[t]))) for t in np.flatnonzero(probabilities)]
    total = sum(p for _, p in entries)
    return [(t, p / total) for t, p in entries]


def _mean(row: Row, v: Vector) -> Fraction:
    return sum((p * v[t] for t, p in row), Fraction(0))


def _stationary(chain: Chain, members: list[int]) -> dict[int, Fraction]:
    """Return the stationary law of a recurrent class."""
    place, n = {s: i for i, s in enumerate(members)}, len(members)
    A = [[Fraction(int(i == j)) for j in range(n)] for i in range(n)]
    for s in members:
        for t, p in chain[s]:
            A[place[t]][place[s]] -= p
    A[0] = [Fraction(1)] * n
    solved = solve_fractions(A, [Fraction(int(i == 0)) for i in range(n)])
    return dict(zip(members, solved, strict=True))


def _poisson(
    chain: Chain, members: list[int], c: dict[int, Fraction], law: dict[int, Fraction], x: Vector
) -> None:
    """Fill x = c + P x with law . x = 0, where law . c = 0, in a recurrent class."""
    rest = members[1:]
    if rest:
        _absorb(chain, rest, c, x)
    mean = sum((law[s] * x[s] for s in members), Fraction(0))
    for s in members:
        x[s] -= mean


def _absorb(chain: Chain, states: list[int], c: dict[int, Fraction] | Vector, x: Vector) -> None:
    """Fill x = c + P x in `states`, given x elsewhere."""
    place, n = {s: i for i, s in enumerate(states)}, len(states)
    A = [[Fraction(int(i == j)) for j in range(n)] for i in range(n)]
    b = [c[s] for s in states]
    for s, i in place.items():
        for t, p in chain[s]:
            if t in place:
                A[i][place[t]] -= p
            else:
                b[i] += p * x[t]
    for s, value in zip(states, solve_fractions(A, b), strict=True):
        x[s] = value


def solve_fractions(A: list[Vector], b: Vector) -> Vector:
    """Return x with A x = b, for a regular matrix, by elimination (which changes the arguments)."""
    n = len(b)
    for k in range(n):
        pivot = next(i for i in range(k, n) if A[i][k] != 0)
        A[k], A[pivot], b[k], b[pivot] = A[pivot], A[k], b[pivot], b[k]
        for i in range(k + 1, n):
            if A[i][k] != 0:
                factor = A[i][k] / A[k][k]
                A[i] = [x - factor * y if y else x for x, y in zip(A[i], A[k], strict=True)]
                b[i] -= factor * b[k]
    x = [Fraction(0)] * n
    for k in range(n - 1, -1, -1):
        x[k] = (b[k] - sum((A[k][j] * x[j] for j in range(k + 1, n)), Fraction(0))) / A[k][k]
    return x


def _solution(mdp: AverageRewardMDP, actions: list[int], found: Evaluation, iterations: int) -> BiasSolution:
    value, bias = (np.array([float(x) for x in v]) for v in (found.g, found.h))
    return BiasSolution(
        value=value,
        policy=DeterministicPolicy(np.array(actions), mdp.n_actions),
        lower=np.nextafter(value, -np.inf),
        upper=np.nextafter(value, np.inf),
        iterations=iterations,
        method="bias-optimal policy iteration",
        bias=bias,
        bias_lower=np.nextafter(bias, -np.inf),
        bias_upper=np.nextafter(bias, np.inf),
        classes=found.classes,
    )
