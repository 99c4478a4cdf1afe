"""What compiled functions raise."""


class CompileError(RuntimeError):
    """A function that cannot be replayed as it is written, with the place and the way out."""
