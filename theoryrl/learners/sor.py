"""Learning to relax: bandits that choose a solver's parameter from iteration counts.

An arm is a parameter of the grid, its loss the number of iterations. `TsallisINF` (in the baselines, since
any bandit can use it) competes with the best fixed parameter. The learners here see a context c before each
round (a shift of the diagonal, a diffusion coefficient) and compete with policies that map contexts to
parameters.

Source: Khodak, Chow, Balcan and Talwalkar (2024), arXiv 2310.02246.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from theoryrl.learners import _relaxation_kernels as kernels
from theoryrl.learners.baselines.bandits import TsallisINF
from theoryrl.learners.baselines.bandits._weights import draw
from theoryrl.models._validation import check_choice, check_count
from theoryrl.protocol import ArmDecision, BanditObservation, BanditSpec


@dataclass(frozen=True)
class BinnedTsallisINF(TsallisINF):
    """One independent Tsallis-INF for each of m bins of the context.

    Parameters
    ----------
    bins
        m; 5 in the paper's experiment with random shifts, 6 in that with the heat equation.

    Notes
    -----
    With the anytime rate, d arms and losses in [0, K], the expected regret against any map from bins to
    arms is at most ``4 K sqrt(d m T)`` (sum of the bounds of the bins, and Cauchy's inequality).

    See `TsallisINF` for the other parameters; the rate ``"horizon"`` is that of T rounds in every bin.

    Source: Khodak et al. (2024), Algorithm 5.
    """

    bins: int = 6
    key: ClassVar[str] = "binned-tsallis-inf"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("bins", self.bins)

    def context_bins(self, spec: BanditSpec) -> tuple[int, tuple[float, float]]:
        """Cut the range of contexts into equal bins."""
        low, high = require_contexts(spec, self.key)
        return self.bins, (low, (high - low) / self.bins)


@dataclass
class ChebState:
    """What ChebCB remembers; sums are of unscaled targets.

    Attributes
    ----------
    G, g, square
        Gram matrices, feature sums and squared targets of each arm: shapes [d, m, m], [d, m], [d].
    theta
        Coefficients of each arm: shape [d, m].
    largest, smallest
        Largest and smallest count so far; `smallest` starts at 0, see `ChebCB`.
    sums
        Sums over rounds of prediction^2, prediction times count, count^2: shape [3].
    eta
        Learning rate of the next choice; 0 chooses uniformly.
    f, y, p
        Features, predictions and probabilities of the latest choice.
    """

    G: Float[np.ndarray, "d m m"]
    g: Float[np.ndarray, "d m"]
    square: Float[np.ndarray, " d"]
    theta: Float[np.ndarray, "d m"]
    f: Float[np.ndarray, " m"]
    y: Float[np.ndarray, " d"]
    p: Float[np.ndarray, " d"]
    sums: Float[np.ndarray, " three"]
    ends: tuple[float, float]
    rng: np.random.Generator
    context: float
    rounds: int
    horizon: int
    largest: float
    smallest: float
    scale: float
    eta: float


@dataclass(frozen=True)
class ChebCB:
    """Chebyshev regression of the counts on the context, and inverse gap weighting.

    Each arm's count is modelled by m Chebyshev coefficients in a box that holds every Lipschitz function;
    arm i is pulled with probability ``1 / (d + eta (y_i - y*))``, the arm that looks best with the rest.

    Parameters
    ----------
    coefficients
        m; 6 in all experiments of the paper.
    exploration
        ``"released"``: the rate eta of the released code, which grows faster by a factor t;
        ``"theory"``: ``2 sqrt(d T / (R + 2 alpha^2 T))``.
    lipschitz
        How the Lipschitz constant is estimated. ``"max"``: largest count over the width of the contexts,
        which is what the released code does in effect, since its buffer of counts begins with zeros;
        ``"range"``: largest less smallest count.

    Notes
    -----
    For symmetric SOR with random targets the paper states an expected regret of order ``T^(9/11) sqrt(n)``
    against the best parameter for each context (recalled). Eta and the box are estimated along the way, which
    that theorem does not cover, so `guaranteed` is false.

    Source: Khodak et al. (2024), Algorithm 3 and the released code.
    """

    coefficients: int = 6
    exploration: str = "released"
    lipschitz: str = "max"
    key: ClassVar[str] = "cheb-cb"
    EXPLORATIONS: ClassVar[tuple[str, ...]] = ("released", "theory")
    LIPSCHITZ: ClassVar[tuple[str, ...]] = ("max", "range")

    def __post_init__(self) -> None:
        check_count("coefficients", self.coefficients)
        check_choice("exploration", self.exploration, self.EXPLORATIONS)
        check_choice("lipschitz", self.lipschitz, self.LIPSCHITZ)

    @property
    def guaranteed(self) -> bool:
        """No theorem covers constants that are estimated along the way."""
        return False

    def init(self, spec: BanditSpec, rng: np.random.Generator) -> ChebState:
        """Return the state before the first round.

        Raises
        ------
        ValueError
            If there are no contexts.
        """
        d, m = spec.n_arms, self.coefficients
        ends = require_contexts(spec, self.key)
        return ChebState(
            G=np.zeros((d, m, m)), g=np.zeros((d, m)), square=np.zeros(d), theta=np.zeros((d, m)),
            f=np.zeros(m), y=np.zeros(d), p=np.zeros(d), sums=np.zeros(3), ends=ends, rng=rng,
            context=ends[0] if spec.context is None else spec.context, rounds=0, horizon=spec.rounds,
            largest=0.0, smallest=0.0 if self.lipschitz == "max" else math.inf, scale=0.0, eta=0.0,
        )  # fmt: skip

    def plan(self, state: ChebState) -> ArmDecision:
        """Predict every arm at the context, and draw one by inverse gaps."""
        low, high = state.ends
        kernels.chebyshev_features(2 * (state.context - low) / (high - low) - 1, state.f)
        np.dot(state.theta, state.f, out=state.y)
        kernels.inverse_gaps(state.y, state.eta, state.p)
        arm = int(draw(state.p, state.rng))
        return ArmDecision(arm, {"arm": arm, "probability": float(state.p[arm]), "eta": state.eta})

    def update(self, state: ChebState, decision: ArmDecision, observation: BanditObservation) -> ChebState:
        """Add the count to the arm's sums, refit, and set the rate."""
        arm, count = decision.arm, -float(observation.rewards[0])
        predicted = float(state.y[arm])
        state.square[arm] = kernels.add_row(state.G[arm], state.g[arm], state.square[arm], state.f, count - 1)
        state.sums += predicted**2, predicted * count, count**2
        state.rounds += 1
        state.largest, state.smallest = max(state.largest, count), min(state.smallest, count)
        before = state.scale
        box, slope = self.box(state)
        held = kernels.refit(
            state.G, state.g, state.square, state.scale, box, state.theta, arm, state.scale != before
        )
        state.eta = self.rate(state, slope, float(held))
        if observation.context is not None:
            state.context = observation.context
        return state

    def box(self, state: ChebState) -> tuple[Float[np.ndarray, " m"], float]:
        """Set the scale of the targets; return the box of the coefficients, and Lc (b - a) before scaling.

        An Lc-Lipschitz function on [a, b] has Chebyshev coefficients ``|a_j| <= 2 Lc (b - a) / (pi j)``;
        the scale is such that all predictions lie in [-1/2, 1/2].
        """
        m = self.coefficients
        K = max(state.largest, 1.0)
        slope = K if self.lipschitz == "max" else state.largest - state.smallest
        N = 2 + 4 * slope * (1 + math.log(m)) / K
        state.scale = K * N
        return np.array([1 / N, *(2 * slope / (state.scale * j) for j in range(1, m))]), slope

    def rate(self, state: ChebState, slope: float, held: float) -> float:
        """Return eta for the next round, from the squared errors R of the predictions so far."""
        d, t, T = len(state.y), state.rounds, state.horizon
        alpha = kernels.approximation_error(self.coefficients, slope) / state.scale
        squares, products, counts = state.sums
        R = squares - 2 * products / state.scale + counts / state.scale**2
        if self.exploration == "theory":
            return 2 * math.sqrt(d * T / max(R + 2 * alpha**2 * T, SMALLEST))
        return 2 * t * math.sqrt(d * t / max(R - held + 2 * alpha**2 * t, SMALLEST))


SMALLEST = 1e-12
"""Squared errors below this count as this, so that the rate stays finite."""


def require_contexts(spec: BanditSpec, key: str) -> tuple[float, float]:
    """Return the range of contexts, or say that there is none."""
    if spec.context_range is None:
        raise ValueError(f"{key} needs contexts; spec.context_range is None")
    return spec.context_range


__all__ = ["BinnedTsallisINF", "ChebCB", "ChebState"]
