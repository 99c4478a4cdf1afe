"""Process groups of one process, which programs for several processes make when they run on one.

Collectives of one process have the result that is there already. A group of more processes is refused.
"""

import os
from collections.abc import Sequence
from enum import Enum
from types import SimpleNamespace
from typing import Any

from versant import Tensor

__all__ = [
    "ProcessGroup",
    "ReduceOp",
    "all_gather",
    "all_gather_into_tensor",
    "all_gather_object",
    "all_reduce",
    "all_to_all",
    "all_to_all_single",
    "barrier",
    "broadcast",
    "broadcast_object_list",
    "destroy_process_group",
    "gather",
    "gather_object",
    "get_backend",
    "get_node_local_rank",
    "get_process_group_ranks",
    "get_rank",
    "get_world_size",
    "init_process_group",
    "is_available",
    "is_backend_available",
    "is_gloo_available",
    "is_initialized",
    "is_mpi_available",
    "is_nccl_available",
    "is_torchelastic_launched",
    "is_ucc_available",
    "is_xccl_available",
    "monitored_barrier",
    "new_group",
    "reduce",
    "reduce_scatter",
    "reduce_scatter_tensor",
    "scatter",
    "scatter_object_list",
]


class ReduceOp(Enum):
    """How elements of several processes become one."""

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7


class Group:
    """A group of this process alone."""

    def __init__(self, backend: str) -> None:
        self.backend = backend

    def size(self) -> int:
        return 1

    def rank(self) -> int:
        return 0


ProcessGroup = Group


class Work:
    """What a collective with async_op returns: it is done already."""

    def wait(self, timeout: Any = None) -> bool:
        return True

    def is_completed(self) -> bool:
        return True


_groups: list[Group] = []  # the group of init_process_group, while there is one


def is_available() -> bool:
    """True: groups of one process can be made."""
    return True


def is_gloo_available() -> bool:
    """False: there are no connections to other processes."""
    return False


is_nccl_available = is_mpi_available = is_ucc_available = is_xccl_available = is_gloo_available
is_torchelastic_launched = is_gloo_available


def is_backend_available(backend: str) -> bool:
    """False."""
    return False


def is_initialized() -> bool:
    """Whether init_process_group was called."""
    return bool(_groups)


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: Any = None,
    world_size: int = -1,
    rank: int = -1,
    store: Any = None,
    group_name: str = "",
    pg_options: Any = None,
    device_id: Any = None,
) -> None:
    """Makes the group of this one process.

    world_size: that of the environment's WORLD_SIZE by default. Raises RuntimeError for more than 1.
    """
    if _groups:
        raise ValueError("[init_process_group] trying to initialize the default process group twice!")
    size = int(os.environ.get("WORLD_SIZE", "1")) if world_size < 0 else world_size
    own = int(os.environ.get("RANK", "0")) if rank < 0 else rank
    if size != 1 or own != 0:
        raise RuntimeError(f"[init_process_group] expected one process, of rank 0, got rank {own} of {size}")
    _groups.append(Group(backend or "gloo"))


def destroy_process_group(group: Any = None) -> None:
    """Ends the group."""
    _group("destroy_process_group")
    if group is None or group is _groups[-1]:
        _groups.clear()


def _group(who: str) -> Group:
    if not _groups:
        raise ValueError(
            f"[{who}] Default process group has not been initialized, please make sure to call "
            "init_process_group."
        )
    return _groups[-1]


def new_group(ranks: Sequence[int] | None = None, *args: Any, **kwargs: Any) -> Group:
    """Another group of this process."""
    if ranks is not None and list(ranks) != [0]:
        raise ValueError(f"[new_group] expected ranks [0], got {list(ranks)}")
    return Group(_group("new_group").backend)


def get_backend(group: Any = None) -> str:
    """The name that was given to init_process_group."""
    return _group("get_backend").backend


def get_rank(group: Any = None) -> int:
    """0"""
    return _group("get_rank").rank()


def get_world_size(group: Any = None) -> int:
    """1"""
    return _group("get_world_size").size()


def get_process_group_ranks(group: Any = None) -> list[int]:
    """[0]"""
    _group("get_process_group_ranks")
    return [0]


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """The environment's LOCAL_RANK, else fallback_rank."""
    own = os.environ.get("LOCAL_RANK", fallback_rank)
    if own is None:
        raise RuntimeError("[get_node_local_rank] expected LOCAL_RANK in the environment, or a fallback_rank")
    return int(own)


def _done(who: str, async_op: bool, rank: int = 0) -> Work | None:
    _group(who)
    if rank:
        raise ValueError(f"[{who}] expected rank 0, the only one, got {rank}")
    return Work() if async_op else None


