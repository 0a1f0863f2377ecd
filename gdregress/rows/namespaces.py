"""Where arrays live: in the memory of the host, or on a device, with the functions that work on them there.

The functions are those of the Python array API standard, which NumPy, PyTorch and CuPy have in common. NumPy's own
namespace is one of them, so that one formula serves all. For other libraries the namespace comes from
array-api-compat, which is imported only if an array of theirs is given.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn import get_config

FETCH: dict[str, Callable[[Any, Any], NDArray]] = {
    "torch": lambda xp, array: array.detach().cpu().numpy(),
    "cupy": lambda xp, array: array.get(),
    "array_api_strict": lambda xp, array: np.asarray(array.to_device(xp.Device("CPU_DEVICE"))),
}
"""Libraries whose arrays are taken, each with the function that brings an array to the host: the standard has none."""


def _empty_of_cupy(cupy: Any, device: Any) -> Any:
    with cupy.cuda.Device(device):
        return cupy.empty(0)


EMPTY: dict[str, Callable[[Any, Any], Any]] = {
    "torch": lambda torch, device: torch.empty(0, device=device),
    "cupy": _empty_of_cupy,
    "array_api_strict": lambda xp, device: xp.empty(0, device=xp.Device(device)),
}
"""The same libraries, each with the function that makes an empty array on a device, given the name of this."""

READABLE = (1, 3)
"""Kinds of devices of DLPack whose memory NumPy reads: that of the host, and what CUDA has of it."""

NAMESPACES: dict[type, Any] = {}
"""Types of arrays, each with its namespace, as they are met. To look for it takes as long as to start an operation."""

GPU: dict[str, str | int] = {"torch": "cuda", "cupy": 0}
"""What libraries call a GPU, which users call "gpu"."""


@dataclass(frozen=True)
class Place:
    """A namespace and a device.

    Attributes
    ----------
    xp : module
        The namespace: functions of the array API standard.
    device : object
        The device, as the namespace names it; None for the host.
    """

    xp: Any = np
    device: Any = None

    @property
    def is_host(self) -> bool:
        """Whether arrays are those of NumPy."""
        return self.xp is np

    @cached_property
    def is_processor(self) -> bool:
        """Whether the cores of the host do the work, in the hands of whatever library."""
        return self.is_host or is_readable(self.xp.empty(0, device=self.device))

    def __str__(self):
        """Return the library and the device, for error messages."""
        return "numpy" if self.is_host else f"{self.library} on {self.device}"

    @property
    def library(self) -> str:
        """Name of the library of arrays."""
        return self.xp.__name__.rpartition(".")[2]

    @cached_property
    def has_doubles(self) -> bool:
        """Whether there are 64-bit floats; Apple's GPUs have none."""
        return self.is_host or "float64" in self.xp.__array_namespace_info__().dtypes(device=self.device)

    @property
    def precision(self) -> type:
        """The widest floating type, as that of NumPy."""
        return np.float64 if self.has_doubles else np.float32

    @property
    def widest(self) -> Any:
        """The widest floating type."""
        return self.dtype(np.float64)

    def dtype(self, wanted: Any) -> Any:
        """Return a floating type of NumPy as the type here, or the widest that is no wider."""
        return self.xp.float64 if np.dtype(wanted) == np.float64 and self.has_doubles else self.xp.float32

    def put(self, array: NDArray, dtype: Any = None) -> Any:
        """Return a copy of an array of the host; floats become the widest here unless `dtype` says otherwise."""
        if self.is_host:
            return np.asarray(array, dtype)
        copied = np.array(array)  # a library may share memory with an array, and one that is read-only is refused
        if copied.dtype.kind == "f":
            dtype = self.widest if dtype is None else dtype
            copied = copied.astype(np.float32 if dtype == self.xp.float32 else np.float64, copy=False)
        return self.xp.asarray(copied, dtype=dtype, device=self.device)

    def fetch(self, array: Any) -> NDArray:
        """Return on the host an array that lives here; it may share memory with it, and is not to be written to."""
        return array if self.is_host else FETCH[self.library](self.xp, array)


