"""Recordings for tests: the digits network of `versant demo`, and a browser to look at their pages."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import versant as vs
from versant.cli.demo import network
from versant.datasets import digits
from versant.debug.page.server import server_of
from versant.nn import functional as F

BROWSER = next((path for name in ("chromium", "google-chrome", "chrome") if (path := shutil.which(name))), "")


def digits_run(
    path: Path, dtype: Any = vs.float32, *, steps: int = 3, compiled: bool = False, **options: Any
) -> None:
    """Trains the demo's network for a few steps and records them."""
    images, labels = digits()
    vs.manual_seed(0)
    model = network().to(dtype)
    optimizer = vs.optim.SGD(model.parameters(), lr=0.05)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run = vs.compile(step) if compiled else step
    with vs.debug.record(path, **options) as recorder:
        for n in range(steps):
            loss = run(images[n * 32 : n * 32 + 32].to(dtype), labels[n * 32 : n * 32 + 32])
            recorder.step(loss=loss.item())


@contextmanager
def page_of(*paths: Path) -> Iterator[str]:
    """The address of a page for the recordings."""
    server = server_of(list(paths))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def browse(address: str, *options: str) -> str:
    """What a browser prints: with --dump-dom the page as its script left it."""
    # Libraries that are loaded for us, a sanitizer's, are not for the browser.
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    done = subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--virtual-time-budget=8000", *options, address,
        ],
        env=environment, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout
