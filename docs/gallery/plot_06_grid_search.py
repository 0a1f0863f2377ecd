"""
What is worth tuning: the penalty
=================================

The rate need not be searched for. What no algorithm knows is how much to trust the columns: the strength ``alpha`` of
the penalty, and whether it is L1 or L2. ``GridSearchCV`` finds out on rows left out.
"""

# %%
# The ten columns of the diabetes data, their squares and products: 65 columns for 442 rows. A penalty compares
# coefficients, so here the columns are scaled, for the penalty and not for the descent.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from gdregress import GradientDescentRegressor

X, y = load_diabetes(return_X_y=True)
model = make_pipeline(
    PolynomialFeatures(degree=2, include_bias=False),
    StandardScaler(),
    GradientDescentRegressor(tol=1e-4),
)
alphas = np.logspace(-3, 2, 11)
step = "gradientdescentregressor__"
grid = {step + "penalty": ["l2", "l1"], step + "alpha": alphas}
search = GridSearchCV(model, grid, cv=KFold(5, shuffle=True, random_state=0)).fit(X, y)
print(f"best: {search.best_params_[step + 'penalty']} at alpha = {search.best_params_[step + 'alpha']:.2g}")

# %%
# Each point is a mean over five folds. The band around it is one standard error wide on either side.
results = search.cv_results_
fig, ax = plt.subplots(layout="constrained")
for penalty, line in (("l2", "-"), ("l1", "--")):
    chosen = results[f"param_{step}penalty"] == penalty
    mean, error = results["mean_test_score"][chosen], results["std_test_score"][chosen] / np.sqrt(5)
    [curve] = ax.semilogx(alphas, mean, line, marker="o", label=f'penalty="{penalty}"')
    ax.fill_between(alphas, mean - error, mean + error, color=curve.get_color(), alpha=0.2)
ax.set_xlabel("alpha")
ax.set_ylabel("R² on rows left out")
ax.set_ylim(bottom=0.3)
ax.legend()
plt.show()

# %%
# At their best the two are within a standard error of each other. Then the shorter model is a reason to take L1, which
# leaves out columns while it shrinks the others.
kept = (search.best_estimator_[-1].coef_ != 0).sum()
print(f"{kept} of {len(search.best_estimator_[-1].coef_)} coefficients are not zero")