HOST = Place()
"""The memory of this process."""


def is_elsewhere(values: Any) -> bool:
    """Return whether values are an array of another library than NumPy: no table, list or matrix of SciPy."""
    if isinstance(values, np.ndarray | np.generic) or sparse.issparse(values):
        return False
    return hasattr(values, "__dlpack__") and hasattr(values, "dtype") and hasattr(values, "shape")


def is_readable(array: Any) -> bool:
    """Return whether the memory of an array is one that NumPy reads."""
    try:
        kind, _ = array.__dlpack_device__()
    except ValueError:  # of PyTorch, for devices that DLPack does not number: none is the host
        return False
    return kind in READABLE


def place_of(name: str, values: Any) -> Place:
    """Return where an array lives that a user gives; all is on the host unless scikit-learn dispatches by arrays.

    Parameters
    ----------
    name : str
        Name of the array in error messages.
    values : object
        The array, or anything else that scikit-learn takes.

    Raises
    ------
    ImportError
        If the array is of another library than NumPy, and array-api-compat is not installed.
    TypeError
        If it is of a library that is not in `FETCH`, or on a device and scikit-learn does not dispatch by arrays.
    """
    if not is_elsewhere(values):
        return HOST
    if not get_config()["array_api_dispatch"]:
        if hasattr(values, "__dlpack_device__") and not is_readable(values):
            raise TypeError(
                f"{name} is an array of {type(values).__module__.partition('.')[0]} on a device, which NumPy cannot "
                "read: call sklearn.set_config(array_api_dispatch=True) before, or pass a copy as an array of NumPy."
            )
        return HOST
    try:
        import array_api_compat  # noqa: F401
    except ImportError:
        raise ImportError(
            f"{name} is an array of {type(values).__module__}, which needs array-api-compat: "
            "python -m pip install 'gdregress[array-api]'."
        ) from None
    library = type(values).__module__.partition(".")[0]
    try:
        place = where_is(values)
    except TypeError:
        place = None
    if place is None or place.library not in FETCH:
        *others, last = FETCH
        known = f"numpy, {', '.join(others)} or {last}"
        raise TypeError(f"{name} is an array of {library}, which is not known here: pass one of {known}.")
    return place


def place_by_name(library: str, device: Any) -> Place:
    """Return a device, given the names of its library and of itself.

    Raises
    ------
    ImportError
        If the library or array-api-compat is not installed.
    ValueError
        If the library is not in `EMPTY`, or has no such device here.
    """
    if library not in EMPTY:
        *others, last = map(repr, EMPTY)
        raise ValueError(f"library={library!r} is not known here: pass one of {', '.join(others)} or {last}.")
    compat = "python -m pip install 'gdregress[array-api]'"
    for name, remedy in ((library, "install it"), ("array_api_compat", compat)):
        try:
            import_module(name)
        except ImportError as error:
            raise ImportError(f"library={library!r} needs {name}, which cannot be imported: {remedy}.") from error
    try:
        return where_is(EMPTY[library](import_module(library), device))
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        [reason, *_] = str(error).splitlines() or [type(error).__name__]
        is_gpu, called = str(device).lower().startswith(("gpu", "cuda", "nvidia")), GPU.get(library)
        is_misnamed = is_gpu and called is not None and not str(device).startswith(str(called))
        remedy = f"did you mean {called!r}?" if is_misnamed else "pass one that it has."
        raise ValueError(
            f"device={device!r} is none that {library} has here ({reason.rstrip('.')}): {remedy}"
        ) from error


def where_is(array: Any) -> Place:
    """Return where an array lives; all that is no array of another library is on the host."""
    if not is_elsewhere(array):
        return HOST
    import array_api_compat

    return Place(array_api_compat.array_namespace(array), array_api_compat.device(array))


