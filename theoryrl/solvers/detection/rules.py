r"""Restart rules: when a forecaster that began later has won over the one that began at the restart.

With m samples before the candidate change, k after it and n = m + k in all, R-BOCPD restarts as soon as

    eta(m, n) Q(x_{r:s-1}) Q(x_{s:t})  >  Q(x_{r:t})

for some s, where Q is the Dirichlet mixture of the alphabet's distributions. C_O(n) is the number of
compositions, binomial(n + O - 1, O - 1).

=============  =======================================================  =================================
rule           eta                                                      false alarms
=============  =======================================================  =================================
safe           delta / (m (m + 1) C_O(n))                               at most delta for ever, any O
safe_horizon   delta / (T C_O(n)), T at least the number of samples     at most delta in T samples
universal      delta / (m (m + 1)), against max_theta P_theta(x_{r:t})  at most delta; never later than safe
icml2020       as published, recalled, with alpha > 1                   stated for O = 2 (Alami et al. 2020)
inverse_n      1 / n                                                    not controlled
constant       gamma, by default 1 / horizon                            not controlled
=============  =======================================================  =================================
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import gammaln

from theoryrl.models._validation import check_choice, check_count, check_fraction, check_real
from theoryrl.solvers.detection import _kernels

RULES = ("safe", "safe_horizon", "universal", "icml2020", "inverse_n", "constant")
PROVEN = ("safe", "safe_horizon", "universal")


@dataclass(frozen=True)
class RestartRule:
    """A restart rule with its numbers.

    Parameters
    ----------
    eta
        Name of the rule (see the table of this module).
    delta
        Level, in (0, 1); unused by the last two rules.
    alpha
        Exponent of ``"icml2020"``, above 1.
    horizon
        Number of samples T; needed by ``"safe_horizon"``, and by ``"constant"`` without `gamma`.
    gamma
        eta of ``"constant"``, in (0, 1).

    Raises
    ------
    ValueError
        On an unknown rule, or a number out of range or missing.
    """

    eta: str = "safe"
    delta: float = 0.05
    alpha: float = 1.01
    horizon: int | None = None
    gamma: float | None = None

    def __post_init__(self) -> None:
        check_choice("eta", self.eta, RULES)
        check_fraction("delta", self.delta)
        if check_real("alpha", self.alpha) <= 1:
            raise ValueError(f"alpha must be above 1; got {self.alpha!r}")
        if self.horizon is not None:
            check_count("horizon", self.horizon, low=2)
        if self.gamma is not None:
            check_fraction("gamma", self.gamma)
        if self.horizon is None and (
            self.eta == "safe_horizon" or (self.eta == "constant" and self.gamma is None)
        ):
            raise ValueError(f"horizon must be given for eta = {self.eta!r}; got None")

    @property
    def proven(self) -> bool:
        """Whether the probability of a false alarm is proven to be at most `delta`."""
        return self.eta in PROVEN

    @property
    def code(self) -> int:
        """Number of the rule in the kernels."""
        return RULES.index(self.eta)

    @property
    def number(self) -> float:
        """The rule's number for the kernels: log T, alpha or log gamma."""
        if self.eta == "safe_horizon":
            assert self.horizon is not None
            return math.log(self.horizon)
        if self.eta == "constant":
            return math.log(self.gamma) if self.gamma is not None else -math.log(self.horizon or 1)
        return self.alpha

    def check_alphabet(self, n_symbols: int) -> None:
        """Raise unless the rule is defined for this many symbols."""
        check_count("n_symbols", n_symbols, low=2)
        if self.eta == "icml2020" and n_symbols > 2:
            raise ValueError(f"n_symbols must be 2 for eta = 'icml2020'; got {n_symbols}")

    def log_eta(self, m: int, n: int, n_symbols: int) -> float:
        """Return log eta(m, n), for 1 <= m < n (for ``"universal"`` what multiplies Q Q)."""
        self.check_alphabet(n_symbols)
        check_count("m", m)
        check_count("n", n, low=m + 1)
        level = math.log(self.delta)
        if self.eta in ("safe", "universal"):
            value = level - math.log(m * (m + 1))
        elif self.eta == "safe_horizon":
            value = level - self.number
        elif self.eta == "icml2020":
            value = 0.5 * math.log(m * (n - m))
        else:
            value = 0.0
        return value + float(
            _kernels.penalty(self.code, self.number, level, n, log_compositions(n, n_symbols))
        )


def log_compositions(n: int, n_symbols: int) -> float:
    """Return log C_O(n), the logarithm of the number of count vectors of n samples."""
    i = np.arange(1, n_symbols)
    return float(np.log((n + i) / i).sum())


def log_mixture(counts: Int[np.ndarray, "*B O"] | Float[np.ndarray, "*B O"]) -> Float[np.ndarray, "*B"]:
    """Return log Q = log (O-1)! prod_i N_i! / (n + O - 1)!, of a sequence with these counts."""
    N = np.asarray(counts, dtype=np.float64)
    size = N.shape[-1]
    return np.asarray(gammaln(size) + gammaln(N + 1).sum(axis=-1) - gammaln(N.sum(axis=-1) + size))


def log_likelihood(counts: Int[np.ndarray, "*B O"] | Float[np.ndarray, "*B O"]) -> Float[np.ndarray, "*B"]:
    """Return sum_i N_i log(N_i / n), the largest log probability of a sequence with these counts."""
    N = np.asarray(counts, dtype=np.float64)
    n = N.sum(axis=-1, keepdims=True)
    ratio = np.divide(N, n, out=np.ones_like(N), where=N > 0)
    return np.asarray((N * np.log(ratio)).sum(axis=-1))
