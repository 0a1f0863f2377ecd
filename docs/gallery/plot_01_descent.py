"""
The textbook's descent
======================

Seven houses, their bedrooms and prices, and a line ``w * bedrooms + b`` that starts flat at zero. Every epoch it takes
one step along the slope of the mean squared error: ``learning_rate=0.075`` times that slope, and nothing else.
"""

# %%
import matplotlib.pyplot as plt
from matplotlib.animation import FuncAnimation

from gdregress import GradientDescentRegressor, load_house_prices

X, y = load_house_prices(return_X_y=True)
model = GradientDescentRegressor(learning_rate=0.075, epochs=200, tol=None, record_path=True).fit(X, y)
for epoch in (0, 1, 2, 200):
    print(f"epoch {epoch:3}: mean squared error {model.history_['loss'][epoch]:.3f}")
print(f"least squares has {GradientDescentRegressor().fit(X, y).history_['loss'][-1]:.3f}")

# %%
# ``record_path=True`` keeps the coefficients of every epoch. At first the line swings, for the rate is near the
# ceiling, and every step overshoots. Once it runs through the middle of the houses it only has to turn, which takes
# the rest of the 200 epochs: that is the flat direction.
frames = [*range(12), *range(12, 60, 4), *range(60, 201, 20)]
fig, ax = plt.subplots()
ax.plot(X, y, "o", color="black", label="houses")
[line] = ax.plot([], [], color="C5", linewidth=2.5, label="w * bedrooms + b")
ax.set(xlim=(0.5, 5.5), ylim=(-100, 620), xlabel="bedrooms", ylabel="price (thousands)")
ax.legend(loc="upper left")


def show(epoch):
    """Draw the line of an epoch."""
    w, b = model.history_["coef"][epoch].item(), model.history_["intercept"][epoch].item()
    line.set_data([0.5, 5.5], [w * 0.5 + b, w * 5.5 + b])
    ax.set_title(f"epoch {epoch}: w = {w:.1f}, b = {b:.1f}", loc="right")


animation = FuncAnimation(fig, show, frames, interval=200)
