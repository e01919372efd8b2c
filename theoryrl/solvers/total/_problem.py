r"""Where total rewards are infinite, and the merged problem that is left.

A process *ends* when it stays for ever in a part of the model at reward zero: an end component of the
actions with r = 0. These components are found first and merged (a free cycle has many fixed points of
Bellman's equation otherwise, and value iteration from above stops at a wrong one).

*Rewards r >= 0*: the value is +infinity exactly in the states from which some policy can reach an end
component with a positive reward in it. Elsewhere no end component is left after merging.

*Otherwise*: if some rewards are negative, a policy that does not end with probability one collects
-infinity, provided that going on for ever loses. With r <= 0 it does: each remaining end component
pays something negative in the long run, being finite. With both signs it is checked, by the strict
inequality of the upper bound (see `theoryrl.solvers._quotient`). Hence the value is -infinity exactly in
the states from where no *proper* policy exists, one that ends with probability one: a question about
the graph (Bertsekas and Tsitsiklis 1991; Baier and Katoen 2008, chapter 10).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from theoryrl.models import AverageRewardMDP, DeterministicPolicy, TotalRewardMDP
from theoryrl.models._validation import check_type
from theoryrl.solvers._quotient import NodeValues, Quotient
from theoryrl.solvers._reach import surely_reaching
from theoryrl.solvers._rows import Attractor
from theoryrl.solvers.average._certificate import Setting
from theoryrl.solvers.average.policy_iteration import best_bounds
from theoryrl.solvers.classes import EndComponents, communicating_classes
from theoryrl.solvers.total.solution import TotalSolution

NO_MEANING = (
    "mdp has rewards of both signs and must then lose when it goes on for ever, as its total reward may "
    "have no meaning otherwise; that could not be proven"
)


@dataclass(frozen=True)
class TotalProblem:
    """A total-reward model, ready to be solved where its value is finite.

    Attributes
    ----------
    infinite
        +inf or -inf where the value is known to be that, 0 elsewhere: shape [S].
    merged
        The problem of the other states; those with an infinite value stop at once for nothing in it.
    fallback
        Actions of states that the merged problem does not decide: shape [S].
    signed
        Whether rewards of both signs occur.
    """

    mdp: TotalRewardMDP
    infinite: np.ndarray
    merged: Quotient
    fallback: np.ndarray
    attract: Attractor
    signed: bool

    def solution(self, found: NodeValues, method: str) -> TotalSolution:
        """Return the answer for states from that of nodes."""
        finite = self.infinite == 0
        node = self.merged.node
        lower, value, upper = (
            np.where(finite, x[node], self.infinite) for x in (found.lower, found.value, found.upper)
        )
        actions = self.merged.actions(found.choice, self.fallback, self.attract)
        both = np.isfinite(lower) & np.isfinite(upper)
        with np.errstate(invalid="ignore"):
            value = np.where(both, lower + (upper - lower) / 2, value)
        policy = DeterministicPolicy(actions, self.mdp.n_actions)
        return TotalSolution(value, policy, lower, upper, found.iterations, method, finite)


def prepare(mdp: TotalRewardMDP) -> TotalProblem:
    """Find the infinite values and merge what costs nothing."""
    check_type("mdp", mdp, TotalRewardMDP)
    mask, r = mdp.mask, mdp.r
    available = r[mask]
    signed = bool(available.min() < 0 < available.max())
    attract = Attractor(mdp)
    free = communicating_classes(mdp, r == 0)
    fallback = mask.argmax(axis=1)
    if available.min() >= 0:
        infinite, active = _gaining(mdp, attract, fallback)
    else:
        if signed:
            _check_losing(mdp, free)
        infinite, active = _losing(mdp, free, attract)
    known = infinite != 0
    free = _without(free, known)
    fallback = np.where(free.labels >= 0, free.inner.argmax(axis=1), fallback)
    merged = Quotient.merge(mdp, free, r, active & ~known[:, None], np.zeros(free.n))
    merged.stay[merged.node[known]] = 0.0
    return TotalProblem(mdp, infinite, merged, fallback, attract, signed)


def _gaining(mdp: TotalRewardMDP, attract: Attractor, fallback: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (+inf where a rewarding cycle can be reached, actions to use); fill the actions there."""
    parts = communicating_classes(mdp)
    rewarding = parts.inner & (mdp.r > 0)
    source = np.asarray(rewarding.any(axis=1))
    paying = np.zeros(mdp.n_states, dtype=np.bool_)
    paying[parts.labels >= 0] = np.isin(parts.labels, parts.labels[source])[parts.labels >= 0]
    fallback[source] = rewarding.argmax(axis=1)[source]
    attract(parts.inner & paying[:, None], source, fallback)
    reached = attract(mdp.mask, paying, fallback)
    return np.where(reached, np.inf, 0.0), mdp.mask


def _check_losing(mdp: TotalRewardMDP, free: EndComponents) -> None:
    """Raise unless every end component in which no process can end has a negative optimal gain.

    Those in which it can are covered by the strict inequality of the upper bound.
    """
    setting = Setting(AverageRewardMDP(mdp.P, mdp.r, mdp.allowed))
    endless = np.ones(setting.parts.n, dtype=np.bool_)
    endless[setting.parts.labels[(free.labels >= 0) & (setting.parts.labels >= 0)]] = False
    if not endless.any():
        return
    high = best_bounds(setting).high
    wrong = np.flatnonzero(endless & ~(high < 0))
    if wrong.size:
        state = int(np.argmax(setting.parts.labels == wrong[0]))
        raise ValueError(
            f"{NO_MEANING}; from state {state} the average reward of going on can be {high[wrong[0]]:.3g}"
        )


def _losing(mdp: TotalRewardMDP, free: EndComponents, attract: Attractor) -> tuple[np.ndarray, np.ndarray]:
    """Return (-inf where no policy ends for sure, actions that keep the others among themselves)."""
    kept, active = surely_reaching(mdp, free.labels >= 0, mdp.mask, attract)
    return np.where(kept, 0.0, -np.inf), active


def _without(parts: EndComponents, known: np.ndarray) -> EndComponents:
    """Return the components among the states whose value is not known yet, numbered anew."""
    inside = (parts.labels >= 0) & ~known
    labels = np.full(parts.labels.size, -1, dtype=np.int64)
    names, labels[inside] = np.unique(parts.labels[inside], return_inverse=True)
    return EndComponents(labels, parts.inner & inside[:, None], int(names.size))


def proper_states(mdp: TotalRewardMDP) -> np.ndarray:
    """Return where some policy ends with probability one: booleans of shape [S].

    To end is to stay for ever in a set of states at reward zero.
    """
    check_type("mdp", mdp, TotalRewardMDP)
    infinite, _ = _losing(mdp, communicating_classes(mdp, mdp.r == 0), Attractor(mdp))
    return np.asarray(infinite == 0)
