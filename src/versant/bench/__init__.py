"""The benchmark: small, complete training steps on Versant and on the peers that are installed.

`versant bench` and the scripts under bench/ in the repository stand on this package:

* `workloads/`: what is measured
* `frameworks.py`: the frameworks, and their variants that meet in a table
* `worker.py`, `alone.py`: one process with one framework in it
* `rounds.py`: the workers take turns
* `peak.py`, `footprint.py`: memory, sizes on disk, import times
* `table.py`, `charts.py`, `page.py`: what a reader sees
* `run.py`: all of it, as `versant bench` does it

A process that measures a peer must not hold Versant's threads and allocator beside it. So the modules import
each other by relative names, and workers load this folder as a package of its own (`alone.py`).
"""
