"""
The strength of a penalty, by cross-validation
==============================================

``GradientDescentRegressorCV`` tries many strengths. For squared error it reads the rows about once, however many there
are: the sums of each fold are added up, and every fit follows from these.
"""

# %%
# A penalty compares coefficients: with ``standardize=True`` it does so in standard deviations of the columns, those of
# the training rows of each fold. Each thin line is a fold, and the bars are standard errors of the mean.
import matplotlib.pyplot as plt
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import StandardScaler

from gdregress import GradientDescentRegressorCV, TuningDisplay, one_standard_error

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
model = GradientDescentRegressorCV(penalty="l1", standardize=True).fit(X, y)
print(f"alpha = {model.alpha_:.2g}, mean squared error of held-out rows {-model.best_score_:.0f}")
TuningDisplay.from_estimator(model)
plt.show()

# %%
# The best mean is uncertain. The strongest penalty within one standard error of it keeps fewer columns.
# Coefficients are those of the raw columns.
simple = GradientDescentRegressorCV(penalty="l1", standardize=True, refit=one_standard_error).fit(X, y)
print(f"{(model.coef_ != 0).sum()} columns at the best, {(simple.coef_ != 0).sum()} within one standard error")
TuningDisplay.from_estimator(simple, kind="coef")
plt.show()

# %%
# Epochs of plain descent are chosen in the same way. That is early stopping with no row held out: one descent on each
# training set gives every number of epochs. Plain descent is slow on raw columns, and these are scaled.
X = StandardScaler().fit_transform(X)
epochs = GradientDescentRegressorCV(penalty=None, learning_rate="lipschitz", epochs=range(1, 2001), tol=None).fit(X, y)
print(f"{epochs.epochs_} epochs, mean squared error of held-out rows {-epochs.best_score_:.0f}")
TuningDisplay.from_estimator(epochs)
plt.show()
