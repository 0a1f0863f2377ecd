"""
The textbook's descent
======================

Seven houses, their bedrooms and prices, and a line ``w * bedrooms + b`` that starts flat at zero. Every epoch it takes
one step down the slope of the mean squared error: ``learning_rate=0.075`` times that slope, and nothing else.
"""

# %%
import matplotlib.pyplot as plt
import pandas as pd

from gdregress import GradientDescentRegressor, LossSurfaceDisplay, load_house_prices

houses = load_house_prices()
X, y = pd.DataFrame(houses.data, columns=houses.feature_names), houses.target
model = GradientDescentRegressor(
    learning_rate=0.075,
    epochs=200,
    tol=None,
    record_path=True,
).fit(X, y)
for epoch in (0, 1, 2, 200):
    print(f"epoch {epoch:3}: mean squared error {model.history_['loss'][epoch]:.3f}")
print(f"least squares has {GradientDescentRegressor().fit(X, y).history_['loss'][-1]:.3f}")

# %%
# ``record_path=True`` keeps the coefficients of every epoch. At first they swing from side to side of the valley. The
# rate is near the largest stable one, 0.0813, so every step overshoots the bottom of the valley. Once they are at the
# bottom, they only have to follow it, which takes the rest of the 200 epochs: there the slope is small.
display = LossSurfaceDisplay.from_estimator(model, X, y)
plt.show()

# %%
# The same step by step, with the line among the houses and the two slopes, which come to zero.
animation = display.animate(interval=300, max_frames=24)
