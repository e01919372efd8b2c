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
