"""Independent answers for chains and small models without a discount, in rational arithmetic.

Nothing here imports a solver. Rows are divided by their sums, which is how these models read them.
"""

import itertools
from fractions import Fraction

import numpy as np

from tests.exact import rational

INFINITY = float("inf")


def normalised(P):
    """The rows as fractions that sum to one; rows of zeros stay."""
    rows = rational(P)
    total = rows.sum(axis=-1)
    return rows / np.where(total == 0, Fraction(1), total)[..., None]


def solve(A, b):
    """x with A x = b by elimination; b may have several columns."""
    n = len(A)
    M = [[*A[i], *np.atleast_1d(b[i])] for i in range(n)]
    for i in range(n):
        pivot = next(j for j in range(i, n) if M[j][i] != 0)
        M[i], M[pivot] = M[pivot], M[i]
        M[i] = [x / M[i][i] for x in M[i]]
        for j in range(n):
            if j != i and M[j][i] != 0:
                M[j] = [x - M[j][i] * y for x, y in zip(M[j], M[i], strict=True)]
    return np.array([row[n:] if len(row) > n + 1 else row[n] for row in M])


def reachable(P):
    """reach[s, t]: whether t can be reached from s in zero or more steps."""
    reach = (np.asarray(P, dtype=float) > 0) | np.eye(len(P), dtype=bool)
    for _ in range(len(P)):
        reach = reach | ((reach.astype(int) @ reach.astype(int)) > 0)
    return reach


def closed_sets(P):
    """The recurrent classes, as sorted lists of states."""
    reach = reachable(P)
    classes = []
    for s in range(len(P)):
        if all(reach[t, s] for t in np.flatnonzero(reach[s])):
            members = [int(t) for t in np.flatnonzero(reach[s])]
            if members not in classes:
                classes.append(members)
    return classes


def stationary_law(P, members):
    """The stationary law of a recurrent class."""
    block = P[np.ix_(members, members)]
    n = len(members)
    A = np.array([[Fraction(int(i == j)) - block[j, i] for j in range(n)] for i in range(n)])
    A[-1] = Fraction(1)
    return solve(A, [Fraction(0)] * (n - 1) + [Fraction(1)])


def identity(n):
    return np.array([[Fraction(int(i == j)) for j in range(n)] for i in range(n)])


def gain_and_bias_of_chain(P, r):
    """(g, h) with g = P g, g + h = r + P h and (stationary law) . h = 0 in every class."""
    n = len(P)
    g, h = np.array([Fraction(0)] * n), np.array([Fraction(0)] * n)
    recurrent = []
    for members in closed_sets(P):
        law = stationary_law(P, members)
        g[members] = law @ r[members]
        A = identity(len(members)) - P[np.ix_(members, members)]
        # (I - P + 1 law) h = r - g has the solution with law . h = 0.
        A = A + np.array([list(law)] * len(members))
        h[members] = solve(A, r[members] - g[members])
        recurrent += members
    rest = [s for s in range(n) if s not in recurrent]
    if rest:
        A = identity(len(rest)) - P[np.ix_(rest, rest)]
        into = P[np.ix_(rest, recurrent)]
        g[rest] = solve(A, into @ g[recurrent])
        h[rest] = solve(A, r[rest] - g[rest] + into @ h[recurrent])
    return g, h


def deterministic_policies(mdp):
    """Every tuple of available actions, one per state."""
    return itertools.product(*(np.flatnonzero(row) for row in mdp.mask))


def chain_of(mdp, actions):
    """(P, r) of a deterministic policy, exactly."""
    states = np.arange(mdp.n_states)
    return normalised(mdp.dense_P()[states, list(actions)]), rational(mdp.r[states, list(actions)])


def optimal_gain(mdp):
    """The largest gain of each state over all deterministic policies."""
    gains = [gain_and_bias_of_chain(*chain_of(mdp, actions))[0] for actions in deterministic_policies(mdp)]
    return np.array(gains).max(axis=0)


def total_reward_of_chain(P, r):
    """The expected sum of rewards from each state, infinite where it diverges; None if undefined."""
    n = len(P)
    value = np.array([Fraction(0)] * n, dtype=object)
    recurrent, gain, lose = [], [], []
    for members in closed_sets(P):
        recurrent += members
        if all(r[s] == 0 for s in members):
            continue
        g = stationary_law(P, members) @ r[members]
        if g == 0:
            return None
        (gain if g > 0 else lose).extend(members)
    reach = reachable(P)
    up, down = reach[:, gain].any(axis=1), reach[:, lose].any(axis=1)
    if (up & down).any():
        return None
    rest = [s for s in range(n) if s not in recurrent and not up[s] and not down[s]]
    if rest:
        value[rest] = solve(identity(len(rest)) - P[np.ix_(rest, rest)], r[rest])
    value[up], value[down] = INFINITY, -INFINITY
    return value


def optimal_total(mdp):
    """The largest total reward of each state over deterministic policies; None if undefined for one."""
    values = [total_reward_of_chain(*chain_of(mdp, actions)) for actions in deterministic_policies(mdp)]
    if any(value is None for value in values):
        return None
    return np.array(values).max(axis=0)


def best_hitting_times(mdp, targets):
    """The least expected time to reach any target over deterministic policies."""
    best = None
    for actions in deterministic_policies(mdp):
        P, _ = chain_of(mdp, actions)
        P = P.copy()
        for target in targets:
            P[target] = Fraction(0)
            P[target, target] = Fraction(1)
        cost = np.array([Fraction(int(s not in targets)) for s in range(len(P))])
        times = total_reward_of_chain(P, cost)
        best = times if best is None else np.minimum(best, times)
    return best


def end_components(mdp):
    """The maximal end components, by brute force over sets of states: sets of states, sorted."""
    n = mdp.n_states
    support = mdp.dense_P() > 0
    found = []
    for size in range(n, 0, -1):
        for members in itertools.combinations(range(n), size):
            inside = set(members)
            if any(inside <= other for other in found):
                continue
            inner = {
                s: [a for a in np.flatnonzero(mdp.mask[s]) if set(np.flatnonzero(support[s, a])) <= inside]
                for s in members
            }
            if not all(inner.values()):
                continue
            edges = np.zeros((n, n))
            for s in members:
                for a in inner[s]:
                    edges[s] += support[s, a]
            if reachable(edges)[np.ix_(members, members)].all():
                found.append(inside)
    return sorted(map(sorted, found))
