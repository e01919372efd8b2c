"""The operator of any discounted model, table or function."""

from __future__ import annotations

from theoryrl.models import DiscountedMDP, ImplicitMDP
from theoryrl.solvers.discounted._implicit import Implicit
from theoryrl.solvers.discounted._operators import Operator, Tabular


def operator_of(mdp: DiscountedMDP | ImplicitMDP, threads: int | None = None) -> Operator:
    """Return the operator of a model."""
    return Implicit(mdp, threads) if isinstance(mdp, ImplicitMDP) else Tabular.of(mdp, threads)