def barrier(group: Any = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Waits for nobody."""
    return _done("barrier", async_op)


def all_reduce(
    tensor: Tensor, op: ReduceOp = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """Leaves the tensor as it is, which is the sum over one process."""
    return _done("all_reduce", async_op)


def reduce(
    tensor: Tensor, dst: int = 0, op: ReduceOp = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """Leaves the tensor as it is."""
    return _done("reduce", async_op, dst)


def broadcast(tensor: Tensor, src: int = 0, group: Any = None, async_op: bool = False) -> Work | None:
    """Leaves the tensor as it is."""
    return _done("broadcast", async_op, src)


def broadcast_object_list(
    object_list: list[Any], src: int = 0, group: Any = None, device: Any = None
) -> None:
    """Leaves the list as it is."""
    _done("broadcast_object_list", False, src)


def _only(who: str, tensors: Sequence[Any]) -> Any:
    if len(tensors) != 1:
        raise ValueError(f"[{who}] expected a list of one tensor, one for each process, got {len(tensors)}")
    return tensors[0]


def all_gather(
    tensor_list: list[Tensor], tensor: Tensor, group: Any = None, async_op: bool = False
) -> Work | None:
    """Copies the tensor into the only one of the list."""
    _only("all_gather", tensor_list).copy_(tensor)
    return _done("all_gather", async_op)


def all_gather_into_tensor(
    output_tensor: Tensor, input_tensor: Tensor, group: Any = None, async_op: bool = False
) -> Work | None:
    """Copies the input into the output, of as many elements."""
    output_tensor.copy_(input_tensor.reshape(output_tensor.shape))
    return _done("all_gather_into_tensor", async_op)


def all_gather_object(object_list: list[Any], obj: Any, group: Any = None) -> None:
    """Puts the object into the list."""
    _only("all_gather_object", object_list)
    _done("all_gather_object", False)
    object_list[0] = obj


def gather(
    tensor: Tensor,
    gather_list: list[Tensor] | None = None,
    dst: int = 0,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Copies the tensor into the only one of the list."""
    _only("gather", gather_list or []).copy_(tensor)
    return _done("gather", async_op, dst)


def scatter(
    tensor: Tensor,
    scatter_list: list[Tensor] | None = None,
    src: int = 0,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Copies the only tensor of the list into the tensor."""
    tensor.copy_(_only("scatter", scatter_list or []))
    return _done("scatter", async_op, src)


def reduce_scatter(
    output: Tensor,
    input_list: list[Tensor],
    op: ReduceOp = ReduceOp.SUM,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Copies the only tensor of the list into the output."""
    output.copy_(_only("reduce_scatter", input_list))
    return _done("reduce_scatter", async_op)


def reduce_scatter_tensor(
    output: Tensor, input: Tensor, op: ReduceOp = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """Copies the input into the output, of as many elements."""
    output.copy_(input.reshape(output.shape))
    return _done("reduce_scatter_tensor", async_op)


def all_to_all(
    output_tensor_list: list[Tensor],
    input_tensor_list: list[Tensor],
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Copies the only tensor of the one list into that of the other."""
    _only("all_to_all", output_tensor_list).copy_(_only("all_to_all", input_tensor_list))
    return _done("all_to_all", async_op)


def all_to_all_single(
    output: Tensor,
    input: Tensor,
    output_split_sizes: Any = None,
    input_split_sizes: Any = None,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Copies the input into the output."""
    output.copy_(input)
    return _done("all_to_all_single", async_op)


def gather_object(
    obj: Any, object_gather_list: list[Any] | None = None, dst: int = 0, group: Any = None
) -> None:
    """Puts the object into the list."""
    found = object_gather_list or []
    _only("gather_object", found)
    _done("gather_object", False, dst)
    found[0] = obj


def scatter_object_list(
    scatter_object_output_list: list[Any],
    scatter_object_input_list: list[Any] | None = None,
    src: int = 0,
    group: Any = None,
) -> None:
    """Puts the only object of the one list into the other."""
    scatter_object_output_list[0] = _only("scatter_object_list", scatter_object_input_list or [])
    _done("scatter_object_list", False, src)


def monitored_barrier(group: Any = None, timeout: Any = None, wait_all_ranks: bool = False) -> None:
    """Waits for nobody."""
    _done("monitored_barrier", False)


def __getattr__(name: str) -> Any:
    if name in ("group", "GroupMember"):  # group.WORLD is the group of init_process_group, or None
        return SimpleNamespace(WORLD=_groups[-1] if _groups else None, NON_GROUP_MEMBER=-100)
    raise AttributeError(f"module 'versant.distributed' has no attribute {name!r}")
