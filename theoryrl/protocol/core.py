"""The protocol: a learner decides, a problem scores the decision exactly, an environment answers.

::

    state = learner.init(spec, rng)
    repeat:  decision = learner.plan(state)
             value    = problem.value(decision)               # exact, never estimated
             outcome  = environment.interact(decision, ...)   # one round, or many while it is held
             state    = learner.update(state, decision, outcome.observation)

A learner sees only the spec and its observations. A decision that the learner wants to hold until
some event (for instance: until a visit count has grown by a tenth) is played for many rounds by one
compiled call; playing the same run one round at a time gives the identical trace.
"""

from __future__ import annotations

import io
import pickle
import warnings
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float

from theoryrl._files import write_atomically
from theoryrl.models._validation import LARGEST_COUNT, check_count
from theoryrl.protocol.trace import Ledger, Trace

SpecT_contra = TypeVar("SpecT_contra", contravariant=True)
SpecT_co = TypeVar("SpecT_co", covariant=True)
StateT = TypeVar("StateT")
DecisionT = TypeVar("DecisionT", bound="Decision")
DecisionT_contra = TypeVar("DecisionT_contra", bound="Decision", contravariant=True)
ObservationT_contra = TypeVar("ObservationT_contra", contravariant=True)

NOTHING: Mapping[str, Any] = {}


class Streams(NamedTuple):
    """Independent random streams of one run, all derived from its seed."""

    environment: np.random.Generator
    coin: np.random.Generator
    learner: np.random.Generator

    @classmethod
    def from_seed(cls, seed: int) -> Streams:
        """Spawn the three streams of `seed`."""
        return cls(*(np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(3)))


@runtime_checkable
class Decision(Protocol):
    """What a learner chose; `diagnostics` are numbers of its own that the trace keeps."""

    @property
    def diagnostics(self) -> Mapping[str, float]:
        """Name to value, the same names in every round."""


class Outcome(NamedTuple):
    """What came of playing a decision.

    Attributes
    ----------
    observation
        What the learner is shown.
    rounds
        How many rounds were played.
    finished
        Whether the learner must decide anew (otherwise the decision is still held).
    values, benchmarks
        Exact values of these rounds and of the best decision in each, shape [rounds], where they depend
        on the round; None where `Problem.value` and `Problem.benchmark` tell.
    diagnostics
        With values of their own, rounds may have numbers of their own for the trace: name to [rounds].
    """

    observation: Any
    rounds: int
    finished: bool
    values: Float[np.ndarray, " N"] | None = None
    benchmarks: Float[np.ndarray, " N"] | None = None
    diagnostics: Mapping[str, np.ndarray] = NOTHING


@runtime_checkable
class Environment(Protocol[DecisionT_contra]):
    """The part of a problem that has a state: its random streams, and where the process stands."""

    def begin(self, decision: DecisionT_contra) -> None:
        """Take over a new decision."""

    def interact(self, decision: DecisionT_contra, rounds: int) -> Outcome:
        """Play the decision for at most `rounds` rounds."""


@runtime_checkable
class Problem(Protocol[SpecT_co, DecisionT_contra]):
    """Owns the true model: scores decisions exactly and makes environments."""

    @property
    def key(self) -> str:
        """Name of the instance."""

    @property
    def benchmark(self) -> float | None:
        """Exact value per round of the best decision; None where it changes and each outcome tells it."""

    def spec(self, rounds: int) -> SpecT_co:
        """What a learner may know before the first round."""

    def value(self, decision: DecisionT_contra) -> float | None:
        """Exact expected value of one round of the decision; None where each outcome tells it."""

    def environment(self, streams: Streams) -> Environment[DecisionT_contra]:
        """Return a fresh environment that draws from `streams`."""


@runtime_checkable
class Learner(Protocol[SpecT_contra, StateT, DecisionT, ObservationT_contra]):
    """An algorithm: hyper-parameters, and three functions on plain data."""

    key: ClassVar[str]

    @property
    def guaranteed(self) -> bool:
        """Whether every constant is the one that the theory asks for."""

    def init(self, spec: SpecT_contra, rng: np.random.Generator) -> StateT:
        """Return the state before the first round."""

    def plan(self, state: StateT) -> DecisionT:
        """Decide."""

    def update(self, state: StateT, decision: DecisionT, observation: ObservationT_contra) -> StateT:
        """Return the state after an observation; the arrays of `state` may be reused."""


def check_rounds(rounds: int) -> int:
    """Return a horizon K if it is an integer that every count of a run can hold."""
    return check_count("rounds", rounds, high=LARGEST_COUNT)


