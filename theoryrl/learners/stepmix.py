"""StepMix and EpsMix: near-optimal exploration that is safe in every episode.

Given a baseline pi^b and a threshold gamma < V^{pi^b}, find a policy for each episode whose exact
value is at least gamma, in all episodes at once with probability 1 - delta, at the regret rate of
unconstrained learning. Both algorithms play the optimistic policy barpi as soon as its certified
lower bound reaches gamma. Until then they mix it with the baseline so that the certified lower
bound of the mixture *equals* gamma: StepMix mixes two nested policies at the one stage where they
differ, EpsMix tosses a coin for the whole episode.

Source: Li, Huang, Shen and Yang (2023), arXiv 2306.06265. The shape of the algorithms is the
paper's; the bounds in the modes ``kl`` and ``bernstein`` are derived and proved on the StepMix page,
and ``bpi-ucbvi`` is in the style of the paper with constants that dominate ``bernstein``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from theoryrl.learners._counts import require_baseline, require_threshold, require_unit_rewards, visit_budget
from theoryrl.learners._family import BoundOptions, FamilyState
from theoryrl.learners._guarantee import warn_if_void
from theoryrl.learners.offline_baseline import (
    METHODS,
    LearnedBaseline,
    learn_baseline,
    observed_rewards,
    warm_start_counts,
)
from theoryrl.models import DeterministicPolicy, MarkovPolicy, MixturePolicy, Policy
from theoryrl.models._validation import check_choice, check_flag, check_fraction, check_real
from theoryrl.protocol import EpisodicDecision, EpisodicSpec
from theoryrl.solvers.episodic import Trajectories
from theoryrl.solvers.episodic._kernels import count_transitions

OPTIMISTIC, MIXTURE, BASELINE = 0.0, 1.0, 2.0
SWITCH_RULES = ("min", "best-ucb")


class Choice(NamedTuple):
    """Which policy an episode plays.

    Attributes
    ----------
    kind
        0 optimistic, 1 mixture, 2 baseline.
    switch
        Member j of the family; the mixture is between members `conservative` = j and `bold`.
    bold
        The less conservative neighbour (j - 1 for StepMix, 0 for EpsMix); j if nothing is mixed.
    weight
        Weight w of member j, in (0, 1]; 1 if nothing is mixed.
    lower, upper
        Interpolated bounds on the value of the chosen policy and on the best comparator.
    """

    kind: float
    switch: int
    bold: int
    weight: float
    lower: float
    upper: float

    @property
    def width(self) -> float:
        """D_k, the interpolated upper minus the interpolated lower bound."""
        return self.upper - self.lower


def choose(
    upper: Float[np.ndarray, " J"],
    lower: Float[np.ndarray, " J"],
    threshold: float,
    steps: tuple[tuple[int, int], ...],
    rule: str = "min",
) -> Choice:
    """Pick the policy of an episode from the bounds at the start of the episode.

    Parameters
    ----------
    upper, lower
        U[j] and L[j] averaged over the first state, for each member j: shape [H+1].
    threshold
        gamma.
    steps
        The allowed mixtures (bold, conservative): (j-1, j) for StepMix, (0, H) for EpsMix.
    rule
        ``"min"``: the least conservative mixture that is certified; ``"best-ucb"``: among the pairs
        with L[bold] < gamma <= L[conservative], the one with the largest interpolated U.

    Returns
    -------
    Choice
        With weight w = (gamma - L[bold]) / (L[conservative] - L[bold]), so that the interpolated
        lower bound is gamma. No tolerance: at equality the pair counts as certified.
    """
    if lower[0] >= threshold:
        return Choice(OPTIMISTIC, 0, 0, 1.0, float(lower[0]), float(upper[0]))
    candidates = []
    for bold, conservative in steps:
        if lower[bold] < threshold <= lower[conservative]:
            weight = float((threshold - lower[bold]) / (lower[conservative] - lower[bold]))
            mixed = [weight * float(b[conservative]) + (1 - weight) * float(b[bold]) for b in (lower, upper)]
            candidates.append(Choice(MIXTURE, conservative, bold, weight, *mixed))
            if rule == "min":
                break
    if candidates:
        return max(candidates, key=lambda choice: choice.upper)
    last = len(lower) - 1
    return Choice(BASELINE, last, last, 1.0, float(lower[last]), float(upper[last]))


@dataclass
class ConservativeState:
    """State of a run: the family's bounds, and what they led to.

    Attributes
    ----------
    family
        Counts and bounds.
    baseline
        The baseline in use: the given one, or one learned from offline data.
    certificate
        Certified value of a learned baseline; -inf for a given one.
    threshold
        gamma, or None in the relative form.
    choice
        The choice of the current decision.
    """

    family: FamilyState
    baseline: MarkovPolicy
    certificate: float
    threshold: float | None
    rho: Float[np.ndarray, " S"]
    rewards_known: bool
    members: Bool[np.ndarray, " J"]
    choice: Choice | None = None

    def start_bounds(self) -> tuple[Float[np.ndarray, " J"], Float[np.ndarray, " J"]]:
        """Return U[j] and L[j] averaged over the first state."""
        upper, lower = self.family.U[:, 0] @ self.rho, self.family.L[:, 0] @ self.rho
        lower[-1] = max(lower[-1], self.certificate)
        return upper, lower


@dataclass(frozen=True, kw_only=True)
class ConservativeLearner:
    """What StepMix and EpsMix share; use one of these two.

    Parameters
    ----------
    delta
        Probability that any episode violates the constraint, at most.
    bounds
        ``"kl"`` (recommended), ``"bernstein"``, ``"bpi-ucbvi"``, or several joined by ``+``.
    bonus_scale
        Factor on the bonuses, for illustration; below 1 the guarantee is void.
    refresh_growth
        g: bounds are recomputed when some visit count has grown by the factor 1 + g (and at first
        visits); 0 recomputes after every episode, as the paper does.
    orientation
        ``"baseline-first"`` (baseline at the head, optimistic tail) or ``"optimistic-first"``.
    n_min
        Visits below which a pair has the trivial bounds.
    running, clip
        Refinements of the bounds; see `theoryrl.learners._family.BoundOptions`.
    relative_loss
        alpha in (0, 1): the threshold is (1 - alpha) times the baseline's value, for problems that
        state none (one that does is refused). Without `baseline_value_bound` the moving threshold
        (1 - alpha) U[H] is used, which is safe on the same event.
    baseline_value_bound
        An *upper* bound V_ub >= V^{pi^b} on the baseline's value, for the relative form; the threshold
        is (1 - alpha) V_ub. It must be below V^{pi^b}, or the baseline itself would not satisfy it.
        The learner cannot check these two conditions; an audited run refuses where they fail.
    offline
        Learn the baseline from the spec's data: ``"kl"``, ``"fold-hoeffding"``, ``"fold-bernstein"``
        or ``"vi-lcb"``. Then delta is split evenly between the data and the episodes.
    warm_start
        Start the counts from the offline data (``kl`` bounds only, where it is valid).
    allow_uncertified
        Play a learned baseline whose certificate is below the threshold (voids the guarantee).
    """

    delta: float = 0.05
    bounds: str = "kl"
    bonus_scale: float = 1.0
    refresh_growth: float = 0.0
    orientation: str = "baseline-first"
    n_min: int = 1
    running: bool = True
    clip: bool = False
    relative_loss: float | None = None
    baseline_value_bound: float | None = None
    offline: str | None = None
    warm_start: bool = False
    allow_uncertified: bool = False
    _options: BoundOptions = field(init=False, repr=False, compare=False)

    key: ClassVar[str]

    def __post_init__(self) -> None:
        check_real("refresh_growth", self.refresh_growth, low=0.0)
        if self.relative_loss is not None:
            check_fraction("relative_loss", self.relative_loss)
        if self.baseline_value_bound is not None:
            check_real("baseline_value_bound", self.baseline_value_bound, low=0.0)
            if self.relative_loss is None:
                raise ValueError("baseline_value_bound is used only together with relative_loss")
        if self.offline is not None:
            check_choice("offline", self.offline, METHODS)
        check_flag("warm_start", self.warm_start)
        check_flag("allow_uncertified", self.allow_uncertified)
        if self.warm_start and (self.offline is None or self.bounds != "kl"):
            raise ValueError(
                "warm_start is valid only for bounds = 'kl' with an offline baseline: the comparators of "
                "the other bounds would depend on the counts they are compared with"
            )
        share = self.delta if self.offline is None else check_fraction("delta", self.delta) / 2
        options = BoundOptions(
            self.bounds, share, self.bonus_scale, self.n_min, self.orientation, self.running, self.clip
        )
        object.__setattr__(self, "_options", options)
        warn_if_void(self, self.bonus_scale, *self._reservations())

    @property
    def guaranteed(self) -> bool:
        """Whether the constants are those of the theory."""
        return self.bonus_scale >= 1 and not self._reservations()

    def _reservations(self) -> list[str]:
        """What voids the guarantee besides scaled bonuses."""
        reasons = ["allow_uncertified is set"] if self.allow_uncertified else []
        if self.offline == "vi-lcb":
            reasons.append("offline = 'vi-lcb' has no stated confidence")
        return reasons

    def init(self, spec: EpisodicSpec, rng: np.random.Generator) -> ConservativeState:
        """Return the state before the first episode.

        Raises
        ------
        ValueError
            If the spec lacks what the learner needs (a threshold, a baseline or data, unit rewards),
            has a threshold beside `relative_loss`, or the learned baseline's certificate does not reach
            the threshold.
        """
        require_known_or_noiseless(spec)
        threshold = self._threshold(spec)
        learned = self._learned(spec, threshold)
        baseline = require_baseline(spec, self.key) if learned is None else learned.policy
        H, S, A = spec.shape
        known = spec.rewards is not None
        counts = warm_start_counts(spec) if self.warm_start else None
        rewards = np.zeros((H, S, A)) if spec.rewards is None else spec.rewards
        if self.warm_start and spec.rewards is None and spec.offline is not None:
            rewards = observed_rewards(spec.offline)
        family = FamilyState.start(rewards, baseline.stages(H), spec.support, counts)
        return ConservativeState(
            family=family,
            baseline=baseline,
            certificate=-np.inf if learned is None else learned.certificate,
            threshold=threshold,
            rho=spec.rho,
            rewards_known=known,
            members=self.members(H),
        )

    def plan(self, state: ConservativeState) -> EpisodicDecision:
        """Refresh the bounds and choose the policy of the coming episodes."""
        family = state.family
        family.refresh(self._options, state.members)
        upper, lower = state.start_bounds()
        threshold = self._current_threshold(state, float(upper[-1]))
        choice = self.select(upper, lower, threshold)
        state.choice = choice
        budget = visit_budget(family.n, self.refresh_growth)
        return EpisodicDecision(self.realise(state, choice), budget, _diagnostics(choice, threshold))

    def update(
        self,
        state: ConservativeState,
        decision: EpisodicDecision,
        observation: Trajectories,
    ) -> ConservativeState:
        """Count the observed transitions."""
        record(state.family, observation, state.rewards_known)
        return state

    def members(self, horizon: int) -> Bool[np.ndarray, " J"]:
        """Which members of the family need bounds."""
        raise NotImplementedError

    def select(self, upper: np.ndarray, lower: np.ndarray, threshold: float) -> Choice:
        """Choose from the bounds at the start of the episode."""
        raise NotImplementedError

    def realise(self, state: ConservativeState, choice: Choice) -> MarkovPolicy | MixturePolicy:
        """Return the policy of a choice."""
        raise NotImplementedError

    def _threshold(self, spec: EpisodicSpec) -> float | None:
        if self.relative_loss is None:
            return require_threshold(spec, self.key)
        if spec.threshold is not None:
            raise ValueError(
                f"relative_loss = {self.relative_loss} makes a threshold from the baseline's value, but the "
                f"problem states one, spec.threshold = {spec.threshold!r}: drop relative_loss, or play an "
                "EpisodicProblem with a baseline and without a threshold"
            )
        if self.baseline_value_bound is None:
            return None
        threshold = (1 - self.relative_loss) * self.baseline_value_bound
        if threshold >= spec.horizon:
            raise ValueError(
                f"(1 - relative_loss) baseline_value_bound must be below the horizon {spec.horizon}, or no "
                f"policy satisfies it; got {threshold!r}"
            )
        return threshold

    def _current_threshold(self, state: ConservativeState, baseline_upper: float) -> float:
        if state.threshold is not None:
            return state.threshold
        assert self.relative_loss is not None
        return (1 - self.relative_loss) * baseline_upper

    def _learned(self, spec: EpisodicSpec, threshold: float | None) -> LearnedBaseline | None:
        if self.offline is None:
            return None
        if spec.offline is None:
            raise ValueError(f"offline = {self.offline!r} needs spec.offline; the problem has no data")
        learned = learn_baseline(spec.offline, spec.rewards, spec.rho, self.delta / 2, self.offline)
        if threshold is not None and learned.certificate < threshold and not self.allow_uncertified:
            raise ValueError(
                f"the offline data certify the learned baseline only at {learned.certificate:.6g}, below "
                f"the threshold {threshold:.6g}: collect more data, or set allow_uncertified"
            )
        return learned


@dataclass(frozen=True, kw_only=True)
class StepMix(ConservativeLearner):
    """Mix two neighbouring nested policies at the one stage where they differ.

    The value of the mixture is exactly linear in the weight (Lemma 1), so the weight that brings the
    certified lower bound to the threshold is a quotient, not a search.

    Parameters
    ----------
    switch_rule
        ``"min"``: the least conservative certified pair; ``"best-ucb"``: the certified pair with the
        largest interpolated upper bound. Both are safe.

    Notes
    -----
    Guarantee (Theorem 1; proof on the StepMix page): with probability at least 1 - delta every
    episode's value is at least gamma, and the regret over K episodes is of order
    sqrt(H^3 S A K) + H^3 S^2 A + H^3 S A Delta_0 (1/kappa^2 + S/kappa) up to logarithms, with
    kappa = V^{pi^b} - gamma and Delta_0 = V* - V^{pi^b} (``kl`` bounds: sqrt(S) more in the first).

    See `ConservativeLearner` for the other parameters.
    """

    switch_rule: str = "min"
    key: ClassVar[str] = "stepmix"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("switch_rule", self.switch_rule, SWITCH_RULES)

    def members(self, horizon: int) -> Bool[np.ndarray, " J"]:
        """All of them."""
        return np.ones(horizon + 1, dtype=np.bool_)

    def select(self, upper: np.ndarray, lower: np.ndarray, threshold: float) -> Choice:
        """Mix neighbours j - 1 and j."""
        steps = tuple((j - 1, j) for j in range(1, len(lower)))
        return choose(upper, lower, threshold, steps, self.switch_rule)

    def realise(self, state: ConservativeState, choice: Choice) -> MarkovPolicy:
        """Return the Markov policy that mixes at one stage."""
        A = state.family.n.shape[2]
        if choice.kind == OPTIMISTIC:
            return DeterministicPolicy.trusted(state.family.greedy.copy(), A)
        if choice.kind == BASELINE:
            return state.baseline
        greedy = DeterministicPolicy.trusted(state.family.greedy, A).probabilities
        return Policy(step_mixture(state.family.pi_b, greedy, choice, self.orientation))


@dataclass(frozen=True, kw_only=True)
class EpsMix(ConservativeLearner):
    """Toss one coin per episode between the baseline and the optimistic policy.

    The value, coin included, is the convex combination of the two values; mixing actions per step
    would be another policy, which the bound does not cover. The coin has a random stream of its own.

    See `ConservativeLearner` for the parameters and `StepMix` for the guarantee, which is of the same
    order.
    """

    key: ClassVar[str] = "epsmix"

    def members(self, horizon: int) -> Bool[np.ndarray, " J"]:
        """The two ends."""
        members = np.zeros(horizon + 1, dtype=np.bool_)
        members[[0, horizon]] = True
        return members

    def select(self, upper: np.ndarray, lower: np.ndarray, threshold: float) -> Choice:
        """Mix the two ends."""
        return choose(upper, lower, threshold, ((0, len(lower) - 1),))

    def realise(self, state: ConservativeState, choice: Choice) -> MarkovPolicy | MixturePolicy:
        """Return the coin's mixture."""
        barpi = DeterministicPolicy.trusted(state.family.greedy.copy(), state.family.n.shape[2])
        if choice.kind == OPTIMISTIC:
            return barpi
        if choice.kind == BASELINE:
            return state.baseline
        return MixturePolicy(np.array([choice.weight, 1 - choice.weight]), (state.baseline, barpi))


