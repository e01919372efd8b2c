"""Checks of random draws, with a stated probability of a false alarm."""

from collections import Counter

from scipy.stats import binomtest


def assert_law(draws, law, false_alarm):
    """Assert that independent draws follow a discrete law.

    Each outcome's count is tested exactly (two-sided binomial), and the outcomes share the level by
    Bonferroni, so a correct sampler fails with probability at most `false_alarm`. An outcome outside
    the law fails at once.

    Parameters
    ----------
    draws
        Hashable outcomes.
    law
        Outcome to probability; the probabilities sum to one.
    """
    counts = Counter(draws)
    impossible = {outcome for outcome in counts if not law.get(outcome, 0) > 0}
    assert not impossible, f"drawn with probability zero: {impossible}"
    assert abs(float(sum(law.values())) - 1) < 1e-9
    level = false_alarm / len(law)
    for outcome, probability in law.items():
        count = counts[outcome]
        p_value = binomtest(count, len(draws), min(float(probability), 1.0)).pvalue
        assert p_value >= level, f"{outcome}: {count} of {len(draws)} draws; probability {float(probability)}"
