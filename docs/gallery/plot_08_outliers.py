"""
Outliers that pull less
=======================

Squared error lets a row that is ten times as far off pull ten times as hard. Under Huber's loss no row pulls harder
than one that is ``epsilon`` off, in units of y.
"""

# %%
# Body mass index and blood pressure of 442 patients; for some of the heavier ones, the pressure was noted in
# kPa in place of mm Hg.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes

from gdregress import GradientDescentRegressor

data = load_diabetes(as_frame=True, scaled=False).data
X, truth = data[["bmi"]].to_numpy(), data["bp"].to_numpy()
rng = np.random.default_rng(0)
in_kpa = (rng.random(len(truth)) < 0.3) & (X[:, 0] > 28)
y = np.where(in_kpa, 0.133 * truth, truth)
print(f"{in_kpa.mean():.0%} of the rows are in kPa")

# %%
# With ``epsilon="auto"`` it is 1.35 times the scale of the residuals, which is fitted along with the coefficients.
huber = GradientDescentRegressor(loss="huber", epsilon="auto").fit(X, y)
models = {
    "squared error": GradientDescentRegressor().fit(X, y),
    f"Huber, epsilon = {1.35 * huber.scale_:.0f} mm Hg": huber,
    "squared error, had all been in mm Hg": GradientDescentRegressor().fit(X, truth),
}

fig, ax = plt.subplots(layout="constrained")
ax.plot(X[~in_kpa], y[~in_kpa], ".", color="0.75", label="rows in mm Hg")
ax.plot(X[in_kpa], y[in_kpa], "x", color="0.4", label="rows in kPa")
ends = np.array([[X.min()], [X.max()]])
for (name, model), line in zip(models.items(), ("-", "--", ":"), strict=True):
    ax.plot(ends, model.predict(ends), line, linewidth=2.5, label=name)
ax.set_xlabel("body mass index (kg/m²)")
ax.set_ylabel("blood pressure as noted (mm Hg)")
fig.legend(loc="outside upper center", ncols=2)
plt.show()

# %%
for name, model in models.items():
    print(f"{model.coef_[0]:+.2f} mm Hg for each kg/m²: {name}")
