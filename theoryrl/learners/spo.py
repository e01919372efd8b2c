"""Self-play preference optimisation (SPO): one no-regret learner, playing against itself.

    p_1 uniform;  for t = 1, ..., T:  u_t = A p_t,  p_{t+1} from u_1, ..., u_t;  return the mean of p_1..p_T.

Preferences are on the scale A = 2 P - 1 in [-1, 1]. By anti-symmetry the opponent's sequence is the
learner's own, and the exploitability of the mean is exactly the regret over T.

Source: Swamy et al. (2024), "A Minimaximalist Approach to Reinforcement Learning from Human Feedback". Its
abstract was read; constants and proofs are on the SPO page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from theoryrl.learners._preference import check_positive
from theoryrl.learners.no_regret import METHODS, OPTIMISTIC_STEP, STEPPED, Memory, NoRegret, default_step
from theoryrl.models._validation import check_choice, check_count, check_real
from theoryrl.protocol import Duels, PreferenceDecision, PreferenceSpec
from theoryrl.solvers.preference.fields import LogPolicy
from theoryrl.solvers.simplex import log_normalize

OUTPUTS = ("average", "last")


@dataclass(slots=True, eq=False)
class SelfPlay:
    """Where self-play stands.

    Attributes
    ----------
    method
        The no-regret method with its step.
    memory
        Of the method.
    log_policy
        Logarithms of p_t: shape [X, n].
    total
        ``p_1 + ... + p_t``: shape [X, n].
    """

    method: NoRegret
    memory: Memory
    log_policy: LogPolicy
    total: Float[np.ndarray, "X n"]


@dataclass(frozen=True)
class SPO:
    """Self-play with a no-regret method, in one or many contexts.

    Parameters
    ----------
    method
        One of `theoryrl.learners.no_regret.METHODS`.
    eta
        Step of Hedge, optimistic Hedge or projection. None: the one that minimises the bound for the
        known number of rounds; 1/2 for optimistic Hedge.
    margin
        If given, Hedge's step is ``2 margin / 5``: for games with a Condorcet winner that beats every rival
        by at least this much, on the scale of A.
    duels
        0: exact utilities. Otherwise the number of opponents per round and context, each of whom duels once
        with every action.
    output
        Which policy is held: the ``"average"`` of all so far, which the theorems are about, or the
        ``"last"``.
    """

    method: str = "hedge"
    eta: float | None = None
    margin: float | None = None
    duels: int = 0
    output: str = "average"

    key: ClassVar[str] = "spo"

    def __post_init__(self) -> None:
        check_choice("method", self.method, METHODS)
        check_choice("output", self.output, OUTPUTS)
        check_count("duels", self.duels, low=0)
        if self.eta is not None:
            check_positive("eta", self.eta)
            if self.method not in STEPPED:
                raise ValueError(f"eta is for {', '.join(STEPPED)}; {self.method} has no constant step")
        if self.margin is not None:
            check_positive("margin", self.margin)
            check_real("margin", self.margin, high=1.0)
            if self.method != "hedge" or self.eta is not None:
                raise ValueError("margin sets the step of hedge; it goes with no eta and no other method")

    @property
    def guaranteed(self) -> bool:
        """Whether a theorem bounds the exploitability of what is held, for the step chosen."""
        if self.output == "last" or self.method == "fictitious-play":
            return False
        if self.method == "optimistic-hedge":
            return self.duels == 0 and (self.eta is None or self.eta <= OPTIMISTIC_STEP)
        return True

    def step(self, n: int, rounds: int) -> float:
        """Return eta for games of n actions."""
        if self.eta is not None:
            return self.eta
        return 0.4 * self.margin if self.margin is not None else default_step(self.method, n, rounds)

    def init(self, spec: PreferenceSpec, rng: np.random.Generator) -> SelfPlay:
        """Return the state in the first round."""
        require_unregularized(spec, self.key)
        X, n = spec.shape
        method = NoRegret(self.method, self.step(n, spec.rounds))
        memory = method.start(X, n)
        log_policy = method.policy(memory)
        return SelfPlay(method, memory, log_policy, np.exp(log_policy))

    def plan(self, state: SelfPlay) -> PreferenceDecision:
        """Ask about p_t."""
        held = state.log_policy if self.output == "last" else mean_policy(state.total)
        return PreferenceDecision(held, state.log_policy, duels=self.duels)

    def update(self, state: SelfPlay, decision: PreferenceDecision, field: LogPolicy) -> SelfPlay:
        """Learn from the utilities ``A p_t``, which are twice the field."""
        state.memory = state.method.learn(state.memory, state.log_policy, 2 * field)
        state.log_policy = state.method.policy(state.memory)
        state.total = state.total + np.exp(state.log_policy)
        return state


def mean_policy(total: Float[np.ndarray, "X n"]) -> LogPolicy:
    """Return the logarithms of the policy proportional to a sum of policies."""
    with np.errstate(divide="ignore"):
        return np.log(total / total.sum(axis=1, keepdims=True))


def require_unregularized(spec: PreferenceSpec, key: str) -> None:
    """Raise unless the game is played for its minimax winner."""
    if spec.beta > 0:
        raise ValueError(f"{key} is for games without regularisation; play the PreferenceGame itself")


@dataclass(slots=True, eq=False)
class QueueState:
    """Where SPO with a queue stands.

    Attributes
    ----------
    rng
        Draws the candidates.
    theta, log_policy
        Logits, and the logarithms of the policy p: shape [X, n].
    total
        Sum of the policies so far: shape [X, n].
    queue
        Actions, the oldest first: shape [X, length].
    candidate
        The action that duels in this round: shape [X].
    """

    rng: np.random.Generator
    theta: Float[np.ndarray, "X n"]
    log_policy: LogPolicy
    total: Float[np.ndarray, "X n"]
    queue: np.ndarray
    candidate: np.ndarray


@dataclass(frozen=True)
class QueueSPO:
    """SPO as it is run in practice, on the simplex: policy gradient against a queue of past samples.

    Each round draws one candidate y from p = softmax(theta), which duels with actions drawn from the queue;
    its mean result r in [-1, 1] is the reward of one REINFORCE step ``theta += lr r (e_y - p)``. Then y
    replaces the oldest in the queue. There is no baseline: with one sample, subtracting the batch mean
    would leave nothing. No theorem promises that it converges.

    Parameters
    ----------
    learning_rate
        lr.
    length
        Of the queue, which starts with uniform draws.
    duels
        Per round.
    """

    learning_rate: float = 0.05
    length: int = 32
    duels: int = 32

    key: ClassVar[str] = "queue-spo"
    guaranteed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_positive("learning_rate", self.learning_rate)
        check_count("length", self.length)
        check_count("duels", self.duels)

    def init(self, spec: PreferenceSpec, rng: np.random.Generator) -> QueueState:
        """Return the state in the first round."""
        require_unregularized(spec, self.key)
        X, n = spec.shape
        theta = np.zeros((X, n))
        log_policy = log_normalize(theta)
        queue = rng.integers(0, n, (X, self.length))
        return QueueState(
            rng, theta, log_policy, np.exp(log_policy), queue, self._candidates(log_policy, rng)
        )

    def plan(self, state: QueueState) -> PreferenceDecision:
        """Let the candidate duel with the queue."""
        X, n = state.theta.shape
        counts = np.zeros((X, n))
        np.add.at(counts, (np.arange(X)[:, None], state.queue), 1.0)
        chosen = np.arange(n) == state.candidate[:, None]
        with np.errstate(divide="ignore"):
            opponents, challenger = np.log(counts / self.length), np.log(chosen.astype(np.float64))
        return PreferenceDecision(mean_policy(state.total), opponents, challenger, self.duels)

    def update(self, state: QueueState, decision: PreferenceDecision, duels: Duels) -> QueueState:
        """Take one step in each context that had a duel, and move its queue on."""
        X = len(state.theta)
        fought = np.bincount(duels.contexts, minlength=X)
        wins = np.bincount(duels.contexts, weights=2.0 * duels.won - 1.0, minlength=X)
        reward = np.divide(wins, fought, out=np.zeros(X), where=fought > 0)
        direction = (np.arange(state.theta.shape[1]) == state.candidate[:, None]) - np.exp(state.log_policy)
        state.theta = state.theta + self.learning_rate * reward[:, None] * direction
        moved = np.concatenate([state.queue[:, 1:], state.candidate[:, None]], axis=1)
        state.queue = np.where(fought[:, None] > 0, moved, state.queue)
        state.log_policy = log_normalize(state.theta)
        state.total = state.total + np.exp(state.log_policy)
        state.candidate = self._candidates(state.log_policy, state.rng)
        return state

    @staticmethod
    def _candidates(log_policy: LogPolicy, rng: np.random.Generator) -> np.ndarray:
        cumulative = np.cumsum(np.exp(log_policy), axis=1)
        drawn = rng.random((len(log_policy), 1)) * cumulative[:, -1:]
        return np.asarray((drawn >= cumulative).sum(axis=1))
