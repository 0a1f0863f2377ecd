"""
Quantiles: how far off, and on which side
=========================================

A fit of the mean does not tell how far the rows scatter around it. With ``loss="quantile"`` each fit is a line, and a
given share of the rows lies below it. Two such lines enclose a range, which may widen from left to right.
"""

# %%
# Body mass index and the progress of a disease a year later, of 442 patients.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import cross_val_predict

from gdregress import GradientDescentRegressor

data = load_diabetes(as_frame=True, scaled=False)
X, y = data.data[["bmi"]].to_numpy(), data.target.to_numpy()
quantiles = (0.1, 0.5, 0.9)
models = [GradientDescentRegressor(loss="quantile", quantile=quantile).fit(X, y) for quantile in quantiles]

fig, ax = plt.subplots(layout="constrained")
ax.plot(X, y, ".", color="0.75", label="patients")
ends = np.array([[X.min()], [X.max()]])
for quantile, model, line in zip(quantiles, models, ("--", "-", "-."), strict=True):
    ax.plot(ends, model.predict(ends), line, linewidth=2.5, label=f"quantile {quantile}")
ax.set_xlabel("body mass index (kg/m²)")
ax.set_ylabel("disease progression (score)")
ax.legend()
plt.show()

# %%
# Do the lines hold what they say on rows that they have not seen? Each row is predicted by a fit to the other folds.
for quantile, model in zip(quantiles, models, strict=True):
    below = y <= cross_val_predict(model, X, y, cv=10)
    print(f"quantile {quantile}: {below.mean():.2f} of the rows left out lie below")
