"""
Early stopping on validation rows of your own
=============================================

A random tenth of the rows is the wrong validation set if rows depend on each other, such as visits of one patient, or
days in a row. Then choose the rows yourself, and give them to ``fit(X, y, X_val=..., y_val=...)``. In a pipeline they
have to go through the same steps as ``X``. scikit-learn does this if it is told to.
"""

# %%
# These are made-up data with a known answer. Patients come six times each. They have 30 measurements in 30 units, and a
# score that depends on them, on the patient (variance 1), and on the day (variance 1/4). The model is for new patients.
# So the patients are split, not the visits: 40 train, 15 validate, and 200 are kept for the end.
import matplotlib.pyplot as plt
import numpy as np
from sklearn import config_context
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from gdregress import GradientDescentRegressor

rng = np.random.default_rng(0)
patient = np.repeat(np.arange(255), 6)
traits = rng.normal(size=(255, 30))
score = traits @ (0.3 * rng.normal(size=30)) + rng.normal(size=255)
X = (traits[patient] + 0.2 * rng.normal(size=(len(patient), 30))) * np.logspace(-2, 3, 30)
y = score[patient] + 0.5 * rng.normal(size=len(patient))
train, validate, test = patient < 40, (patient >= 40) & (patient < 55), patient >= 55

# %%
# ``transform_input`` sends ``X_val`` through the scaler, and the model asks for it by ``set_fit_request``. Both need
# metadata routing. Without ``transform_input`` the model would get raw validation rows, and would say so.
early = {"epochs": 1000, "early_stopping": True, "n_iter_no_change": 200, "tol": None, "random_state": 0}
model = GradientDescentRegressor("lipschitz", **early)
with config_context(enable_metadata_routing=True):
    by_patient = Pipeline(
        [("scale", StandardScaler()), ("model", model.set_fit_request(X_val=True, y_val=True))],
        transform_input=["X_val"],
    )
    by_patient.fit(X[train], y[train], X_val=X[validate], y_val=y[validate])
print(by_patient[-1].stop_reason_)

# %%
# For comparison, the same descent holds out a random tenth of the visits of the same 40 patients.
at_random = Pipeline([("scale", StandardScaler()), ("model", GradientDescentRegressor("lipschitz", **early))])
at_random.fit(X[train], y[train])

fig, ax = plt.subplots(layout="constrained")
for name, pipeline, line in (("15 other patients", by_patient, "-"), ("visits of the same patients", at_random, "--")):
    loss = pipeline[-1].history_["validation_loss"]
    best = loss.argmin()
    [curve] = ax.semilogx(1 + np.arange(len(loss)), loss, line, label=f"validated on {name}")
    ax.plot(1 + best, loss[best], "o", color=curve.get_color(), label=f"kept: epoch {best}")
ax.semilogx(1 + np.arange(len(model.history_["loss"])), model.history_["loss"], ":", label="training rows")
ax.set_xlabel("1 + epochs")
ax.set_ylabel("mean squared error")
ax.legend(loc="upper right")
plt.show()

# %%
# Visits of patients whom the model knows say nothing about patients whom it does not know. On the 200 new ones:
to_the_end = GradientDescentRegressor().fit(X[train], y[train])
stops = {"other patients": by_patient, "visits of the same": at_random, "no validation": to_the_end}
for name, fitted in stops.items():
    print(f"{name:18}: mean squared error {np.mean((fitted.predict(X[test]) - y[test]) ** 2):.1f}")
