"""What programs ask about Apple's GPUs: there is none."""

from versant.cuda import device_count, empty_cache, is_available, manual_seed

__all__ = ["device_count", "empty_cache", "is_available", "manual_seed"]
