"""A peer for tests: Versant under another name; its compiler fails, its mean dies, its log hangs.

Nobody else's Versant may be in the process of a peer.
"""

import os
import sys
import time

assert not any(name.partition(".")[0] == "versant" for name in sys.modules)

import versant  # noqa: E402
from versant import *  # noqa: E402, F403

__version__ = "0 <stand-in>"


def __getattr__(name):
    return getattr(versant, name)


def compile(step):
    raise RuntimeError("no compiler for <this> & that")


def mean(x):
    os.abort()


def log(x):
    time.sleep(600)
