"""
Why columns are scaled, and why not here
========================================

Plain descent has one rate for all columns. On raw columns it is set by the one with the largest numbers, and the others
hardly move: that is why recipes put a ``StandardScaler`` before a model that is fitted by descent. The need is not a
property of the data, but of the step.
"""

# %%
# The diabetes data as they were measured: years, a body mass index, mm Hg, mg/dl, logarithms.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import StandardScaler

from gdregress import GradientDescentRegressor, closed_form

X, y = load_diabetes(return_X_y=True, scaled=False)
X_scaled = StandardScaler().fit_transform(X)
print("standard deviations of the columns:", X.std(axis=0).round(1))

# %%
# Three descents of 3000 epochs, and the default, which needs one epoch. ``"lipschitz"`` is half the largest rate at
# which plain descent is stable. ``"diagonal"`` gives each column a rate of its own.
descents = {
    "one rate, raw columns": (GradientDescentRegressor("lipschitz", 3000, tol=None), X),
    "one rate, after StandardScaler": (GradientDescentRegressor("lipschitz", 3000, tol=None), X_scaled),
    'learning_rate="diagonal", raw columns': (GradientDescentRegressor("diagonal", 3000, optimizer="gd", tol=None), X),
    'learning_rate="auto", raw columns': (GradientDescentRegressor(), X),
}
coef, intercept = closed_form(X, y)
least = np.mean((y - X @ coef - intercept) ** 2)

fig, ax = plt.subplots(layout="constrained")
looks = [("-", 2), ("-", 5), ("--", 2), ("o-", 2)]
for (name, (model, data)), (line, width) in zip(descents.items(), looks, strict=True):
    loss = model.fit(data, y).history_["loss"]
    above = np.maximum((loss - least) / y.var(), 1e-12)
    ax.loglog(1 + np.arange(len(loss)), above, line, linewidth=width, label=name)
ax.set_xlabel("1 + epochs")
ax.set_ylabel("mean squared error above the least\n(variances of y; 1e-12 stands for less)")
ax.legend(loc="lower center")
plt.show()

# %%
# The two in the middle are one curve: a rate for each column *is* the scaler, done inside, and the coefficients come
# out in the units of the columns. What is left to do is due to correlations between columns, which no scaler removes,
# but the matrix of the default does.
