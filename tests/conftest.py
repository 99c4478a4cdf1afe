"""Settings of every test: hypothesis measures no time, for other processes share the machine."""

from hypothesis import settings

settings.register_profile("versant", deadline=None, derandomize=True)
settings.load_profile("versant")
