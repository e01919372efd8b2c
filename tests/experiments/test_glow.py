"""What the docs show of GLOW and HyGLOW is what their pages claim.

An ordering is claimed where the means of 20 runs differ by four standard errors of their difference.
"""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from _parts import FIGURES

GLOW = json.loads((FIGURES / "glow" / "numbers.json").read_text())
HYGLOW = json.loads((FIGURES / "hyglow" / "numbers.json").read_text())
ERRORS, SEEDS = 4.0, 20


def smaller(first, second):
    """Whether the first mean is below the second by four standard errors."""
    assert len(first) == len(second) == SEEDS
    error = math.hypot(*(np.std(sample, ddof=1) / math.sqrt(SEEDS) for sample in (first, second)))
    return np.mean(first) < np.mean(second) - ERRORS * error


def test_glow_drops_the_wrong_function_in_every_run_and_golf_in_few():
    runs = GLOW["incomplete"]
    for name in ("GLOW, paper's constants", "GLOW, sharp constants", "GLOW, sharp, scaled weights"):
        assert max(runs[name]["last"]) < 240_000
    for name in ("GOLF, c = 0.01", "GOLF, c = 1"):
        assert np.mean(np.array(runs[name]["last"]) == 240_000) > 0.5
    assert smaller(runs["GLOW, sharp constants"]["final"], runs["GLOW, paper's constants"]["final"])
    assert smaller(runs["GLOW, sharp, scaled weights"]["final"], runs["GLOW, sharp constants"]["final"])


def test_glows_regret_does_not_grow_with_the_observations_and_ucbvis_does():
    lock = GLOW["observations"]
    for name, rows in lock.items():
        if name.startswith("UCBVI"):
            assert all(smaller(fewer, more) for fewer, more in pairwise(rows))
        else:
            assert not smaller(rows[0], rows[-1])


def test_which_of_the_two_is_better_depends_on_the_tuning_and_on_the_observations():
    lock = GLOW["observations"]
    best = [
        min((rows[i] for name, rows in lock.items() if name.startswith("UCBVI")), key=np.mean)
        for i in range(4)
    ]
    tuned, other = lock["GLOW, tuned (0.3, 0.02)"], lock["GLOW, tuned (1, 0.05)"]
    assert smaller(best[0], tuned[0])
    assert all(smaller(tuned[i], best[i]) for i in (1, 2, 3))
    assert smaller(best[1], other[1])
    assert smaller(other[3], best[3])
    assert min(np.mean(row) for row in lock["GLOW, sharp constants"]) > 1000


def test_coverability_stays_while_the_rank_grows_to_the_number_of_functions():
    rank = GLOW["rank"]
    assert np.asarray(rank["coverability"]) == pytest.approx(4)
    assert np.mean(rank["numerical Bellman rank"], axis=1) == pytest.approx([13, 49, 64, 64])


def test_the_quadratic_term_and_the_number_of_episodes_matter_and_clipping_does_not_here():
    runs = GLOW["ablations"]
    assert min(runs["no quadratic term, Hoeffding radius"]["last"]) > 239_000
    assert runs["no clipping"] == runs["GLOW, K = 400"]
    assert smaller(runs["GLOW, K = 400"]["final"], runs["GLOW, K = 4000"]["final"])
    assert smaller(runs["GLOW, K = 400"]["final"], runs["GLOW, K = 100"]["final"])


def test_weights_that_cannot_see_the_defect_never_refute_it():
    runs = GLOW["weights"]
    assert min(runs["w = 1 at stage 2 only"]["last"]) > 239_000
    assert smaller(runs["models"]["final"], runs["w = 1 at stage 2 only"]["final"])


def test_hyglow_is_better_than_hy_q_on_the_incomplete_class_with_either_tuning():
    runs = HYGLOW["incomplete"]
    for name in ("HyGLOW, tuned (γ = 0.2, c = 1)", "HyGLOW, c = 8, γ = 0.2"):
        assert smaller(runs[f"{name}, last"]["regret"], runs["Hy-Q, last"]["regret"])
        assert max(runs[f"{name}, last"]["late"]) == 0
    assert min(runs["Hy-Q, last"]["late"]) == pytest.approx(0.45)


def test_hy_q_is_better_than_hyglow_on_the_lock():
    runs = HYGLOW["lock"]
    assert smaller(runs["Hy-Q, last"]["regret"], runs["HyGLOW, tuned (γ = 0.2, c = 1), last"]["regret"])
    assert min(runs["offline FQI, last"]["late"]) == pytest.approx(0.9)
    assert np.mean(runs["HyGLOW, tuned (γ = 0.2, c = 1), last"]["late"]) < 0.1