def step_mixture(
    pi_b: Float[np.ndarray, "H S A"],
    greedy: Float[np.ndarray, "H S A"],
    choice: Choice,
    orientation: str,
) -> Float[np.ndarray, "H S A"]:
    """Return the action probabilities of w pi^{k,j} + (1 - w) pi^{k,j-1}, mixed at one stage."""
    H, j, w = len(pi_b), choice.switch, choice.weight
    policy = greedy.copy()
    if orientation == "baseline-first":
        stage = j - 1
        policy[:stage] = pi_b[:stage]
    else:
        stage = H - j
        policy[stage + 1 :] = pi_b[stage + 1 :]
    policy[stage] = w * pi_b[stage] + (1 - w) * greedy[stage]
    return policy


def record(family: FamilyState, observation: Trajectories, rewards_known: bool) -> None:
    """Add trajectories to the counts, and observed deterministic rewards to the known ones."""
    states, actions, rewards = observation
    count_transitions(states, actions, family.n, family.n_next)
    if not rewards_known:
        stage = np.broadcast_to(np.arange(actions.shape[1]), actions.shape)
        family.r[stage, states[:, :-1], actions] = rewards


def require_known_or_noiseless(spec: EpisodicSpec) -> None:
    """Raise unless expected rewards are in [0, 1], and known or observed without noise."""
    require_unit_rewards(spec)
    if spec.rewards is None and spec.noisy_rewards:
        raise ValueError("spec.rewards is missing: unknown rewards must be free of noise")


def _diagnostics(choice: Choice, threshold: float) -> Mapping[str, Any]:
    return {
        "kind": choice.kind,
        "switch": float(choice.switch),
        "weight": choice.weight,
        "lower": choice.lower,
        "upper": choice.upper,
        "width": choice.width,
        "threshold": threshold,
    }