def check_learner(name: str, learner: Any) -> None:
    """Raise `TypeError` unless the object has the three methods of a learner."""
    for method in ("init", "plan", "update"):
        if isinstance(learner, type) or not callable(getattr(learner, method, None)):
            raise TypeError(f"{name} must be a learner (init, plan, update); got {learner!r}")


Audit = Callable[[Any, Any, Any], Mapping[str, float]]
"""`audit(problem, state, decision)`: further numbers for the trace, computed with the true model."""


def warn_of_broken_assumptions(learner: Any, problem: Any) -> bool:
    """Warn if a learner says that its theorems assume what is false of the true model; return whether.

    Only the two sides together can tell whether a class of hypotheses is realizable, say. The learner's
    `broken_assumptions(problem)` is optional, returns the assumptions as texts, and tells its runs nothing.
    """
    broken = getattr(learner, "broken_assumptions", lambda problem: ())(problem)
    if broken:
        warnings.warn(f"{learner.key}: no theorem applies: {'; '.join(broken)}", stacklevel=3)
    return bool(broken)


class Run:
    """A run that can be advanced, saved and resumed bit for bit.

    Parameters
    ----------
    problem, learner
        The two sides.
    rounds
        Horizon K, which the spec tells the learner.
    seed
        Seed of all random streams.
    audit
        Further numbers for the trace, computed with the true model.
    stepwise
        Play one round per call: slower, and identical.
    """

    def __init__(
        self,
        problem: Problem[Any, Any],
        learner: Learner[Any, Any, Any, Any],
        rounds: int,
        seed: int = 0,
        audit: Audit | None = None,
        stepwise: bool = False,
    ) -> None:
        self.problem = problem
        self.learner = learner
        check_learner("learner", learner)
        self.rounds = check_rounds(rounds)
        self.seed = check_count("seed", seed, low=0)
        self.played = 0
        self._audit = audit
        self._stepwise = stepwise
        streams = Streams.from_seed(self.seed)
        spec = problem.spec(rounds)
        self.state = learner.init(spec, streams.learner)
        # A learner may tell of which problems its theorems are; most are about every one of their kind.
        covered = bool(getattr(learner, "covers", lambda spec: True)(spec))
        self._covered = not warn_of_broken_assumptions(learner, problem) and covered
        self._environment = problem.environment(streams)
        self._decision: Any = None
        self._ledger = Ledger()

    def advance(self, rounds: int | None = None) -> Run:
        """Play up to `rounds` more rounds (default: to the end) and return self."""
        target = self.rounds if rounds is None else min(self.rounds, self.played + rounds)
        learner, environment, state = self.learner, self._environment, self.state
        played, decision = self.played, self._decision
        try:
            while played < target:
                if decision is None:
                    decision = learner.plan(state)
                    self._open_stretch(decision, state)
                    environment.begin(decision)
                outcome = environment.interact(decision, 1 if self._stepwise else target - played)
                state = learner.update(state, decision, outcome.observation)
                played += outcome.rounds
                self._ledger.enter(outcome.rounds, outcome.values, outcome.benchmarks, outcome.diagnostics)
                if outcome.finished:
                    decision = None
        finally:
            self.played, self._decision, self.state = played, decision, state
        return self

    def _open_stretch(self, decision: Any, state: Any) -> None:
        """Score a new decision, and give it a row of the trace."""
        row = decision.diagnostics
        if self._audit:
            row = {**row, **self._audit(self.problem, state, decision)}
        self._ledger.open(row, self.problem.value(decision), self.problem.benchmark)

    @property
    def trace(self) -> Trace:
        """What has been played so far."""
        return self._ledger.trace(
            learner=repr(self.learner),
            problem=self.problem.key,
            seed=self.seed,
            guaranteed=self.learner.guaranteed and self._covered,
            delta=getattr(self.learner, "delta", None),
        )

    def save(self, path: str | Path) -> None:
        """Write the run to a file with a checksum, from which `load` resumes it."""
        body = pickle.dumps(self, protocol=5)
        write_atomically(Path(path), sha256(body).digest() + body)

    @staticmethod
    def load(path: str | Path) -> Run:
        """Read a run that `save` wrote. Load only files that you trust: the format is pickle.

        Raises
        ------
        ValueError
            If the file is damaged.
        """
        content = Path(path).read_bytes()
        digest, body = content[:32], content[32:]
        if sha256(body).digest() != digest:
            raise ValueError(f"{path} is damaged: its checksum does not match")
        run = pickle.load(io.BytesIO(body))
        if not isinstance(run, Run):
            raise ValueError(f"{path} does not hold a run")
        return run
