"""R-BOCPD: restarted Bayesian online change-point detection.

A stream of symbols 0, ..., O - 1 is predicted by one forecaster for each possible time s since the last
restart r, with Laplace's rule (N_x + 1) / (n + O): together the Dirichlet mixture Q. As soon as the
forecasters of the two pieces x_{r:s-1} and x_{s:t} win over that of the whole x_{r:t}, by the factor
1 / eta, a change is reported and all forecasters begin anew.

Sources: Alami, Maillard and Feraud (2020), for two symbols; Alami, Mahfoud and Moulines (2023), for any
number. The default rule and its proof are on the page of this paper.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from theoryrl.models._validation import check_choice, check_count, check_interval, check_real, real_array
from theoryrl.solvers.detection.bank import DetectorBank
from theoryrl.solvers.detection.rules import RestartRule

STREAMS = ("symbols", "bounded")


class Detection(NamedTuple):
    """A change that was detected.

    Attributes
    ----------
    time
        Index of the sample with which it was detected; indices count from 0 since `reset`.
    estimate
        Index of the sample with which it is estimated to have begun.
    log_odds
        By how much the two pieces won.
    earliest
        Of a pruned run: the exact run, restarted at the same time, alarms between `earliest` and `time`.
        Of an exact run: `time`.
    """

    time: int
    estimate: int
    log_odds: float
    earliest: int


class RestartedBOCPD:
    """An online detector of changes in a stream.

    Parameters
    ----------
    n_symbols
        Size O of the alphabet, at least 2.
    delta
        Level: the probability of a false alarm after a restart, where the rule controls it.
    eta
        Name of the restart rule (see `theoryrl.solvers.detection.rules`), or a `RestartRule` with further
        numbers, whose delta is then used. Or a function ``log_eta(m, n)`` of your own, for 1 <= m < n:
        then nothing is known of false alarms unless you prove it, and pruned runs do not tell `earliest`.
    prune
        epsilon >= 0. With 0 every forecaster is kept: n of them after n samples. Otherwise a start s is
        replaced by a later one at most epsilon min(m, k) away, so that of the order of log(n) / epsilon
        are kept: no alarm is added, and each detection tells by how many samples it is late at most.
    stream
        ``"symbols"``: whole numbers in [0, O). ``"bounded"``: reals x in [0, 1], each replaced by a
        symbol that is 1 with probability x, which keeps means and independence.
    seed
        Of the symbols of a bounded stream.

    Raises
    ------
    ValueError
        On a number out of range; a rule that is not for this alphabet; a bounded stream with O != 2.

    Notes
    -----
    Time per sample is proportional to the number of forecasters. Everything is kept in logarithms; nothing
    underflows.
    """

    def __init__(
        self,
        n_symbols: int = 2,
        delta: float = 0.05,
        eta: str | RestartRule | Callable[[int, int], float] = "safe",
        *,
        prune: float = 0.0,
        stream: str = "symbols",
        seed: int = 0,
    ) -> None:
        self._log_eta: Callable[[int, int], float] | None = None
        if isinstance(eta, str | RestartRule):
            self.rule = eta if isinstance(eta, RestartRule) else RestartRule(eta, delta)
        elif callable(eta):
            self.rule, self._log_eta = RestartRule("constant", delta, gamma=0.5), eta
        else:
            raise ValueError(f"eta must be a name, a RestartRule or a function; got {eta!r}")
        self.rule.check_alphabet(n_symbols)
        check_real("prune", prune, low=0.0)
        check_choice("stream", stream, STREAMS)
        if stream == "bounded" and n_symbols != 2:
            raise ValueError(f"n_symbols must be 2 for a bounded stream; got {n_symbols}")
        self.n_symbols, self.prune, self.stream = n_symbols, float(prune), stream
        self._rng = np.random.default_rng(check_count("seed", seed, low=0))
        self._one = np.zeros(1, dtype=np.int64)
        self._zero = np.zeros(1, dtype=np.int64)
        self.reset()

    @property
    def proven(self) -> bool:
        """Whether the rule's false-alarm level is proven."""
        return self._log_eta is None and self.rule.proven

    @property
    def forecasters(self) -> int:
        """Number of forecasters kept at present."""
        return self._bank.live(0)

    @property
    def samples(self) -> int:
        """Number of samples since the last restart."""
        return self._bank.length(0)

    def reset(self) -> None:
        """Forget everything, and count samples from 0 again."""
        self._bank = DetectorBank(self.rule, [self.n_symbols], np.array([self.rule.delta]), self.prune)
        if self._log_eta is not None:
            self._bank.number = -np.inf  # log gamma: only the caller's own rule alarms
        self._time = 0

    def update(self, x: float | np.integer[Any] | np.floating[Any]) -> Detection | None:
        """Take in a sample; return the change that it reveals, if any.

        Raises
        ------
        ValueError
            If the sample is not in the alphabet, or not in [0, 1] for a bounded stream.
        """
        if self.stream == "bounded":
            value = check_real("x", x, 0.0, 1.0)
            return self._take(int(self._rng.random() < value))
        if not (0 <= x < self.n_symbols and x == int(x)):
            raise ValueError(f"x must be a symbol in [0, {self.n_symbols}); got {x!r}")
        return self._take(int(x))

    def _take(self, symbol: int) -> Detection | None:
        """Take in a symbol of the alphabet."""
        self._one[0] = symbol
        restart = self._time - self._bank.length(0)
        self._time += 1
        if self._bank.feed(self._zero, self._one) < 0 and not self._own_rule_alarms():
            return None
        return self._detection(restart, self._time - 1)

    def _own_rule_alarms(self) -> bool:
        """Test the caller's own rule on the present forecasters, and restart if it holds."""
        if self._log_eta is None:
            return False
        bank, live, n = self._bank, self._bank.live(0), self._bank.length(0)
        odds = np.array([self._log_eta(int(m), n) for m in bank.starts[0, 1:live]])
        odds += bank.head[0, 1:live] + bank.tail[0, 1:live] - bank.tail[0, 0]
        if live < 2 or not odds.max() > 0:
            return False
        best = int(odds.argmax())
        bank.odds[:] = odds[best], bank.starts[0, best + 1], n - 1
        bank.clear(0)
        return True

    def run(self, samples: Any) -> list[Detection]:
        """Take in an array of samples; return all changes that it reveals, as `update` would."""
        symbols = self._symbols(samples)
        if self._log_eta is not None:
            return [d for symbol in symbols if (d := self._take(int(symbol))) is not None]
        which = np.zeros(len(symbols), dtype=np.int64)
        found: list[Detection] = []
        first, begin = self._time, 0
        while begin < len(symbols):
            restart = first + begin - self._bank.length(0)
            alarm = self._bank.feed(which, symbols, begin)
            if alarm < 0:
                break
            found.append(self._detection(restart, first + alarm))
            begin = alarm + 1
        self._time = first + len(symbols)
        return found

    def log_weights(self) -> Float[np.ndarray, "F 2"]:
        """Return (s, log Q(x_{s:t})) of the forecasters that are kept, s counted since the restart."""
        bank, live = self._bank, self._bank.live(0)
        return np.stack([bank.starts[0, :live].astype(np.float64), bank.tail[0, :live]], axis=1)

    def _symbols(self, samples: Any) -> np.ndarray:
        array = real_array("samples", samples, ("N",), allow_empty=True)
        if self.stream == "bounded":
            check_interval("samples", array, 0.0, 1.0)
            return np.asarray(self._rng.random(len(array)) < array).astype(np.int64)
        wrong = (array != np.floor(array)) | (array < 0) | (array >= self.n_symbols)
        if wrong.any():
            index = int(wrong.argmax())
            raise ValueError(
                f"samples[{index}] must be a symbol in [0, {self.n_symbols}); got {array[index]:g}"
            )
        return array.astype(np.int64)

    def _detection(self, restart: int, time: int) -> Detection:
        log_odds, m, earliest = self._bank.odds
        return Detection(time, restart + int(m), float(log_odds), restart + int(earliest))
