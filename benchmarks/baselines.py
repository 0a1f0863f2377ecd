"""What is compared with, and is in no package as an estimator: a product, a loop of ten lines, torch's L-BFGS."""

import time

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


class Product(BaseEstimator):
    """The product ``X.T @ X`` alone, which every method that squares X has to form."""

    def fit(self, X, y):
        """Multiply."""
        self.product_ = X.T @ X
        return self


class NumpyDescent(RegressorMixin, BaseEstimator):
    """Plain descent on the mean squared error as it stands in textbooks, with its loss history.

    Parameters
    ----------
    learning_rate : float
        What the gradient is multiplied by.
    epochs : int
        Passes over X.
    """

    ENOUGH_SECONDS = 50.0
    """Time after which it stops short, less than that after which a benchmark gives a solver up."""

    def __init__(self, learning_rate, epochs):
        self.learning_rate = learning_rate
        self.epochs = epochs

    def fit(self, X, y):
        """Descend from zero."""
        w, b, losses = np.zeros(X.shape[1]), 0.0, []
        end = time.perf_counter() + self.ENOUGH_SECONDS
        while len(losses) < self.epochs and time.perf_counter() < end:
            residual = y - (X @ w + b)
            losses.append(np.mean(residual**2))
            w = w + 2 * self.learning_rate * (X.T @ residual) / len(y)
            b = b + 2 * self.learning_rate * residual.mean()
        self.coef_, self.intercept_, self.n_iter_, self.history_ = w, b, len(losses), np.array(losses)
        return self


class TorchLBFGS(RegressorMixin, BaseEstimator):
    """L-BFGS of torch with its strong Wolfe line search, on all rows at once; its tolerances are its defaults.

    Parameters
    ----------
    loss : {"squared_error", "huber"}, default="squared_error"
        Mean loss that is minimised.
    epsilon : float, default=1.35
        Where Huber's loss becomes straight.
    max_iter : int, default=1000
        Largest number of iterations: torch's own default of 20 is for those who call it again and again.
    """

    def __init__(self, loss="squared_error", epsilon=1.35, max_iter=1000):
        self.loss = loss
        self.epsilon = epsilon
        self.max_iter = max_iter

    def fit(self, X, y):
        """Minimise from zero, in the dtype of X."""
        import torch
        from torch.nn import functional

        rows, targets = torch.from_numpy(X), torch.from_numpy(y)
        w = torch.zeros(X.shape[1], dtype=rows.dtype, requires_grad=True)
        b = torch.zeros(1, dtype=rows.dtype, requires_grad=True)
        optimizer = torch.optim.LBFGS([w, b], max_iter=self.max_iter, line_search_fn="strong_wolfe")

        def closure():
            optimizer.zero_grad()
            predictions = rows @ w + b
            if self.loss == "squared_error":
                value = functional.mse_loss(predictions, targets)
            else:
                value = 2 * functional.huber_loss(predictions, targets, delta=self.epsilon)
            value.backward()
            return value

        optimizer.step(closure)
        self.coef_ = w.detach().numpy()
        self.intercept_ = float(b.detach())
        self.n_iter_ = optimizer.state[w]["n_iter"]
        return self
