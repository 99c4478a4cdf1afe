"""What compiled functions raise."""


class CompileError(RuntimeError):
    """A function that cannot be replayed as it is written, with the place and the way out."""


def differs_each_time(reader: str) -> CompileError:
    return CompileError(
        f"[compile] {reader} reads the clock or the system's random numbers, which replays would not: read "
        "it outside of the function"
    )
