"""An array of the host that goes through a device in blocks of rows, as the user asks for it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.rows.kinds import FEATURES, NUMERIC, check_numbers
from gdregress.rows.namespaces import place_by_name
from gdregress.rows.transfer import Brought


@dataclass(frozen=True, eq=False, repr=False)
class ThroughDevice:
    """What `through_device` returns.

    Attributes
    ----------
    array : ndarray of shape (n_samples, n_features)
        The array, in memory or in a file.
    device_name : str or int
        Name of the device. (An attribute `device` would be taken for that of an array of the standard.)
    library : str
        Name of the library.
    """

    array: NDArray
    device_name: str | int
    library: str
    ndim = 2

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows and of columns."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype:
        """Type of the numbers in the array."""
        return self.array.dtype

    def __through_device__(self) -> Brought:
        """Return the array with the device itself, which a pickle could not hold."""
        return Brought(self.array, place_by_name(self.library, self.device_name))

    def __len__(self):
        """Return the number of rows."""
        return len(self.array)

    def __getitem__(self, rows):
        """Return some rows, as NumPy does: consecutive ones are not copied."""
        return through_device(self.array[rows], self.device_name, library=self.library)

    def __array__(self, dtype=None, copy=None):
        """Return the array, for all that knows nothing of devices."""
        return np.array(self.array, dtype=dtype, copy=copy)

    def __repr__(self):
        """Return shape, type and device."""
        n, p = self.shape
        return f"<{n} x {p} {self.dtype} through {self.library} on {self.device_name!r}>"


def through_device(X, device, *, library="torch"):
    """Let an array of the host go through a device in blocks of rows, because it is too large to lie there.

    `fit` reads the array block by block at each pass over the rows. While a block is worked on, the next one is read,
    converted and copied to the device. There is room for two. y and the weights are put on the device as a whole. What
    is fitted is on the host, as X is, and `predict` and `score` take X or this.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Real numbers, in memory or in a file, such as ``np.load(path, mmap_mode="r")``. They go through the device as
        32-bit floats if they are such, and else as 64-bit floats.
    device : str or int
        The device, by the name that its library has for it: "cuda" or "cuda:1" of PyTorch, the number of a GPU of CuPy.
    library : {"torch", "cupy", "array_api_strict"}, default="torch"
        Library that works on the blocks. It needs array-api-compat: ``python -m pip install 'gdregress[array-api]'``.

    Returns
    -------
    ThroughDevice
        What `fit` of `GradientDescentRegressor` and `GradientDescentRegressorCV` takes for X, and `X_val` may be. It
        has `array`, `shape`, `dtype` and `len`, and rows of it can be taken as of an array.

    Raises
    ------
    ImportError
        If the library or array-api-compat is not installed.
    TypeError
        If X is no array of NumPy that holds real numbers.
    ValueError
        If X has not two axes, or if there is no such library or device.

    See Also
    --------
    GradientDescentRegressor.fit : Takes arrays that lie on a device, too.

    Notes
    -----
    Squared error takes one pass. Losses with kinks take about five, if few rows are near a kink. Newton's steps for
    other losses take three or four for each epoch. A pass takes at least as long as it takes to read the file and to
    carry it over the bus. The page "On a GPU" says when that pays.

    Examples
    --------
    The library array-api-strict pretends to have a device of the name "device1". That of a GPU would be
    ``through_device(X, "cuda")``:

    >>> import os, tempfile
    >>> import numpy as np
    >>> from sklearn.datasets import load_diabetes
    >>> from gdregress import GradientDescentRegressor, through_device
    >>> X, y = load_diabetes(return_X_y=True, scaled=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "X.npy")
    ...     np.save(path, X)
    ...     there = through_device(np.load(path, mmap_mode="r"), "device1", library="array_api_strict")
    ...     print(there)
    ...     model = GradientDescentRegressor(loss="huber", epsilon=20.0).fit(there, y)
    ...     del there
    <442 x 10 float64 through array_api_strict on 'device1'>
    >>> print(model.converged_, type(model.coef_).__name__, round(model.score(X, y), 3))
    True ndarray 0.514
    """
    if not isinstance(X, np.ndarray):
        raise TypeError(
            f"X is a {type(X).__name__}, but blocks of rows are cut from an array of NumPy, in memory or in a file: "
            "pass one, or X itself to fit."
        )
    check_numbers("X", X, FEATURES)
    if X.dtype.kind not in NUMERIC:
        raise TypeError(f"X holds {X.dtype}, but real numbers go through a device: convert it to floats.")
    if X.ndim != 2:
        raise ValueError(f"X must have shape (n_samples, n_features), but has shape {X.shape}.")
    place_by_name(library, device)
    return ThroughDevice(np.asarray(X), device, library)


def goes_through(values: Any) -> bool:
    """Return whether values are of `through_device`; a data frame may have a column of any name."""
    return hasattr(type(values), "__through_device__")
