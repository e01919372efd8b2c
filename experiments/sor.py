"""Learning to relax: every figure and table of the docs page.

    python experiments/sor.py                      # all parts, some minutes on two cores
    python experiments/sor.py --quick              # smaller, under a minute
    python experiments/sor.py --only heat tuner    # some parts
    python experiments/sor.py --docs               # all parts, into docs/papers/figures/sor/

Counts are those of real solves; the best fixed parameter and the best one of each system are found by
solving every system at every parameter. The part `gallery` takes matrices of PyAMG, and is there if PyAMG is
installed.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from _parts import Part, Setting, run
from _sor_clock import clock
from _sor_counts import degenerate, preconditioner, surrogate
from _sor_heat import heat, tuner
from _sor_regret import bandits, levels, regret, theorem
from _sor_shifts import comparison, contexts, gallery

PARTS: dict[str, Callable[[Setting], Part]] = {
    "comparison": comparison,
    "surrogate": surrogate,
    "contexts": contexts,
    "preconditioner": preconditioner,
    "heat": heat,
    "tuner": tuner,
    "clock": clock,
    "regret": regret,
    "theorem": theorem,
    "bandits": bandits,
    "levels": levels,
    "degenerate": degenerate,
}
if find_spec("pyamg"):
    PARTS["gallery"] = gallery

if __name__ == "__main__":
    run("sor", PARTS, __doc__)
