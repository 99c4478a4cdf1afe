"""Python's multiprocessing, and `spawn`, under PyTorch's name.

Tensors that are sent through queues and pipes, or given to processes, arrive as copies. Memory is shared by
processes that are forked from this one, for tensors of which `share_memory_` was called before.
"""

import multiprocessing
import multiprocessing.connection
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from multiprocessing import *  # noqa: F403
from multiprocessing import get_context
from typing import Any

__all__ = [
    *multiprocessing.__all__,
    "ProcessContext",
    "ProcessExitedException",
    "ProcessRaisedException",
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]


def get_all_sharing_strategies() -> set[str]:
    """The names of ways to share memory: one."""
    return {"file_descriptor"}


def get_sharing_strategy() -> str:
    """The way in which memory is shared."""
    return "file_descriptor"


def set_sharing_strategy(new_strategy: str) -> None:
    """Takes a name of get_all_sharing_strategies, and file_system: what is sent is copied in any case."""
    if new_strategy not in ("file_descriptor", "file_system"):
        raise ValueError(f"[set_sharing_strategy] expected file_descriptor, got {new_strategy!r}")


class ProcessException(Exception):
    """A process did not end well."""

    def __init__(self, msg: str, error_index: int, pid: int | None) -> None:
        super().__init__(msg)
        self.msg = msg
        self.error_index = error_index
        self.pid = pid


class ProcessRaisedException(ProcessException):
    """The function raised; the message has its traceback."""


class ProcessExitedException(ProcessException):
    """The process ended with another exit code than 0."""

    def __init__(self, msg: str, error_index: int, pid: int | None, exit_code: int) -> None:
        super().__init__(msg, error_index, pid)
        self.exit_code = exit_code


def _run(fn: Callable[..., Any], i: int, args: tuple[Any, ...], errors: Any) -> None:
    try:
        fn(i, *args)
    except KeyboardInterrupt:
        pass
    except Exception:
        errors.put(traceback.format_exc())
        sys.exit(1)


class ProcessContext:
    """The processes of `spawn`."""

    def __init__(self, processes: list[Any], errors: list[Any]) -> None:
        self.processes = processes
        self._errors = errors

    def pids(self) -> list[int]:
        return [process.pid for process in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Waits; whether all have ended. Raises what one of them raised, and ends the others.

        timeout: seconds. grace_period: seconds that the others have to end before they are killed.
        """
        end = None if timeout is None else time.monotonic() + timeout
        running = {process.sentinel: i for i, process in enumerate(self.processes) if process.is_alive()}
        while running:
            left = None if end is None else max(end - time.monotonic(), 0)
            ready = multiprocessing.connection.wait(list(running), left)
            for sentinel in ready:
                process = self.processes[running.pop(sentinel)]
                process.join()
                if process.exitcode:
                    running.clear()
            if not ready and end is not None:
                return False
        failed = next((i for i, process in enumerate(self.processes) if process.exitcode), None)
        if failed is not None:
            self._fail(failed, grace_period)
        return True

    def _fail(self, i: int, grace_period: float | None) -> None:
        for process in self.processes:
            if process.is_alive():
                process.terminate()
        for process in self.processes:
            process.join(30 if grace_period is None else grace_period)
            if process.is_alive():
                process.kill()
                process.join()
        pid, code = self.processes[i].pid, self.processes[i].exitcode
        if not self._errors[i].empty():
            text = f"[spawn] process {i} terminated with the following error:\n{self._errors[i].get()}"
            raise ProcessRaisedException(text, i, pid)
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        raise ProcessExitedException(f"[spawn] process {i} terminated with {how}", i, pid, code)


def start_processes(
    fn: Callable[..., Any],
    args: Iterable[Any] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Runs fn(i, *args) in processes i = 0 to nprocs - 1, and waits for them, or with join=False does not.

    Raises ProcessRaisedException with the traceback of a process whose function raised, and
    ProcessExitedException for one that ended otherwise; the other processes are ended.
    """
    context: Any = get_context(start_method)
    errors = [context.SimpleQueue() for _ in range(nprocs)]
    processes = [
        context.Process(target=_run, args=(fn, i, tuple(args), errors[i]), daemon=daemon)
        for i in range(nprocs)
    ]
    for process in processes:
        process.start()
    started = ProcessContext(processes, errors)
    if not join:
        return started
    started.join()
    return None


spawn = start_processes  # whose processes are fresh interpreters unless another way is asked for
