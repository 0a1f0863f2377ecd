"""
Too small, good, too large
==========================

A rate that is too small crawls. One that is too large overshoots by more at every step. Between the two lies the
stability ceiling: the largest rate at which the descent still comes down. It is 2/L, where L is the largest curvature
of the loss. The best single number is just below the ceiling, and even that is slow, because the steepest direction
sets the ceiling, and the flattest direction sets the time.
"""

# %%
# Seven houses, and the loss after 50 epochs at each of 49 rates. A triangle stands for a rate at which the loss rises
# above that of the start.
import matplotlib.pyplot as plt

from gdregress import GradientDescentRegressor, LearningRateDisplay, load_house_prices

X, y = load_house_prices(return_X_y=True)
_, ax = plt.subplots(figsize=(7, 4.8), layout="constrained")
LearningRateDisplay.from_estimator(GradientDescentRegressor(epochs=50), X, y, ax=ax)
plt.show()

# %%
# The ceiling is known before the first step, and a fit above it says so.
model = GradientDescentRegressor("lipschitz", epochs=50, tol=None).fit(X, y)
print(f"ceiling {model.max_learning_rate_:.5f}, half of it {model.learning_rate_:.5f}")
