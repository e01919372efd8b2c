"""
Never below the threshold
=========================

StepMix explores a model in which exploration is dangerous. In state 0 of *hazard* the safe action pays
0.5; the risky one pays 0.8, but may end in a state that pays nothing for the rest of the episode. The
learner knows a safe baseline, and must keep the expected return of every episode above a threshold just
below the baseline's.

The values drawn are exact: each episode's policy is evaluated on the true model.
"""

import matplotlib.pyplot as plt
import numpy as np

from theoryrl import play
from theoryrl.instances import hazard
from theoryrl.learners import EpsMix, StepMix

problem = hazard(horizon=3)
episodes = 20_000
traces = {learner.key: play(problem, learner, episodes, seed=0) for learner in (StepMix(), EpsMix())}

# %%
# While the confidence bounds are wide both play the baseline. Then they mix as much of the optimistic policy
# into it as they can certify, and play that policy alone once it is certified itself.

figure, axes = plt.subplots()
for name, trace in traces.items():
    axes.semilogx(np.arange(1, episodes + 1), trace.values, label=name)
axes.axhline(problem.threshold, color="black", linestyle="--", label="threshold")
axes.axhline(traces["stepmix"].benchmark, color="grey", linestyle=":", label="optimum")
axes.set(xlabel="episode", ylabel="exact expected return")
axes.legend()

# %%
# How far the worst episode of each learner stayed above the threshold:

for name, trace in traces.items():
    print(f"{name}: {trace.values.min() - problem.threshold:+.4f}")
