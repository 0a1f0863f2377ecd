"""
Too small, good, too large
==========================

A rate that is too small crawls. One above the ceiling 2/L overshoots by more at every step. The best single number is
below the ceiling, and even that is slow: the direction that sets the ceiling is not the one that is waited for.
"""

# %%
# Seven houses, and rates from an eightieth of the ceiling to above it. The one above warns, and names the ceiling.
import warnings

import matplotlib.pyplot as plt
import numpy as np

from gdregress import GradientDescentRegressor, closed_form, load_house_prices

X, y = load_house_prices(return_X_y=True)
coef, intercept = closed_form(X, y)
least = np.mean((y - X @ coef - intercept) ** 2)
rates = {0.001: "-", 0.04: "--", 0.078: "-.", 0.085: ":", "auto": "o-"}

fig, ax = plt.subplots()
for rate, line in rates.items():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = GradientDescentRegressor(rate, epochs=300, tol=None if rate != "auto" else 1e-6).fit(X, y)
    for warning in caught:
        print(warning.message)
    above = np.maximum(model.history_["loss"] - least, 1e-3)
    ax.plot(above, line, linewidth=2, label=f'"{rate}"' if rate == "auto" else rate)
ax.set_yscale("log")
ax.set_ylim(5e-4, 1e8)
ax.set_xlabel("epochs")
ax.set_ylabel("mean squared error above the least\n(thousands², 0.001 stands for less)")
ax.legend(title="learning_rate", ncols=2)
plt.show()
