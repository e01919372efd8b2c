"""Values of many policies from one data set, and how far off they can be.

With n visits, next states and rewards of every pair, lambda > 0, and ::

    Phat = n3 / (n + lambda),  Rhat = sums / (n + lambda),  what_1 = rho,  what_{h+1} = what_h through Phat,

the estimate of a policy is ``Vhat = sum what Rhat``, and its width ::

    W = sum_h g_h |what_h|_{1/(n_h + lambda)} + sqrt(kappa) sum_h (H-h+1) sum what_h lambda/(n_h + lambda).

In the mode ``self-normalized`` ::

    g_h = (H-h+1)/2 sqrt( kappa (2 log(H |Pi| / delta) + sum_{s,a} log(1 + n_h / lambda)) ),

and with kappa = 1, with probability 1 - delta, ``|Vhat - V| <= W`` for all policies *at all times*, however
the data were collected. ``fixed-design`` replaces the root by ``sqrt(2 kappa log(2 H |Pi| / delta))``: that
is proven only for independent episodes of policies fixed in advance and one look at a time fixed in advance.

Source: ours; proofs on the FTPedel page, evaluation identity and widths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.models import PolicyClass, TransitionCounts
from theoryrl.models._validation import check_choice, check_fraction, check_real, check_type
from theoryrl.solvers.experiment_design import _kernels
from theoryrl.solvers.experiment_design.coefficient import class_occupancies

CONFIDENCE = ("self-normalized", "fixed-design")


@dataclass(frozen=True, eq=False)
class PolicyWidths:
    """Estimated values with their widths.

    Attributes
    ----------
    values
        Vhat of each policy: shape [M].
    widths
        W of each policy: shape [M].
    radii
        g_h: shape [H].
    occupancies
        what[m, h, s], estimated mass of each state.
    """

    values: Float[np.ndarray, " M"]
    widths: Float[np.ndarray, " M"]
    radii: Float[np.ndarray, " H"]
    occupancies: Float[np.ndarray, "M H S"]


@dataclass(frozen=True, eq=False)
class EmpiricalModel:
    """The sub-stochastic model of the data; a pair without data leads nowhere and pays nothing."""

    P: Float[np.ndarray, "H S A S"]
    R: Float[np.ndarray, "H S A"]
    N: Float[np.ndarray, "H S A"]
    rho: Float[np.ndarray, " S"]
    lam: float

    @classmethod
    def of(cls, transitions: np.ndarray, sums: np.ndarray, rho: np.ndarray, lam: float) -> EmpiricalModel:
        """Return the model of counts n[h, s, a, s'] and sums of rewards."""
        N = transitions.sum(axis=3).astype(np.float64)
        return cls(transitions / (N + lam)[..., None], sums / (N + lam), N, rho, lam)

    def evaluate(self, actions: np.ndarray, radii: np.ndarray, root: float) -> PolicyWidths:
        """Return values and widths of policies [M, H, S]; `root` multiplies the bias term."""
        d = np.empty(actions.shape)
        _kernels.occupancies(self.P, self.rho, actions, d)
        values, widths = np.empty(len(actions)), np.empty(len(actions))
        _kernels.widths(actions, d, self.N, self.lam, radii, root, values, self.R, widths)
        return PolicyWidths(values, widths, radii, d)


def confidence_radii(
    N: Float[np.ndarray, "H S A"],
    log_policies: float,
    delta: float,
    lam: float,
    kappa: float = 1.0,
    confidence: str = "self-normalized",
) -> Float[np.ndarray, " H"]:
    """Return g_h for visits N; `log_policies` is ``log |Pi|`` of the class before any elimination."""
    H = len(N)
    remaining = np.arange(H, 0, -1.0)
    if confidence == "self-normalized":
        square = 2 * (np.log(H / delta) + log_policies) + np.log1p(N / lam).sum(axis=(1, 2))
    else:
        square = np.full(H, 2 * (np.log(2 * H / delta) + log_policies))
    return np.asarray(remaining / 2 * np.sqrt(kappa * square))


def policy_widths(
    data: TransitionCounts,
    rho: Float[np.ndarray, " S"],
    policies: PolicyClass,
    delta: float,
    lam: float = 1.0,
    conf_scale: float = 1.0,
    confidence: str = "self-normalized",
) -> PolicyWidths:
    """Return estimated values and widths of all policies of a class.

    Parameters
    ----------
    data
        All data, offline and online.
    rho
        Distribution of the first state, known.
    policies
        The class, fixed before any data were seen.
    delta
        Probability with which the widths may fail.
    lam
        lambda, positive.
    conf_scale
        kappa, the factor on every squared radius; the proof is for 1.
    confidence
        ``"self-normalized"`` or ``"fixed-design"``.

    Raises
    ------
    ValueError
        If an argument is not admissible.
    """
    check_type("data", data, TransitionCounts)
    check_type("policies", policies, PolicyClass)
    if (policies.horizon, policies.n_states, policies.n_actions) != data.shape:
        raise ValueError(f"policies must have (H, S, A) = {data.shape} of the data; got {policies!r}")
    check_choice("confidence", confidence, CONFIDENCE)
    model = EmpiricalModel.of(data.transitions, data.reward_sums, rho, _positive("lam", lam))
    kappa = _positive("conf_scale", conf_scale)
    log_policies = float(np.log(len(policies)))
    radii = confidence_radii(model.N, log_policies, check_fraction("delta", delta), lam, kappa, confidence)
    return model.evaluate(policies.actions, radii, float(np.sqrt(kappa)))


def _positive(name: str, value: Any) -> float:
    number = check_real(name, value, low=0.0)
    if number == 0:
        raise ValueError(f"{name} must be positive; got {value!r}")
    return number


__all__ = ["EmpiricalModel", "PolicyWidths", "class_occupancies", "confidence_radii", "policy_widths"]
