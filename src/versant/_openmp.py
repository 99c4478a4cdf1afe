"""Loads the machine, with it libgomp, whose threads then look for work about 0.2 ms before they sleep.

libgomp reads how long while it is loaded. Its own choice, a millisecond or more, takes the processors from
the program itself when other processes use them too. What the user's environment says holds.
"""

import os

if "GOMP_SPINCOUNT" not in os.environ and "OMP_WAIT_POLICY" not in os.environ:
    os.environ["GOMP_SPINCOUNT"] = "30000"
    try:
        from versant import _core  # noqa: F401
    finally:
        del os.environ["GOMP_SPINCOUNT"]
