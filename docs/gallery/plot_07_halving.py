"""
Successive halving, with epochs as the resource
===============================================

If you teach descent, or need plain descent, you search for a rate after all. ``HalvingGridSearchCV`` gives all
candidates few epochs, keeps the better third, and gives these three times as many: rates that crawl and rates that
explode fall out early.
"""

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingGridSearchCV

from gdregress import GradientDescentRegressor

X, y = load_diabetes(return_X_y=True)
X = X / X.std()  # as scikit-learn ships them, the columns have variance 1/442
rates = np.logspace(-4, 0, 27)
search = HalvingGridSearchCV(
    GradientDescentRegressor(tol=None),
    {"learning_rate": rates},
    resource="epochs",
    min_resources=3,
    max_resources=81,
    factor=3,
    scoring="neg_mean_squared_error",
    cv=5,
    random_state=0,
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)  # rates that are too large diverge, and say so
    search.fit(X, y)
largest_stable = GradientDescentRegressor("lipschitz", 1, tol=None).fit(X, y).max_learning_rate_
print(f"chosen {search.best_params_['learning_rate']:.3g}, the largest stable rate is {largest_stable:.3g}")

# %%
# At a rate above the largest stable one, a descent keeps its best epoch. At the two rates on the right that is its
# start.
results = search.cv_results_
fig, ax = plt.subplots(layout="constrained")
for k, marker in zip(range(search.n_iterations_), "osD^", strict=False):
    chosen = results["iter"] == k
    rate, error = results["param_learning_rate"][chosen].astype(float), -results["mean_test_score"][chosen]
    order = np.argsort(rate)
    label = f"{results['n_resources'][chosen][0]} epochs, candidates: {chosen.sum()}"
    ax.loglog(rate[order], error[order], marker=marker, label=label)
ax.axvline(largest_stable, color="black", linestyle=":", label="largest stable rate")
ax.set_xlabel("learning rate")
ax.set_ylabel("mean squared error on rows left out")
ax.legend()
plt.show()
