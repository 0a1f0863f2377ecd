"""X on a device, block by block: of an array that lies there, or of one of the host, whose blocks are brought.

While a block is worked on, a thread reads the next one. Where there are streams, it is copied to the device meanwhile
too: a GPU copies by itself from memory that the operating system cannot move (pinned memory), in a stream of its own,
beside the stream in which it works. Events order what the two streams do.
"""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from gdregress.rows.checks import check_finite
from gdregress.rows.namespaces import Place

BLOCK_ENTRIES = 2**26
"""Entries of a block. An H100 takes some 0.6 ms to convert one to 512 MB and to read it twice. With half as many
entries a fit by Newton's steps took a sixth longer, and with twice as many a twentieth less."""

FILLING = 8
"""Threads that fill pinned memory. On 16 cores 4 filled 16 GB/s, 8 filled 22, and 16 no more."""

BROUGHT_ENTRIES = 2**24
"""Entries of a block that is brought. In single precision its 64 MB take 3 ms at 22 GB/s, longer than to start the
twenty operations or so of the work on it. Two of them take 256 MB of any device in double precision. With a quarter as
many entries the way was 0.6 times as fast."""

ROUNDED_ENTRIES = 2**20
"""Entries of a block where sums over it are in single precision: the fewer, the less is lost."""


class Features(Protocol):
    """X in blocks of rows that lie on a device.

    Attributes
    ----------
    place : Place
        Where the blocks lie.
    shape : tuple of int
        Number of rows and of columns.
    dtype : dtype
        Floating type of the blocks, as that of NumPy.
    block_entries : int
        Entries of a block, so that starting the work on it costs little beside the work itself.
    """

    place: Place
    shape: tuple[int, ...]
    dtype: np.dtype
    block_entries: int

    def blocks(self, pieces: Sequence[slice]) -> Generator[Any, None, None]:
        """Yield blocks of rows. Each may be overwritten once the next one is asked for."""
        ...

    def sample(self, chosen: Any) -> Any:
        """Return some rows on the device, given a slice or their numbers, which are there too."""
        ...

    def part(self, chosen: NDArray | slice) -> Self:
        """Return some of the rows."""
        ...

    def without_columns(self) -> "Features":
        """Return the rows without their columns, of which nothing has to be brought."""
        ...

    def check_finite(self, name: str, columns: NDArray | None) -> None:
        """Raise a ValueError that names the position of the first NaN or infinity."""
        ...


def pieces_of(n_samples: int, size: int) -> list[slice]:
    """Return consecutive slices of rows, of a given size but for the last."""
    step = max(1, size)
    return [slice(start, min(start + step, n_samples)) for start in range(0, n_samples, step)]


