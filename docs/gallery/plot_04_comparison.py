"""
Beside SGDRegressor and the closed form, on raw tables
======================================================

``compare`` fits a model, SGDRegressor and the closed form to the same rows, and measures all of them against the closed
form. Here with the tables that come with scikit-learn, columns as they were measured.
"""

# %%
# The targets are the score of the diabetes data, the radius of tumours, from everything else that was measured of
# them, the weight of twenty men, from their exercises, and the alcohol of wines, from their other contents.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_linnerud, load_wine

from gdregress import compare

tumours, wines, men = (load(as_frame=True) for load in (load_breast_cancer, load_wine, load_linnerud))
tables = {
    "diabetes": load_diabetes(return_X_y=True, as_frame=True, scaled=False),
    "tumours": (tumours.data.drop(columns="mean radius"), tumours.data["mean radius"]),
    "men": (men.data, men.target["Weight"]),
    "wines": (wines.data.drop(columns="alcohol"), wines.data["alcohol"]),
}
comparisons = {name: compare(X, y) for name, (X, y) in tables.items()}
comparisons["diabetes"]

# %%
# The error is the root-mean-square distance of the predictions from those of the closed form, in standard deviations
# of y: at 1 and beyond, a model is as far off as if it had not looked at the columns at all.
fig, ax = plt.subplots(layout="constrained")
places = np.arange(len(tables))
for solver, marker in zip(list(comparisons["wines"].to_frame().index)[:3], "o^s", strict=True):
    errors = [comparison.to_frame().loc[solver, "prediction_error"] for comparison in comparisons.values()]
    ax.plot(errors, places, marker, markersize=9, label=solver)
ax.axvline(1, color="black", linestyle=":", label="one standard deviation")
ax.set_xscale("log")
ax.set_yticks(places, [f"{name}\n{X.shape[0]} x {X.shape[1]}" for name, (X, _) in tables.items()])
ax.set_ylim(-0.5, len(tables) - 0.5)
ax.set_xlabel("distance of predictions from least squares (standard deviations of y)")
fig.legend(loc="outside upper center", ncols=2)
plt.show()

# %%
# A scaler brings SGDRegressor near; what is left is its noise, and on the tumours columns that are nearly collinear.
