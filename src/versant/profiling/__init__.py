"""Where time and memory go: by op, by module, by line; as a table, a flame graph, a trace for Perfetto."""

from versant.profiling.profile import Profile, profile

__all__ = ["Profile", "profile"]