class Resident:
    """An array that lies on a device; its blocks are views of it.

    Parameters
    ----------
    array : array of shape (n_samples, n_features)
        Numbers in 32-bit or 64-bit floats.
    place : Place
        Where it lies.
    """

    def __init__(self, array: Any, place: Place):
        self.array = array
        self.place = place
        self.shape = tuple(array.shape)
        self.dtype = np.dtype(np.float32 if array.dtype == place.xp.float32 else np.float64)
        self.block_entries = BLOCK_ENTRIES

    def blocks(self, pieces: Sequence[slice]) -> Generator[Any, None, None]:
        """Yield blocks of rows."""
        return (self.array[rows, :] for rows in pieces)

    def sample(self, chosen: Any) -> Any:
        """Return some rows on the device, given a slice or their numbers, which are there too."""
        return self.array[chosen, :] if isinstance(chosen, slice) else self.place.xp.take(self.array, chosen, axis=0)

    def part(self, chosen: NDArray | slice) -> "Resident":
        """Return some of the rows, as a view if they are a slice, else copied."""
        if isinstance(chosen, slice):
            return Resident(self.array[chosen, :], self.place)
        index = self.place.put(np.asarray(chosen, np.int64))
        return Resident(self.place.xp.take(self.array, index, axis=0), self.place)

    def without_columns(self) -> "Resident":
        """Return the rows without their columns."""
        return Resident(self.array[:, :0], self.place)

    def check_finite(self, name: str, columns: NDArray | None) -> None:
        """Raise a ValueError that names the position of the first NaN or infinity; the block with it comes here."""
        xp, n_samples = self.place.xp, self.shape[0]
        for rows in pieces_of(n_samples, ROUNDED_ENTRIES // max(1, self.shape[1])):
            block = self.array[rows, :]
            if not bool(xp.all(xp.isfinite(block))):
                check_finite(name, self.place.fetch(block), columns, first_row=rows.start)


class Brought:
    """An array of the host, whose blocks are brought to a device, each while the last one is worked on.

    Single precision stays so, and all else becomes the widest type of the device.

    Parameters
    ----------
    array : ndarray of shape (n_rows, n_features)
        Numbers of any real type, in memory or in a file, in either order. They are converted block by block.
    place : Place
        Where the blocks are worked on.
    index : ndarray of shape (n_samples,), default=None
        Numbers of the rows; None for all of them.
    """

    def __init__(self, array: NDArray, place: Place, index: NDArray | None = None):
        self.array = array
        self.place = place
        self.index = index
        self.shape: tuple[int, ...] = (len(array if index is None else index), array.shape[1])
        self.dtype = np.dtype(np.float32 if array.dtype == np.float32 else place.precision)
        self.block_entries = BROUGHT_ENTRIES

    def blocks(self, pieces: Sequence[slice]) -> Generator[Any, None, None]:
        """Yield blocks of rows.

        ::

            send block 1
            for k = 1, 2, ...
                receive block k
                send block k + 1
                yield block k
                release block k

        A thread sends, so that a file is read while a block is worked on. There is room for two blocks.
        """
        if not pieces:
            return
        way = self._way(pieces)
        with closing(way), ThreadPoolExecutor(1, "gdregress-transfer") as thread:
            coming = thread.submit(self._send, way, pieces, 0)
            for number in range(len(pieces)):
                block = way.receive(number % 2, coming.result())
                if number + 1 < len(pieces):
                    coming = thread.submit(self._send, way, pieces, number + 1)
                yield block
                way.release(number % 2)

    def sample(self, chosen: Any) -> Any:
        """Return some rows on the device, given a slice or their numbers, which are there too."""
        rows = self._rows(chosen if isinstance(chosen, slice) else self.place.fetch(chosen)).astype(self.dtype)
        return self.place.put(rows, self.place.dtype(self.dtype))

    def part(self, chosen: NDArray | slice) -> "Brought":
        """Return some of the rows; nothing is copied here."""
        if self.index is not None:
            return Brought(self.array, self.place, self.index[chosen])
        if isinstance(chosen, slice):
            return Brought(self.array[chosen], self.place)
        return Brought(self.array, self.place, np.asarray(chosen))

    def without_columns(self) -> Resident:
        """Return the rows without their columns, as an empty array on the device."""
        nothing = np.empty((self.shape[0], 0), self.dtype)
        return Resident(self.place.put(nothing, self.place.dtype(self.dtype)), self.place)

    def check_finite(self, name: str, columns: NDArray | None) -> None:
        """Raise a ValueError that names the position of the first NaN or infinity."""
        for rows in pieces_of(self.shape[0], ROUNDED_ENTRIES // max(1, self.shape[1])):
            check_finite(name, self._rows(rows).astype(self.dtype, copy=False), columns, first_row=rows.start)

    def _rows(self, rows: slice | NDArray) -> NDArray:
        return self.array[rows if self.index is None else self.index[rows]]

    def _send(self, way: "Way", pieces: Sequence[slice], number: int) -> Any:
        return way.send(number % 2, self._rows(pieces[number]))

    def _way(self, pieces: Sequence[slice]) -> "Way":
        kind = getattr(self.place.device, "type", None)  # that PyTorch gives its devices
        streams = STREAMS.get((self.place.library, kind))
        if streams is None:
            return Plain(self.place, self.dtype)
        largest = max(rows.stop - rows.start for rows in pieces) * self.shape[1]
        columns_first = self.array.flags.f_contiguous and not self.array.flags.c_contiguous
        return TwoStreams(streams(self.place), self.dtype, largest, order="F" if columns_first else "C")


class Way(Protocol):
    """How blocks get to a device. There is room for two, 0 and 1, of which one is sent while the other is in use."""

    def send(self, room: int, block: NDArray) -> Any:
        """Begin to copy a block of the host to a room; return what `receive` needs. A thread of its own calls this."""
        ...

    def receive(self, room: int, sent: Any) -> Any:
        """Return the block on the device; what is then done with it comes after the copy."""
        ...

    def release(self, room: int) -> None:
        """Let the room be used again, after what was done with its block up to now."""
        ...

    def close(self) -> None:
        """Wait for what is under way."""
        ...


@dataclass(frozen=True)
class Plain:
    """A new array for each block: the way for libraries and devices that have no streams.

    What is sent is a copy on the host, read and converted. It goes to the device when it is received, in the thread
    that works there, because not every library takes calls from two.

    Attributes
    ----------
    place : Place
        Where the blocks go.
    dtype : dtype
        Their floating type there, as that of NumPy.
    """

    place: Place
    dtype: np.dtype

    def send(self, room: int, block: NDArray) -> NDArray:
        """Return a copy of a block on the host."""
        with np.errstate(all="ignore"):  # that of the caller is not that of its threads
            return np.array(block, self.dtype)

    def receive(self, room: int, sent: NDArray) -> Any:
        """Return it on the device."""
        return self.place.xp.asarray(sent, dtype=self.place.dtype(self.dtype), device=self.place.device)

    def release(self, room: int) -> None:
        """Do nothing: the copy goes when nobody holds it."""

    def close(self) -> None:
        """Do nothing: no copy is under way."""


class Streams(Protocol):
    """What a library calls the streams, events and pinned memory of a GPU.

    Streams and events are those of the library. They have in common what `TwoStreams` calls:
    ``stream.wait_event(event)``, ``stream.synchronize()``, ``event.record(stream)`` and ``event.synchronize()``. This
    one returns at once if nothing was recorded yet.
    """

    def stream(self) -> Any:
        """Return a new stream."""
        ...

    def current(self) -> Any:
        """Return the stream in which this thread works."""
        ...

    def event(self) -> Any:
        """Return a new event."""
        ...

    def pinned(self, size: int, dtype: np.dtype) -> tuple[NDArray, Any]:
        """Return a vector of pinned memory, as an array of NumPy and as what `copy` takes."""
        ...

    def there(self, size: int, dtype: np.dtype) -> Any:
        """Return a vector on the device."""
        ...

    def copy(self, pinned: Any, there: Any, stream: Any) -> None:
        """Begin to copy pinned memory to a vector on the device, in a stream."""
        ...


class TwoStreams:
    """A GPU copies blocks in one stream and works on them in another.

    For each of the two rooms there is pinned memory, memory on the device, and two events, `copied` and `worked`::

        send:     wait here for copied;  fill the pinned memory
                  in the stream of copies:  wait for worked;  copy;  record copied
        receive:  in the stream of work:    wait for copied
        release:  in the stream of work:    record worked

    So pinned memory is filled again only when its copy has ended, and memory on the device is overwritten only when the
    work on its block has ended. No more than two blocks are ever under way, however slow the work is.

    Parameters
    ----------
    streams : Streams
        The calls of a library.
    dtype : dtype
        Floating type of the blocks.
    size : int
        Entries of the largest block.
    order : {"C", "F"}, default="C"
        Whether rows or columns of a block are contiguous: as in the array, so that filling is fast.
    """

    def __init__(self, streams: Streams, dtype: np.dtype, size: int, *, order: str = "C"):
        self.streams = streams
        self.order: Any = order
        self.pinned = [streams.pinned(size, dtype) for _ in range(2)]
        self.there = [streams.there(size, dtype) for _ in range(2)]
        self.copied, self.worked = ([streams.event() for _ in range(2)] for _ in range(2))
        self.stream = streams.stream()
        self.filling = ThreadPoolExecutor(FILLING, "gdregress-filling")
        for event in self.worked:  # the memory on the device may be that of an array with which work goes on
            event.record(streams.current())

    def send(self, room: int, block: NDArray) -> tuple[int, ...]:
        """Fill pinned memory and begin to copy it; return the shape."""
        here, pinned = self.pinned[room]
        self.copied[room].synchronize()
        filled = here[: block.size].reshape(block.shape, order=self.order)
        parts = pieces_of(len(block), -(-len(block) // FILLING))
        list(self.filling.map(_fill, [filled[rows] for rows in parts], [block[rows] for rows in parts]))
        self.stream.wait_event(self.worked[room])
        self.streams.copy(pinned[: block.size], self.there[room][: block.size], self.stream)
        self.copied[room].record(self.stream)
        return block.shape

    def receive(self, room: int, sent: tuple[int, ...]) -> Any:
        """Return the block on the device."""
        self.streams.current().wait_event(self.copied[room])
        vector = self.there[room][: int(np.prod(sent))]  # contiguous: to reshape it copies nothing
        return vector.reshape(sent) if self.order == "C" else vector.reshape(sent[::-1]).T

    def release(self, room: int) -> None:
        """Let the room be used again after the work so far."""
        self.worked[room].record(self.streams.current())

    def close(self) -> None:
        """Wait for the copies."""
        self.filling.shutdown()
        self.stream.synchronize()


def _fill(filled: NDArray, block: NDArray) -> None:
    with np.errstate(all="ignore"):  # that of the caller is not that of its threads
        np.copyto(filled, block, casting="unsafe")


class TorchStreams:
    """The calls of PyTorch: see `Streams`."""

    def __init__(self, place: Place):
        self.torch: Any = import_module("torch")
        self.place = place

    def stream(self) -> Any:  # noqa: D102
        return self.torch.cuda.Stream(self.place.device)

    def current(self) -> Any:  # noqa: D102
        return self.torch.cuda.current_stream(self.place.device)

    def event(self) -> Any:  # noqa: D102
        return self.torch.cuda.Event()

    def pinned(self, size: int, dtype: np.dtype) -> tuple[NDArray, Any]:  # noqa: D102
        tensor = self.torch.empty(size, dtype=self.place.dtype(dtype), pin_memory=True)
        return tensor.numpy(), tensor

    def there(self, size: int, dtype: np.dtype) -> Any:  # noqa: D102
        return self.torch.empty(size, dtype=self.place.dtype(dtype), device=self.place.device)

    def copy(self, pinned: Any, there: Any, stream: Any) -> None:  # noqa: D102
        with self.torch.cuda.stream(stream):
            there.copy_(pinned, non_blocking=True)


class CupyStreams:
    """The calls of CuPy: see `Streams`. Its streams, events and arrays belong to the device that is current."""

    def __init__(self, place: Place):
        self.cupy: Any = import_module("cupy")
        self.cupyx: Any = import_module("cupyx")
        self.device = place.device

    def stream(self) -> Any:  # noqa: D102
        with self.device:
            return self.cupy.cuda.Stream(non_blocking=True)

    def current(self) -> Any:  # noqa: D102
        with self.device:
            return self.cupy.cuda.get_current_stream()

    def event(self) -> Any:  # noqa: D102
        with self.device:
            return self.cupy.cuda.Event(disable_timing=True)

    def pinned(self, size: int, dtype: np.dtype) -> tuple[NDArray, Any]:  # noqa: D102
        array = self.cupyx.empty_pinned(size, dtype)
        return array, array

    def there(self, size: int, dtype: np.dtype) -> Any:  # noqa: D102
        with self.device:
            return self.cupy.empty(size, dtype)

    def copy(self, pinned: Any, there: Any, stream: Any) -> None:  # noqa: D102
        there.set(pinned, stream=stream)


STREAMS: dict[tuple[str, str | None], Callable[[Place], Streams]] = {
    ("torch", "cuda"): TorchStreams,
    ("cupy", None): CupyStreams,
}
"""Libraries, with the types of their devices, that have streams, each with its calls. For others the way is `Plain`."""
