"""
The textbook's descent
======================

Seven houses.
"""

from gdregress import GradientDescentRegressor, load_house_prices

X, y = load_house_prices(return_X_y=True)
model = GradientDescentRegressor(learning_rate=0.001, epochs=25, tol=None).fit(X, y)
print(model.coef_, model.intercept_)
