"""SummaryWriter: numbers, histograms, images and texts of a run, in event files that TensorBoard reads."""

import io
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from versant.utils.events import FileWriter, array, field, png, tensor_value

__all__ = ["FileWriter", "SummaryWriter"]


def _number(who: str, value: Any) -> float:
    number = array(value)
    if number.size != 1:
        raise ValueError(f"[{who}] expected one number, got a value of shape {number.shape}")
    return float(number.reshape(()))


def _histogram(values: Any, bins: Any, max_bins: int | None) -> bytes:
    values = array(values).astype("float64").reshape(-1)
    if not values.size:
        raise ValueError("[add_histogram] expected values, got none")
    if isinstance(bins, str) and bins == "tensorflow":  # edges that grow by a tenth, to both sides
        upper = 1e-12 * 1.1 ** np.arange(int(np.log(1e32) / np.log(1.1)) + 1)
        bins = np.concatenate([-upper[::-1], [0.0], upper])
    counts, edges = np.histogram(values, bins)
    if max_bins is not None and len(counts) > max_bins:
        step = len(counts) // max_bins
        counts = np.add.reduceat(counts, np.arange(0, len(counts), step))
        edges = np.append(edges[:-1:step], edges[-1])
    used = np.flatnonzero(counts)
    if not used.size:
        raise ValueError("[add_histogram] no value lies in a bin")
    kept = slice(used[0], used[-1] + 2)  # with an empty bin before
    limits, heights = edges[kept], np.append(0, counts)[kept]
    figures = (values.min(), values.max(), values.size, values.sum(), (values**2).sum())
    message = b"".join(field(i + 1, float(v), "d") for i, v in enumerate(figures))
    return message + field(6, limits.astype("<f8").tobytes()) + field(7, heights.astype("<f8").tobytes())


def _image(who: str, value: Any, dataformats: str) -> bytes:
    pixels = array(value)
    letters = dataformats.upper()
    if pixels.ndim != len(letters) or set(letters) - set("NCHW") or len(set(letters)) != len(letters):
        raise ValueError(f"[{who}] expected the axes {dataformats}, got shape {pixels.shape}")
    if pixels.dtype != np.uint8:
        pixels = np.clip(pixels.astype("float32") * 255, 0, 255).astype(np.uint8)
    order = [letters.index(letter) for letter in "NHWC" if letter in letters]
    pixels = pixels.transpose(order)
    if "C" not in letters:
        pixels = pixels[..., None]
    if "N" in letters:  # beside and below each other
        n, height, width, channels = pixels.shape
        columns = int(np.ceil(np.sqrt(n)))
        lines = -(-n // columns)
        grid = np.zeros((lines * columns, height, width, channels), np.uint8)
        grid[:n] = pixels
        pixels = grid.reshape(lines, columns, height, width, channels).swapaxes(1, 2)
        pixels = pixels.reshape(lines * height, columns * width, channels)
    if pixels.shape[-1] not in (1, 3, 4):
        raise ValueError(f"[{who}] expected 1, 3 or 4 channels, got shape {pixels.shape} of {dataformats}")
    height, width, channels = pixels.shape
    return field(1, height) + field(2, width) + field(3, channels) + field(4, png(pixels))


class SummaryWriter:
    """Writes what a training run reports for TensorBoard.

    log_dir: the folder; "runs/DATE_HOSTcomment" by default. purge_step is taken; the file is a new one.
    max_queue, flush_secs: how many values, and seconds, wait at most before they are written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, SummaryWriter(folder) as writer:
    ...     for step in range(3):
    ...         writer.add_scalar("loss", 1 / (1 + step), step)
    """

    def __init__(
        self,
        log_dir: Any = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
    ) -> None:
        if not log_dir:
            log_dir = Path("runs") / f"{time.strftime('%b%d_%H-%M-%S')}_{socket.gethostname()}{comment}"
        self.log_dir = str(log_dir)
        self._options = (max_queue, flush_secs, filename_suffix)
        self.file_writer = FileWriter(self.log_dir, *self._options)
        self.all_writers = {self.log_dir: self.file_writer}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def get_logdir(self) -> str:
        """The folder."""
        return self.log_dir

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: Any = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """Writes a number, in float32 or with double_precision in float64.  walltime: seconds since 1970"""
        number = _number("add_scalar", scalar_value)
        content = field(2, number, "f")
        if new_style or double_precision:
            content = tensor_value([number], 2 if double_precision else 1, (), "scalars")
        self.file_writer.add_value(tag, content, global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Writes several numbers under one tag, each into a folder of its own, which TensorBoard overlays."""
        for tag, value in tag_scalar_dict.items():
            folder = f"{self.log_dir}/{main_tag.replace('/', '_')}_{tag}"
            if folder not in self.all_writers:
                self.all_writers[folder] = FileWriter(folder, *self._options)
            content = field(2, _number("add_scalars", value), "f")
            self.all_writers[folder].add_value(main_tag, content, global_step, walltime)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: Any = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """Writes how often values occur.  bins: edges, their number, or a rule of numpy.histogram"""
        content = field(5, _histogram(values, bins, max_bins))
        self.file_writer.add_value(tag, content, global_step, walltime)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """Writes an image: uint8, or numbers of 0 to 1.  dataformats: the axes, "CHW", "HWC" or "HW" """
        content = field(4, _image("add_image", img_tensor, dataformats))
        self.file_writer.add_value(tag, content, global_step, walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Writes a batch of images as one, side by side in rows."""
        content = field(4, _image("add_images", img_tensor, dataformats))
        self.file_writer.add_value(tag, content, global_step, walltime)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: Any = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """Writes a figure of matplotlib, or a list of them, as an image."""
        from matplotlib import pyplot
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        for one in figure if isinstance(figure, Iterable) else [figure]:
            canvas: Any = FigureCanvasAgg(one)
            canvas.draw()
            pixels = np.asarray(canvas.buffer_rgba())
            self.add_image(tag, pixels, global_step, walltime, "HWC")
            if close:
                pyplot.close(one)

    def add_text(
        self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Writes a text, which TensorBoard shows as Markdown."""
        content = tensor_value([text_string], 7, (1,), "text")
        self.file_writer.add_value(f"{tag}/text_summary", content, global_step, walltime)

    def add_audio(
        self,
        tag: str,
        snd_tensor: Any,
        global_step: Any = None,
        sample_rate: int = 44100,
        walltime: float | None = None,
    ) -> None:
        """Writes a sound, numbers between -1 and 1.  snd_tensor: (1, L) or (L,)"""
        import wave

        samples = (np.clip(array(snd_tensor), -1, 1).reshape(-1) * 32767).astype("<i2")
        memory = io.BytesIO()
        with wave.open(memory, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(sample_rate)
            file.writeframes(samples.tobytes())
        audio = field(1, float(sample_rate), "f") + field(2, 1) + field(3, samples.size)
        audio += field(4, memory.getvalue()) + field(5, "audio/wav")
        self.file_writer.add_value(tag, field(6, audio), global_step, walltime)

    def add_graph(self, model: Any, *args: Any, **kwargs: Any) -> None:
        """Raises NotImplementedError: compiled functions draw their graph, `compile(model).graph_svg()`."""
        raise NotImplementedError(
            "[add_graph] event files hold no graphs of Versant; compiled functions show theirs: "
            "compile(model).graph_svg()"
        )

    def flush(self) -> None:
        """Writes what is buffered to the disk."""
        for writer in self.all_writers.values():
            writer.flush()

    def close(self) -> None:
        """Writes what is buffered, and closes the files."""
        for writer in self.all_writers.values():
            writer.close()
