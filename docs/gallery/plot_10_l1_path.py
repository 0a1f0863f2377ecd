"""
The L1 path: which columns go first
===================================

With ``penalty="l1"`` a coefficient is exactly zero as long as its column lowers the loss by less than the penalty
costs. ``alpha`` is the price. As it falls, one column after the other gets a coefficient, and the order says how much
each column is worth.
"""

# %%
# ``warm_start=True`` starts each fit from the coefficients of the last one. The columns are scaled, because the penalty
# is a price for each unit of a coefficient, and units have to be comparable.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import StandardScaler

from gdregress import GradientDescentRegressor

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
X = StandardScaler().set_output(transform="pandas").fit_transform(X)
largest = np.abs(X.T @ (y - y.mean())).max() / len(y)
alphas = np.geomspace(largest, largest / 1000, 60)
model = GradientDescentRegressor(penalty="l1", warm_start=True)
path = np.array([model.set_params(alpha=alpha).fit(X, y).coef_ for alpha in alphas])

# %%
# The path starts at ``max |X'(y - mean)| / n``, the least ``alpha`` at which all coefficients are zero.
fig, ax = plt.subplots(layout="constrained")
names = {
    "bmi": "body mass index",
    "s5": "log triglycerides",
    "bp": "blood pressure",
    "s3": "HDL",
    "sex": "sex",
    "s1": "total cholesterol",
    "s2": "LDL",
}
for name, marker in zip(names, "osD^v<>", strict=True):
    ax.semilogx(alphas, path[:, X.columns == name], marker=marker, markevery=6, label=names[name])
ax.semilogx(alphas, path[:, ~X.columns.isin(list(names))], color="0.7", zorder=0)
ax.invert_xaxis()
ax.set_xlabel("alpha, falling")
ax.set_ylabel("coefficient\n(units of y per standard deviation)")
ax.legend(loc="lower left", ncols=2)
plt.show()

# %%
print("order of entry:", *X.columns[np.argsort(np.argmax(path != 0, axis=0))])
