"""Independent answers for tiny models: rational arithmetic and enumeration, in plain Python.

Nothing here imports a solver. A float64 is a rational number, so `Fraction` recursions have no
rounding at all: what they return is *the* value of the model that the arrays describe.
"""

import itertools
from fractions import Fraction

import numpy as np

from theoryrl.models import DeterministicPolicy

UNIT = 2.0**-53


def rational(array):
    """The same array with exact entries."""
    return np.vectorize(Fraction, otypes=[object])(np.asarray(array))


def exact_action_values(mdp, next_values, h):
    """r_h + P_h V, exactly."""
    return rational(mdp.r[h]) + rational(mdp.P[h]) @ next_values


def exact_optimal_values(mdp):
    """V*[h, s] as fractions."""
    V = [np.array([Fraction(0)] * mdp.n_states)]
    for h in reversed(range(mdp.horizon)):
        V.insert(0, exact_action_values(mdp, V[0], h).max(axis=1))
    return np.array(V[:-1])


def exact_policy_values(mdp, policy):
    """V^pi[h, s] of a Markov policy as fractions."""
    pi = rational(policy.stages(mdp.horizon))
    V = [np.array([Fraction(0)] * mdp.n_states)]
    for h in reversed(range(mdp.horizon)):
        V.insert(0, (pi[h] * exact_action_values(mdp, V[0], h)).sum(axis=1))
    return np.array(V[:-1])


def exact_occupancy(mdp, policy):
    """d^pi[h, s, a] of a Markov policy as fractions."""
    pi, P = rational(policy.stages(mdp.horizon)), rational(mdp.P)
    law, d = rational(mdp.rho), []
    for h in range(mdp.horizon):
        d.append(law[:, None] * pi[h])
        law = np.tensordot(d[-1], P[h], axes=2)
    return np.array(d)


def paths(mdp, pi):
    """Yield (s_0, a_0, ..., a_{H-1}, s_H) and its exact probability, for every path that can occur."""
    P, rho, pi = rational(mdp.P), rational(mdp.rho), rational(pi)
    frontier = [((s,), p) for s, p in enumerate(rho) if p > 0]
    for h in range(mdp.horizon):
        frontier = [
            ((*path, a, t), p * pi[h, path[-1], a] * P[h, path[-1], a, t])
            for path, p in frontier
            for a, t in itertools.product(range(mdp.n_actions), range(mdp.n_states))
            if pi[h, path[-1], a] > 0 and P[h, path[-1], a, t] > 0
        ]
    return frontier


def path_return(mdp, path):
    """The sum of the expected rewards along a path, exactly."""
    return sum(Fraction(float(mdp.r[h, path[2 * h], path[2 * h + 1]])) for h in range(mdp.horizon))


def all_deterministic_policies(mdp):
    """Every one of the A^(H S) deterministic Markov policies."""
    cells = mdp.horizon * mdp.n_states
    for actions in itertools.product(range(mdp.n_actions), repeat=cells):
        array = np.array(actions).reshape(mdp.horizon, mdp.n_states)
        yield DeterministicPolicy(array, mdp.n_actions)


def rounding(*sizes, scale=1.0):
    """Return n u times `scale`: more than the rounding of n float64 operations on such numbers."""
    return 2 * float(np.prod(sizes)) * UNIT * scale


def solve_rational(matrix, right):
    """x with matrix x = right, by Gaussian elimination in rational arithmetic."""
    rows = [[*map(Fraction, row), Fraction(b)] for row, b in zip(matrix, right, strict=True)]
    for i in range(len(rows)):
        pivot = next(k for k in range(i, len(rows)) if rows[k][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [entry / rows[i][i] for entry in rows[i]]
        for k in range(len(rows)):
            if k != i and rows[k][i] != 0:
                rows[k] = [x - rows[k][i] * y for x, y in zip(rows[k], rows[i], strict=True)]
    return np.array([row[-1] for row in rows])


def exact_discounted_policy_values(mdp, pi, rewards=None):
    """V^pi[s] of a stationary policy pi[s, a] as fractions."""
    pi, P = rational(pi), rational(mdp.dense_P())
    chain = (pi[:, :, None] * P).sum(axis=1)
    earned = (pi * rational(mdp.r if rewards is None else rewards)).sum(axis=1)
    return solve_rational(rational(np.eye(mdp.n_states)) - Fraction(mdp.gamma) * chain, earned)


def one_hot(actions, n_actions):
    """The array of probabilities of a deterministic policy."""
    return (np.asarray(actions)[:, None] == np.arange(n_actions)).astype(float)


def exact_discounted_values(mdp):
    """V*[s] as fractions, by policy iteration in rational arithmetic: it ends, and then it is exact."""
    P, r, gamma = rational(mdp.dense_P()), rational(mdp.r), Fraction(mdp.gamma)
    actions = mdp.mask.argmax(axis=1)
    while True:
        V = exact_discounted_policy_values(mdp, one_hot(actions, mdp.n_actions))
        Q = r + gamma * (P @ V)
        better = [
            max(np.flatnonzero(mdp.mask[s]), key=lambda a, s=s: (Q[s, a], a == actions[s]))
            for s in range(mdp.n_states)
        ]
        if list(better) == list(actions):
            return V
        actions = np.array(better)


def stationary_deterministic_policies(mdp):
    """Every assignment of an available action to each state."""
    choices = [np.flatnonzero(row) for row in mdp.mask]
    return [np.array(actions) for actions in itertools.product(*choices)]
