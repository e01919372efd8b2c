"""The detector: streams and arrays, pruning, refusals. Equality with the definition: proofs_checks/."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generators import seeds
from theoryrl.solvers.detection import (
    RULES,
    RestartedBOCPD,
    RestartRule,
    bocpd_alarm,
    cusum_alarm,
    glr_alarm,
    log_mixture,
)
from theoryrl.theory.statistics import FALSE_ALARM, clopper_pearson

NAN = float("nan")


def changing(seed, size=3, m=150, k=250):
    rng = np.random.default_rng(seed)
    laws = rng.dirichlet(np.ones(size), size=2)
    return np.concatenate([rng.choice(size, n, p=p) for n, p in zip((m, k), laws, strict=True)])


def rule_of(eta):
    return RestartRule(eta, 0.2, horizon=400)


@pytest.mark.parametrize("eta", RULES)
@pytest.mark.parametrize("prune", [0.0, 0.2])
def test_samples_one_by_one_and_as_an_array_give_the_same_detections(eta, prune):
    x = changing(3, size=2)
    single, whole = (RestartedBOCPD(2, eta=rule_of(eta), prune=prune) for _ in range(2))
    found = [d for symbol in x if (d := single.update(int(symbol))) is not None]
    cut = 171
    assert whole.run(x[:cut]) + whole.run(x[cut:]) == found
    assert single.samples == whole.samples
    np.testing.assert_array_equal(single.log_weights(), whole.log_weights())


@settings(max_examples=25)
@given(seed=seeds, size=st.integers(2, 4))
def test_names_of_symbols_do_not_matter(seed, size):
    x = changing(seed, size)
    relabelled = np.random.default_rng(seed).permutation(size)[x]
    times = [[d[:2] for d in RestartedBOCPD(size, 0.2).run(y)] for y in (x, relabelled)]
    assert times[0] == times[1]


@settings(max_examples=25)
@given(seed=seeds)
def test_the_first_weight_does_not_depend_on_the_order(seed):
    x = changing(seed, m=20, k=20)
    never = RestartRule("constant", gamma=1e-300)
    weights = []
    for y in (x, np.random.default_rng(seed).permutation(x)):
        detector = RestartedBOCPD(3, eta=never)
        detector.run(y)
        weights.append(detector.log_weights()[0, 1])
    assert weights[0] == pytest.approx(weights[1], abs=1e-11)
    assert weights[0] == pytest.approx(float(log_mixture(np.bincount(x, minlength=3))), abs=1e-11)


@pytest.mark.parametrize("eta", RULES)
@pytest.mark.parametrize("prune", [0.05, 0.3, 2.0])
def test_a_pruned_run_is_late_by_no_more_than_it_says(eta, prune):
    """Of the first alarms: after it the two runs restart at different times."""
    for seed in range(20):
        x = changing(seed, size=2)
        exact = RestartedBOCPD(2, eta=rule_of(eta)).run(x)
        pruned = RestartedBOCPD(2, eta=rule_of(eta), prune=prune).run(x)
        if pruned:
            assert pruned[0].earliest <= exact[0].time <= pruned[0].time
            assert exact[0].earliest == exact[0].time


def test_detections_continue_after_a_restart_and_count_from_the_beginning():
    x = np.repeat([0, 1, 0], 200)
    found = RestartedBOCPD(2).run(x)
    assert len(found) == 2
    for detection, change in zip(found, (200, 400), strict=True):
        assert change < detection.time < change + 30
        assert abs(detection.estimate - change) <= 1


def test_a_constant_stream_never_alarms():
    for eta in ("safe", "universal", "icml2020"):
        assert RestartedBOCPD(2, 0.5, eta).run(np.zeros(3000, dtype=int)) == []


def test_a_rule_of_ones_own_alarms_as_the_same_rule_by_name():
    x = np.repeat([0, 1, 0], 100)
    for eta in ("safe", "inverse_n"):
        rule = rule_of(eta)

        def log_eta(m, n, rule=rule):
            return rule.log_eta(m, n, 2)

        own = RestartedBOCPD(2, eta=log_eta)
        found = own.run(x)
        assert [d[:2] for d in found] == [d[:2] for d in RestartedBOCPD(2, eta=rule).run(x)]
        assert found
        assert not own.proven


def test_reset_forgets_everything():
    detector = RestartedBOCPD(2)
    first = detector.run(np.repeat([0, 1], 200))
    detector.reset()
    assert detector.samples == detector.forecasters == 0
    assert detector.run(np.repeat([0, 1], 200)) == first


def test_a_bounded_stream_keeps_its_means_and_its_seed():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(0, 0.4, 400), rng.uniform(0.6, 1.0, 400)])
    runs = [RestartedBOCPD(stream="bounded", seed=5) for _ in range(2)]
    found = runs[0].run(x)
    assert [d for value in x if (d := runs[1].update(float(value))) is not None] == found
    assert len(found) == 1
    assert 400 <= found[0].time < 500


@pytest.mark.parametrize("eta", ["safe", "safe_horizon", "universal"])
@pytest.mark.parametrize("law", [[0.5, 0.5], [0.98, 0.02], [0.2, 0.3, 0.5]])
@pytest.mark.parametrize("delta", [0.01, 0.5])
def test_false_alarms_in_a_thousand_streams_are_no_more_than_the_level_allows(eta, law, delta):
    """Exact binomial limit at 1e-6: a correct program fails no oftener than that in each of 18 cases."""
    size = len(law)
    rule = RestartRule(eta, delta, horizon=400)
    streams = np.random.default_rng(11).choice(size, (1000, 400), p=law)
    alarms = sum(bool(RestartedBOCPD(size, eta=rule).run(x)) for x in streams)
    assert clopper_pearson(alarms, 1000, FALSE_ALARM).low <= delta


def test_the_false_alarms_of_a_rule_without_a_level_are_too_many_for_that_test():
    streams = np.random.default_rng(11).choice(2, (1000, 400))
    alarms = sum(bool(RestartedBOCPD(2, eta="inverse_n").run(x)) for x in streams)
    assert clopper_pearson(alarms, 1000, FALSE_ALARM).low > 0.3


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"n_symbols": 1}, "n_symbols must be at least 2"),
        ({"delta": 0.0}, r"delta must be in \(0, 1\)"),
        ({"delta": NAN}, r"delta must be in \(0, 1\)"),
        ({"eta": "unsafe"}, "eta must be one of"),
        ({"eta": "safe_horizon"}, "horizon must be given"),
        ({"eta": "icml2020", "n_symbols": 3}, "n_symbols must be 2"),
        ({"prune": -1.0}, "prune must be"),
        ({"stream": "bounded", "n_symbols": 3}, "n_symbols must be 2 for a bounded stream"),
    ],
)
def test_wrong_arguments_are_refused(arguments, text):
    with pytest.raises(ValueError, match=text):
        RestartedBOCPD(**arguments)


@pytest.mark.parametrize("alpha", [1.0, NAN])
def test_a_wrong_exponent_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha must be"):
        RestartRule("icml2020", alpha=alpha)


@pytest.mark.parametrize("x", [2, -1, 0.5])
def test_symbols_outside_the_alphabet_are_refused_and_not_consumed(x):
    detector = RestartedBOCPD(2)
    with pytest.raises(ValueError, match=r"x must be a symbol in \[0, 2\)"):
        detector.update(x)
    with pytest.raises(ValueError, match=r"samples\[1\] must be a symbol in \[0, 2\)"):
        detector.run(np.array([0, x]))
    assert detector.samples == 0


def test_bounded_samples_outside_the_interval_are_refused():
    with pytest.raises(ValueError, match=r"samples\[1\] must be in \[0, 1\]"):
        RestartedBOCPD(stream="bounded").run(np.array([0.5, 1.5]))


# Other detectors.


def test_the_other_detectors_find_a_large_change():
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.random(200) < 0.1, rng.random(200) < 0.9]).astype(int)
    alarms = [
        glr_alarm(x),
        cusum_alarm(x, [0.9, 0.1], [0.1, 0.9], 8.0),
        bocpd_alarm(x, 2, 1 / 400),
        RestartedBOCPD(2).run(x)[0].time,
    ]
    assert all(200 <= alarm < 240 for alarm in alarms)
    assert glr_alarm(x[:200]) == cusum_alarm(x[:200], [0.9, 0.1], [0.1, 0.9], 8.0) == -1


def test_cusum_equals_its_recursion_by_hand():
    """log 2 up for each one and down for each zero, never below 0: the third one in a row passes 2 log 2."""
    x = np.array([0, 0, 1, 1, 0, 1, 1])
    assert cusum_alarm(x, [2 / 3, 1 / 3], [1 / 3, 2 / 3], 2.5 * np.log(2)) == 6
    assert cusum_alarm(x, [2 / 3, 1 / 3], [1 / 3, 2 / 3], 3.5 * np.log(2)) == -1


def test_laws_without_some_symbol_are_refused_by_cusum():
    with pytest.raises(ValueError, match=r"theta_1\[1\] must be positive"):
        cusum_alarm(np.array([0]), [1.0, 0.0], [0.5, 0.5], 1.0)


def likeliest_start(x, size, hazard):
    """The likeliest start of the present run after samples x, over all partitions into runs, by Bayes."""
    n = len(x)
    mass = [1.0]  # of all partitions of the first t samples that end with a run just begun
    for t in range(n):
        runs = [mass[s] * run_probability(x[s : t + 1], size) for s in range(t + 1)]
        weights = [m * (1 - hazard) ** (t - s) for s, m in enumerate(runs)]
        mass.append(hazard * sum(weights))
    return int(np.argmax([(1 - hazard) * w for w in weights] + [mass[n]]))


def run_probability(x, size):
    return float(np.exp(log_mixture(np.bincount(x, minlength=size))))


@pytest.mark.parametrize("hazard", [1 / 400, 0.05])
def test_bocpd_equals_the_posterior_over_all_partitions_into_runs(hazard):
    """Adams and MacKay (2007): a change after sample t leaves sample t to the old run."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        x = rng.choice(3, 60, p=[0.8, 0.1, 0.1])
        x[30:] = rng.choice(3, 30, p=[0.1, 0.2, 0.7])
        expected = next((t for t in range(60) if likeliest_start(x[: t + 1], 3, hazard) > 0), -1)
        assert bocpd_alarm(x, 3, hazard) == expected


def test_a_rule_of_ones_own_is_the_only_one_that_alarms():
    """Two thousand zeros and as many ones have log odds of some two thousand: no floor lies below."""
    x = np.repeat([0, 1], 2000)
    assert RestartedBOCPD(2, eta=lambda m, n: -1e5, prune=0.1).run(x) == []