def check_same_place(estimator: Any, X: Any, place: Place, method: str) -> None:
    """Raise a ValueError if X lives elsewhere than the coefficients.

    Parameters
    ----------
    estimator : GradientDescentRegressor
        Estimator that was fitted.
    X : object
        Features as the user gave them.
    place : Place
        Where they live, as scikit-learn is to see it.
    method : str
        Name of the method that was called.
    """
    there = where_is(estimator.coef_)
    if there == place:
        return
    if place.is_host and is_elsewhere(X):
        raise ValueError(
            f"X in fit was of {there}, but {method} would convert X to numpy, since scikit-learn does not dispatch by "
            "arrays: call sklearn.set_config(array_api_dispatch=True) before."
        )
    raise ValueError(
        f"Inputs passed to {type(estimator).__name__}.{method}() must use the same namespace and the same device as X "
        f"in fit, which was of {there}, but X is of {place}: move X, or fit again."
    )


def to_host(array: Any) -> Any:
    """Return an array of a device as one of the host, and anything else as it is."""
    return where_is(array).fetch(array)


def namespace(array: Any) -> Any:
    """Return the namespace of functions for an array of the host or of a device: that of its type."""
    kind = type(array)
    if kind not in NAMESPACES:
        NAMESPACES[kind] = where_is(array).xp
    return NAMESPACES[kind]


def beside(array: Any, values: NDArray) -> Any:
    """Return numbers of the host where an array lives, and in its floating type there."""
    place = where_is(array)
    return values if place.is_host else place.put(values, array.dtype)


def cast(array: Any, dtype: Any) -> Any:
    """Return an array, or a matrix of SciPy, in another type; itself if it has that type."""
    if hasattr(array, "astype"):
        return array.astype(dtype, copy=False)
    return namespace(array).astype(array, dtype, copy=False)


def taken(array: Any, chosen: Any) -> Any:
    """Return some rows of an array, or of a matrix of SciPy, given their numbers."""
    return namespace(array).take(array, chosen, axis=0) if is_elsewhere(array) else array[chosen]


def affine(X: Any, coef: Any, intercept: Any) -> Any:
    """Return the predictions ``X @ coef.T + intercept``."""
    return X @ (coef if coef.ndim == 1 else coef.T) + intercept


class Movable:
    """An object that can be copied to another place, and says which of its attributes go there.

    Attributes
    ----------
    arrays : tuple of str
        Names of the attributes that are arrays of the host, or numbers in place of an array.
    movables : tuple of str
        Names of the attributes that are such objects, or None.
    """

    arrays: ClassVar[tuple[str, ...]] = ()
    movables: ClassVar[tuple[str, ...]] = ()

    def moved(self, place: Place) -> Self:
        """Return a copy whose arrays live in another place; all arrays of floats go there in one transfer."""
        floats: list[NDArray] = []
        self.mapped(lambda array: floats.append(array) if array.dtype.kind == "f" else None)
        joined: Any = place.put(np.concatenate([array.ravel() for array in floats])) if floats else None
        ends = np.cumsum([array.size for array in floats])
        parts = (
            place.xp.reshape(joined[end - array.size : end], array.shape)
            for array, end in zip(floats, ends.tolist(), strict=True)
        )
        return self.mapped(lambda array: next(parts) if array.dtype.kind == "f" else place.put(array))

    def mapped(self, function: Callable[[NDArray], Any]) -> Self:
        """Return a copy with the values of a function in place of the arrays, always in the same order."""
        other = object.__new__(type(self))  # a copy of an accumulator would be its sums alone
        other.__dict__.update(vars(self))
        for name in self.arrays:
            value = getattr(self, name)
            other.__dict__[name] = function(value) if isinstance(value, np.ndarray) else value
        for name in self.movables:
            part = getattr(self, name)
            other.__dict__[name] = None if part is None else part.mapped(function)
        return other
