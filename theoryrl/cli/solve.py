"""``theoryrl solve``: the optimal value of a model, with proven bounds."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from theoryrl.cli._output import EXAMPLE, complaints_about, number

if TYPE_CHECKING:
    from theoryrl.solvers import Solution


@click.command(
    epilog=EXAMPLE
    + "  theoryrl solve riverswim:n_states=10,horizon=30\n"
    + "  theoryrl solve model.npz --method linear-program --json"
)
@click.argument("model", metavar="FILE.npz|NAME[:key=value,...]")
@click.option("--method", default="auto", show_default=True, help="Name of a solver.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def solve(model: str, method: str, as_json: bool) -> None:
    """Solve a model exactly: a file, or a named instance."""
    from theoryrl import models, solvers
    from theoryrl.study.keys import build_instance

    with complaints_about("FILE.npz|NAME"):
        is_file = Path(model).suffix == ".npz" or Path(model).is_file()
        problem = models.load(model) if is_file else build_instance(model)
        if type(problem) not in solvers.METHODS and not isinstance(problem, models.ConservativeMDP):
            raise TypeError(f"{model} holds {problem!r}, which is not a model that can be solved")
    started = time.perf_counter()
    with complaints_about("--method"):
        solution = solvers.solve(problem, method)
    answer = describe(solution, time.perf_counter() - started)
    if as_json:
        click.echo(json.dumps({"model": model, **answer}, indent=2, allow_nan=False))
        return
    click.echo(f"model       {problem!r}")
    click.echo(f"method      {answer['method']}")
    click.echo(f"value       {answer['value']!r}{where(solution)}")
    click.echo(f"interval    [{answer['lower']!r}, {answer['upper']!r}], width {number(answer['gap'])}")
    click.echo(f"policy      {answer['policy']}")
    click.echo(f"iterations  {answer['iterations']}")
    click.echo(f"time        {number(answer['seconds'])} s")


def describe(solution: Solution, seconds: float) -> dict[str, Any]:
    """Return the answer as JSON data; value and bounds are those at the start of an episode, if any."""
    value = getattr(solution, "start_value", solution.value)
    lower, upper = getattr(solution, "start_bounds", (solution.lower, solution.upper))
    return {
        "method": solution.method,
        "value": plain(value),
        "lower": plain(lower),
        "upper": plain(upper),
        "gap": upper - lower if hasattr(solution, "start_bounds") else solution.gap,
        "policy": summary(solution),
        "iterations": solution.iterations,
        "seconds": seconds,
    }


def plain(numbers: Any) -> Any:
    """Return a number, or a list of them, as JSON knows it."""
    listed = numbers.tolist() if hasattr(numbers, "tolist") else numbers
    return listed[0] if isinstance(listed, list) and len(listed) == 1 else listed


def where(solution: Solution) -> str:
    """Return what the value is the value of."""
    if hasattr(solution, "start_value"):
        return " (start of an episode)"
    return " (per context)" if solution.value.size > 1 else ""


def summary(solution: Solution) -> str:
    """Return what the policy does first, and how it is stored.

    For a policy of several stages: the actions of the first stage, per state, up to twelve states. For one
    that mixes, as in games: the most likely action in each context.
    """
    policy = solution.policy
    actions = policy.probabilities.argmax(axis=-1)
    first = actions[0] if actions.ndim == 2 else actions
    shown = " ".join(str(int(action)) for action in first[:12]) + (" ..." if len(first) > 12 else "")
    staged = hasattr(solution, "start_value")
    what = "at the first stage, by state" if staged else "most likely action, by context"
    return f"{policy!r}; {what}: {shown}"
