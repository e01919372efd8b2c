"""How many online episodes a data set leaves to be played: the offline-to-online coefficient.

For a class Pi of policies with gaps ``gap(pi) = max_Pi V - V^pi``, occupancies w^pi and offline visits N,
a flow x of T online episodes leaves the error ::

    C(x) = max_{pi, h} sum_{s,a} w^pi_h(s,a)^2 / (x_h(s,a) + N_h(s,a)) / max(gap(pi), eps)^2,

with 0/0 = 0. The coefficient is its minimum over the flows of mass T, and T_o2o(N, eps; beta) is the least
mass with ``C(x) <= 1/beta``. In a linear MDP the sum is the squared norm of ``E_pi phi`` in the inverse of
``Lambda = sum (x + N) phi phi^T``.

The paper's T^h constrains one stage at a time and its bound sums over stages; the joint version asks one
flow to satisfy every stage. Policies enter the program as they are violated.

Source: Wagenmaker and Pacchiano (2022), arXiv:2211.04974, definition of the coefficient as recalled; the
method and its certificates are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.models import EpisodicMDP, LinearMDP, PolicyClass, TransitionCounts
from theoryrl.models._validation import at, check_flag, check_real, check_type, first_index, real_array
from theoryrl.solvers.experiment_design import _kernels
from theoryrl.solvers.experiment_design._barrier import (
    Errors,
    LinearErrors,
    Network,
    Optimum,
    Program,
    TabularErrors,
    minimise,
)

ROUNDING = 1e-14
"""Relative rounding of an error, a sum of a few terms, that is compared with its limit."""

ADDED = 8
"""Most violated constraints that enter the program at a time, for each stage."""

FEASIBLE = 1e-9
"""Relative violation at which a constraint enters; any violation, where that leaves the bounds apart."""


@dataclass(frozen=True, eq=False)
class OnlineDesign:
    """A design and the proof that it is nearly the best.

    Attributes
    ----------
    value
        T_o2o, or the coefficient; the upper bound, which `flow` attains.
    lower, upper
        Proven bounds.
    flow
        Online visits x[h, s, a] of the joint design; None where each stage has a design of its own.
    stages
        Without `joint`: the value of each stage, of which `value` is the sum (T) or the maximum (C).
    """

    value: float
    lower: float
    upper: float
    flow: Float[np.ndarray, "H S A"] | None
    stages: Float[np.ndarray, " H"] | None = None

    @property
    def gap(self) -> float:
        """Distance of the proven bounds."""
        return self.upper - self.lower


class DesignError(RuntimeError):
    """The bounds did not meet: no answer is better than a wrong one."""


def class_occupancies(
    P: Float[np.ndarray, "H S A S"], rho: Float[np.ndarray, " S"], policies: PolicyClass
) -> Float[np.ndarray, "M H S"]:
    """Return the probability of each state under each policy; P may be sub-stochastic."""
    d = np.empty(policies.actions.shape)
    _kernels.occupancies(P, rho, policies.actions, d)
    return d


def class_values(mdp: EpisodicMDP, policies: PolicyClass) -> Float[np.ndarray, " M"]:
    """Return the exact value of each policy of the class."""
    d = class_occupancies(mdp.P, mdp.rho, policies)
    H, S = np.ogrid[: mdp.horizon, : mdp.n_states]
    return np.asarray((d * mdp.r[H, S, policies.actions]).sum(axis=(1, 2)))


def minimal_online_episodes(
    model: EpisodicMDP | LinearMDP,
    policies: PolicyClass,
    eps: float,
    beta: float,
    offline: Any = None,
    joint: bool = True,
    tol: float = 1e-6,
    ridge: float = 0.0,
) -> OnlineDesign:
    """Return T_o2o: the least mass of a flow with ``C(x) <= 1/beta``, with a flow that attains it.

    Parameters
    ----------
    model
        The true model; a `LinearMDP` is judged through its features.
    policies
        The class.
    eps, beta
        Accuracy, and the squared confidence radius: positive.
    offline
        Offline visits N[h, s, a] (real numbers allowed: expected visits), or `TransitionCounts`.
    joint
        One flow for all stages; otherwise each stage by itself, as in the paper, and the sum.
    tol
        Relative distance of the proven bounds.
    ridge
        Added to the diagonal of every Lambda of a linear model.

    Raises
    ------
    ValueError
        If an argument is not admissible.
    DesignError
        If the bounds do not meet.
    """
    targets = _Targets.of(model, policies, eps, offline, ridge)
    limits = targets.floors / _positive("beta", beta)
    if check_flag("joint", joint):
        return targets.solve(limits, None, tol, range(targets.horizon))
    each = [targets.solve(limits, None, tol, [h]) for h in range(targets.horizon)]
    stages = np.array([design.value for design in each])
    lower, upper = (float(sum(getattr(d, side) for d in each)) for side in ("lower", "upper"))
    return OnlineDesign(float(stages.sum()), lower, upper, None, stages)


def offline_to_online_coefficient(
    model: EpisodicMDP | LinearMDP,
    policies: PolicyClass,
    eps: float,
    episodes: float,
    offline: Any = None,
    tol: float = 1e-6,
    ridge: float = 0.0,
) -> OnlineDesign:
    """Return the coefficient C_o2o: the least error that `episodes` online episodes leave (joint version).

    Parameters and errors as for `minimal_online_episodes`.
    """
    targets = _Targets.of(model, policies, eps, offline, ridge)
    mass = _positive("episodes", episodes)
    return targets.solve(targets.floors, mass, tol, range(targets.horizon))


def minimal_flow(
    P: Float[np.ndarray, "H S A S"],
    rho: Float[np.ndarray, " S"],
    policies: PolicyClass,
    offsets: Float[np.ndarray, "H S A"],
    limits: Float[np.ndarray, " M"],
    tol: float = 1e-6,
) -> OnlineDesign:
    """Return the flow of least mass with ``sum w_h^2 / (x_h + N_h) <= limit`` for each policy and stage.

    The model may be sub-stochastic: an empirical one, in which mass is lost at pairs without data.
    """
    d = class_occupancies(P, rho, policies)
    floors = np.repeat(limits[:, None], len(P), axis=1)
    targets = _Targets(Network.of(P, rho), floors, policies, d, None, offsets, 0.0)
    return targets.solve(floors, None, tol, range(len(P)))


def visit_array(offline: Any, shape: tuple[int, int, int]) -> Float[np.ndarray, "H S A"]:
    """Return offline visits as an array; raise unless they are non-negative and of that shape."""
    if offline is None:
        return np.zeros(shape)
    if isinstance(offline, TransitionCounts):
        offline = offline.visits
    visits = real_array("offline", offline, shape)
    if (visits < 0).any():
        index = first_index(visits < 0)
        raise ValueError(f"{at('offline', index)} must be a number of visits; got {float(visits[index])!r}")
    return visits


def _positive(name: str, value: Any) -> float:
    number = check_real(name, value, low=0.0)
    if number == 0:
        raise ValueError(f"{name} must be positive; got {value!r}")
    return number


@dataclass(frozen=True, eq=False)
class _Targets:
    """The constraints of all policies and stages; rows are made for those in use."""

    network: Network
    floors: Float[np.ndarray, "M H"]
    policies: PolicyClass
    d: Float[np.ndarray, "M H S"]
    phi: Float[np.ndarray, "S A d"] | None
    offsets: Float[np.ndarray, "H S A"]
    ridge: float

    @classmethod
    def of(cls, model: Any, policies: Any, eps: float, offline: Any, ridge: float) -> _Targets:
        check_type("model", model, EpisodicMDP, LinearMDP)
        check_type("policies", policies, PolicyClass)
        mdp = model.to_episodic() if isinstance(model, LinearMDP) else model
        sizes = policies.horizon, policies.n_states, policies.n_actions
        if sizes != mdp.r.shape:
            raise ValueError(f"policies must have (H, S, A) = {mdp.r.shape} of the model; got {sizes}")
        values = class_values(mdp, policies)
        floors = np.maximum(values.max() - values, _positive("eps", eps)) ** 2
        return cls(
            Network.of(mdp.P, mdp.rho),
            np.repeat(floors[:, None], mdp.horizon, axis=1),
            policies,
            class_occupancies(mdp.P, mdp.rho, policies),
            model.phi if isinstance(model, LinearMDP) else None,
            visit_array(offline, mdp.r.shape),
            check_real("ridge", ridge, low=0.0),
        )

    @property
    def horizon(self) -> int:
        return self.policies.horizon

    def errors(self, rows: list[tuple[int, int]]) -> Errors:
        """Return the errors of the constraints (policy, stage)."""
        used = self.network.used
        m, h = np.array(rows).T
        w = np.zeros((len(rows), *used.shape))
        states = np.arange(self.policies.n_states)
        w[np.arange(len(rows))[:, None], h[:, None], states, self.policies.actions[m, h]] = self.d[m, h]
        if self.phi is None:
            return TabularErrors(w[:, used] ** 2, self.offsets[used])
        targets = np.einsum("isa,sad->id", w[np.arange(len(rows)), h], self.phi)
        cells = np.nonzero(used)
        apart = np.where(used, 0.0, self.offsets)
        bases = np.einsum("hsa,sad,sae->hde", apart, self.phi, self.phi)
        bases += self.ridge * np.eye(self.phi.shape[2])
        return LinearErrors(targets, h, self.phi[cells[1], cells[2]], cells[0], self.offsets[used], bases)

    def excess(self, x: np.ndarray, limits: np.ndarray, stages: Any) -> np.ndarray:
        """Return f / limit of every constraint at a flow: shape [M, H]; zero at other stages."""
        full = np.zeros(limits.shape)
        total = self.network.spread(x) + self.offsets
        for h in stages:
            if self.phi is None:
                square = self.d[:, h] ** 2
                load = total[h][np.arange(square.shape[1]), self.policies.actions[:, h]]
                with np.errstate(divide="ignore"):
                    terms = np.divide(square, load, out=np.zeros(square.shape), where=square > 0)
                full[:, h] = terms.sum(axis=1)
            else:
                full[:, h] = self._linear_errors(total[h], h)
        return full / limits

    def _linear_errors(self, load: np.ndarray, h: int) -> np.ndarray:
        assert self.phi is not None
        S, _, d = self.phi.shape
        Lambda = np.einsum("sa,sad,sae->de", load, self.phi, self.phi) + self.ridge * np.eye(d)
        own = self.phi[np.arange(S), self.policies.actions[:, h]]
        targets = np.einsum("ms,msd->md", self.d[:, h], own)
        solution = np.linalg.lstsq(Lambda, targets.T, rcond=1e-13)[0].T
        missed = np.abs(solution @ Lambda - targets).max(axis=1) > 1e-9
        return np.where(missed, np.inf, np.einsum("md,md->m", targets, solution))

    def solve(self, limits: np.ndarray, mass: float | None, tol: float, stages: Any) -> OnlineDesign:
        """Solve with the constraints that matter, adding those that the answer violates."""
        zero = np.zeros(int(self.network.used.sum()))
        if mass is None and (self.excess(zero, limits, stages) <= 1).all():
            return OnlineDesign(0.0, 0.0, 0.0, self.network.spread(zero))
        start = np.maximum(self.network.flow_of(zero, 1.0), 0.0)
        rows: list[tuple[int, int]] = []
        best: Optimum | None = None
        flow, scale = start if mass is None else mass * start, 1.0
        strictest, tolerated = self._strictest(limits), FEASIBLE
        while True:
            ratio = np.where(strictest, self.excess(flow, limits, stages), 0.0)
            new = [
                (int(m), h)
                for h in stages
                for m in np.argsort(-ratio[:, h], kind="stable")[:ADDED]
                if (not rows or ratio[m, h] > scale * (1 + tolerated)) and (int(m), h) not in rows
            ]
            if not new and best is not None:
                answer = self._answer(best, mass, limits, stages)
                if answer.upper < np.inf and answer.gap <= tol * answer.upper:
                    return answer
                if tolerated == 0:
                    raise DesignError(
                        f"the proven bounds [{answer.lower:.9g}, {answer.upper:.9g}] are further apart than "
                        f"{tol:g}"
                    )
                # Where the data are many times the design, a small violation asks for much of it.
                tolerated = 0.0
                continue
            rows += new
            best = self._restricted(rows, limits, mass, start, tol)
            flow, scale = best.flow, 1.0 if mass is None else best.upper

    def _strictest(self, limits: np.ndarray) -> np.ndarray:
        """Return which policies are the first with the least limit among those of equal occupancy: [M, H]."""
        first = np.zeros(limits.shape, dtype=bool)
        for h in range(limits.shape[1]):
            taken = np.where(self.d[:, h] > 0, self.policies.actions[:, h], -1)
            order = np.argsort(limits[:, h], kind="stable")
            _, index = np.unique(np.hstack([self.d[:, h], taken])[order], axis=0, return_index=True)
            first[order[index], h] = True
        return first

    def _restricted(
        self,
        rows: list[tuple[int, int]],
        limits: np.ndarray,
        mass: float | None,
        start: np.ndarray,
        tol: float,
    ) -> Optimum:
        m, h = np.array(rows).T
        program = Program(self.network, self.errors(rows), limits[m, h], mass)
        if mass is not None:
            x = mass * start
            return minimise(program, x, 2 * float((program.errors.values(x) / program.limits).max()), tol / 4)
        t = 1.0
        while (program.errors.values(t * start) >= program.limits / 2).any():
            t *= 2
            if t > 1e300:
                raise DesignError(
                    "no number of episodes satisfies every constraint: is some feature unreachable?"
                )
        return minimise(program, t * start, t, tol / 4)

    def _answer(self, best: Optimum, mass: float | None, limits: np.ndarray, stages: Any) -> OnlineDesign:
        """Return the optimum of all constraints: the restricted one, moved to satisfy the rest as well."""

        def worst(flow: np.ndarray) -> float:
            return float(self.excess(flow, limits, stages).max())

        if mass is not None:
            upper, flow = worst(best.flow), best.flow
        else:
            # Offline data do not grow with the flow: it must be multiplied until all is satisfied.
            low, high = 1.0, 1.0
            while worst(high * best.flow) > 1 + ROUNDING and high < 2:
                low, high = high, 1 + 4 * max(high - 1, ROUNDING)
            for _ in range(30 if high > 1 else 0):
                middle = (low + high) / 2
                low, high = (low, middle) if worst(middle * best.flow) <= 1 + ROUNDING else (middle, high)
            flow = high * best.flow
            upper = high * best.upper if high < 2 else np.inf
        return OnlineDesign(upper, best.lower, upper, self.network.spread(flow))


def design_errors(
    mdp: EpisodicMDP, policies: PolicyClass, eps: float, offline: Any
) -> tuple[Network, Errors, np.ndarray]:
    """Return the network, and the errors of all policies and stages, repetitions aside, with their limits."""
    targets = _Targets.of(mdp, policies, eps, offline, 0.0)
    rows = [(int(m), int(h)) for m, h in np.argwhere(targets._strictest(targets.floors))]
    return targets.network, targets.errors(rows), targets.floors[tuple(np.array(rows).T)]
