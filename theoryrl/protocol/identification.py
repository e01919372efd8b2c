"""Finding a good policy in few episodes: decisions are batches of exploration, and a recommendation.

One round is one episode. A decision plays some policies a number of times and shows the counts of the whole
batch at its end; counts are drawn at once, exactly in law, so that a batch of 10^6 episodes costs no more
than one of 10. What is scored is the policy that is recommended. A learner that stops holds an empty batch:
the rounds that remain are not played.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models import DeterministicPolicy, FineTuningTask, MarkovPolicy, PolicyClass, TransitionCounts
from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import check_count, check_type
from theoryrl.protocol.core import Audit, Learner, Outcome, Run, Streams, check_rounds
from theoryrl.protocol.trace import Trace
from theoryrl.solvers.episodic import markov_value
from theoryrl.solvers.episodic.counts import draw_counts
from theoryrl.solvers.experiment_design import class_values

NO_DIAGNOSTICS: Mapping[str, float] = {}


@dataclass(frozen=True, eq=False)
class IdentificationSpec:
    """What a learner may know.

    Attributes
    ----------
    rho
        Distribution of the first state: shape [S].
    policies
        The class, fixed before any data were seen.
    offline
        Data collected before the first episode; None for none.
    behaviour
        The policy that collected them, where known.
    rounds
        Rounds of the run. At most `rounds - 1` may be played: the last is for the recommendation.
    """

    rho: Float[np.ndarray, " S"]
    policies: PolicyClass
    offline: TransitionCounts | None
    behaviour: MarkovPolicy | None
    rounds: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, S, A)."""
        return self.policies.horizon, self.policies.n_states, self.policies.n_actions

    @property
    def budget(self) -> int:
        """Most episodes that may be played."""
        return self.rounds - 1


class Batch(NamedTuple):
    """What to play, and what would be returned if nothing more were played.

    Attributes
    ----------
    recommendation
        The policy that is scored.
    pi
        Action probabilities of J policies: shape [J, H, S, A].
    episodes
        How often each is played: shape [J]; none at all means that the learner has stopped.
    diagnostics
        Numbers for the trace: ``online`` episodes before this batch, whether ``stopped`` and ``certified``,
        and the learner's own.
    """

    recommendation: DeterministicPolicy
    pi: Float[np.ndarray, "J H S A"]
    episodes: Int[np.ndarray, " J"]
    diagnostics: Mapping[str, float] = NO_DIAGNOSTICS


class BatchCounts(NamedTuple):
    """Counts and sums of rewards of a batch; None while it is still being played."""

    transitions: Int[np.ndarray, "H S A S"] | None
    reward_sums: Float[np.ndarray, "H S A"] | None


class IdentificationEnvironment:
    """Draws the batches of one run."""

    def __init__(self, problem: IdentificationProblem, streams: Streams) -> None:
        self._mdp = problem.task.mdp
        self._rng = streams.environment
        self._left = 0
        self._counts = BatchCounts(None, None)

    def begin(self, decision: Batch) -> None:
        """Draw the whole batch."""
        self._left = int(decision.episodes.sum())
        transitions = np.zeros(self._mdp.P.shape, dtype=np.int64)
        sums = np.zeros(self._mdp.r.shape)
        for pi, episodes in zip(decision.pi, decision.episodes, strict=True):
            if episodes:
                draw_counts(self._mdp, pi, int(episodes), self._rng, transitions, sums)
        self._counts = BatchCounts(transitions, sums)

    def interact(self, decision: Batch, rounds: int) -> Outcome:
        """Play on; the counts are shown with the last episode of the batch."""
        if not decision.episodes.any():
            return Outcome(BatchCounts(None, None), rounds, False)
        played = min(rounds, self._left)
        self._left -= played
        shown = BatchCounts(None, None) if self._left else self._counts
        return Outcome(shown, played, self._left == 0)


@dataclass(frozen=True, eq=False)
class IdentificationProblem(Frozen):
    """A task of which a good policy is to be found.

    Parameters
    ----------
    task
        The true model, the class, and the offline data.
    key
        Name of the instance.
    """

    task: FineTuningTask
    key: str = "fine-tuning"
    _best: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_type("task", self.task, FineTuningTask)
        object.__setattr__(self, "_best", float(self.values.max()))

    @cached_property
    def values(self) -> Float[np.ndarray, " M"]:
        """The exact value of every policy of the class."""
        return class_values(self.task.mdp, self.task.policies)

    @property
    def benchmark(self) -> float:
        """The best value of the class."""
        return self._best

    def spec(self, rounds: int) -> IdentificationSpec:
        """Return what a learner may know."""
        task = self.task
        return IdentificationSpec(
            task.mdp.rho, task.policies, task.offline, task.behaviour, check_rounds(rounds)
        )

    def value(self, decision: Batch) -> float:
        """Return the exact value of the recommendation."""
        return markov_value(self.task.mdp, decision.recommendation)

    def environment(self, streams: Streams) -> IdentificationEnvironment:
        """Return a fresh source of batches."""
        return IdentificationEnvironment(self, streams)


@dataclass(frozen=True, eq=False)
class Identification:
    """What a run found.

    Attributes
    ----------
    policy
        The recommendation.
    episodes
        Online episodes that were played.
    certified
        Whether the learner proved, with probability 1 - delta, that the policy is eps-optimal. It proves
        nothing when it runs out of budget, and in the unverifiable mode.
    gap
        Exact suboptimality of the policy in the class.
    trace
        The whole run.
    """

    policy: DeterministicPolicy
    episodes: int
    certified: bool
    gap: float
    trace: Trace


def identify(
    task: FineTuningTask | IdentificationProblem,
    learner: Learner[IdentificationSpec, object, Batch, BatchCounts],
    budget: int,
    seed: int = 0,
    audit: Audit | None = None,
) -> Identification:
    """Let a learner look for a good policy until it stops, with at most `budget` online episodes.

    A result without a certificate is announced by a warning.

    Parameters
    ----------
    task
        What is to be solved.
    learner
        Such as `theoryrl.learners.FTPedel`.
    budget
        Most online episodes, at least 0.
    seed, audit
        As for `theoryrl.play`.
    """
    problem = task if isinstance(task, IdentificationProblem) else IdentificationProblem(task)
    rounds = check_count("budget", budget, low=0) + 1
    last: list[Batch] = []

    def record(problem: IdentificationProblem, state: object, decision: Batch) -> Mapping[str, float]:
        last[:] = [decision]
        return audit(problem, state, decision) if audit else NO_DIAGNOSTICS

    trace = Run(problem, learner, rounds, seed, record).advance().trace
    diagnostics = last[0].diagnostics
    certified = bool(diagnostics["certified"])
    if not certified:
        warnings.warn(
            f"{type(learner).__name__}: no certificate after {int(diagnostics['online'])} online episodes; "
            "the recommendation may be worse than eps-optimal",
            stacklevel=2,
        )
    gap = problem.benchmark - float(trace.stretch_values[-1])
    return Identification(last[0].recommendation, int(diagnostics["online"]), certified, gap, trace)
