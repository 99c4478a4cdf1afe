"""Wrong arguments raise the exception that a PyTorch or numpy user expects; it names the op and the shapes.

The tensors in the calls stay as they were.
"""
# ruff: noqa: E501

import math

import numpy as np
import pytest

import versant as vs
from versant.nn import functional as F

x = vs.ones(2, 3)
y = vs.ones(4, 5)
v = vs.ones(3)
ints = vs.tensor([[1, 2, 3], [4, 5, 6]])
nothing = vs.ones(0)
image = vs.ones(1, 1, 4, 4)
leaf = vs.ones(2, requires_grad=True)

SHAPES = [
    (
        lambda: F.max_pool2d(image[:, :, :1], (2, 1), (3, 1), (1, 0), (2, 1)),
        r"\[max_pool2d\] a window .* lies in the padding alone",
    ),
    (lambda: x + y, r"\[add\] shapes \(2, 3\) and \(4, 5\) do not broadcast: 3 against 5 at axis -1"),
    (lambda: x.add_(vs.ones(2, 2, 3)), r"\[add_\] .* shape \(2, 3\) cannot hold a result of shape \(2, 2, 3\)"),
    (lambda: x.lerp(y, 0.5), r"\[lerp\] shapes \(2, 3\) and \(4, 5\)"),
    (lambda: vs.where(vs.ones(4, dtype=vs.bool), x, x), r"\[where\] shapes \(4,\) and \(2, 3\)"),
    (lambda: x @ y, r"\[matmul\] inner dimensions differ: \(2, 3\) @ \(4, 5\)"),
    (lambda: vs.ones(3) @ vs.ones(4), r"\[matmul\] inner dimensions differ: \(3,\) @ \(4,\)"),
    (lambda: vs.tensor(1.0) @ v, r"\[matmul\] both arguments need at least one dimension, got \(\) and \(3,\)"),
    (lambda: vs.mm(vs.ones(2), x), r"\[mm\] expected 2 axes, got shape \(2,\)"),
    (lambda: vs.bmm(vs.ones(2, 3, 4), vs.ones(3, 4, 5)), r"\[bmm\] batches differ: \(2, 3, 4\) and \(3, 4, 5\)"),
    (lambda: F.linear(x, y), r"\[linear\] expected last dimension 5, got input of shape \(2, 3\)"),
    (lambda: F.conv2d(vs.ones(1, 3, 8, 8), vs.ones(4, 2, 3, 3)), r"\[conv2d\] .* got \(1, 3, 8, 8\)"),
    (lambda: F.conv2d(vs.ones(1, 2, 2, 2), vs.ones(4, 2, 3, 3)), r"\[conv2d\] .* does not fit .*\(1, 2, 2, 2\)"),
    (lambda: F.max_pool2d(vs.ones(1, 1, 2, 2), 3), r"\[max_pool2d\] .*\(1, 1, 2, 2\)"),
    (lambda: F.cross_entropy(x, vs.tensor([0, 1, 2])), r"\[cross_entropy\] .*\(2,\) for input .*\(2, 3\), got \(3,\)"),
    (lambda: F.layer_norm(x, (4,)), r"\[layer_norm\] expected last dimensions \(4,\), got .*\(2, 3\)"),
    (lambda: F.batch_norm(x, vs.ones(4), vs.ones(4)), r"\[batch_norm\] .*\(3,\), got \(4,\)"),
    (lambda: x.view(4), r"\[view\] shape '\(4,\)' is invalid for input of size 6"),
    (lambda: x.view(-1, -1), r"\[view\] invalid shape dimension -1 in \(-1, -1\)"),
    (lambda: x.t().view(6), r"\[view\] shape \(6,\) is not compatible with size \(3, 2\) and stride \(1, 3\); use reshape"),
    (lambda: x.reshape(4, 2), r"\[reshape\] shape '\(4, 2\)' is invalid"),
    (lambda: x.permute(0), r"\[permute\] expected 2 axes for shape \(2, 3\), got \(0,\)"),
    (lambda: x.permute(0, 0), r"\[permute\] an axis repeats in \(0, 0\)"),
    (lambda: x.expand(3, 3), r"\[expand\] shape \(2, 3\) does not broadcast to \(3, 3\)"),
    (lambda: vs.cat([x, y]), r"\[cat\] .* position 1 has shape \(4, 5\), .* position 0 has shape \(2, 3\)"),
    (lambda: vs.stack([x, y]), r"\[stack\] .*\(2, 3\).*\(4, 5\)"),
    (lambda: x.split([1, 5]), r"\[split\] sizes \(1, 5\) do not add up to 2"),
    (lambda: x.__setitem__(0, vs.ones(4)), r"\[copy\] shapes \(3,\) and \(4,\) do not broadcast"),
    (lambda: x.gather(1, vs.tensor([0])), r"\[gather\] .*\(1,\) and \(2, 3\)"),
    (lambda: x.as_strided((10,), (1,)), r"\[as_strided\] .* reach outside the tensor's memory of 6 elements"),
    (lambda: vs.dot(vs.ones(2), v), r"\[\w+\] .*\(2,\).*\(3,\)"),
    (lambda: vs.einsum("ij,jk", x, y), r"\[einsum\] 'j' in 'ij,jk' has sizes 3 and 4"),
    (lambda: nothing.max(), r"\[a?max\] no element to choose from: shape \(0,\)"),
    (lambda: leaf.grad.__class__ and setattr(leaf, "grad", vs.ones(3)), r"\[grad\] .*shape \(3,\), the tensor \(2,\)"),
    (lambda: vs.tensor([1.0]).mT, r"\[mT\] needs at least 2 dimensions, got shape \(1,\)"),
    (lambda: vs.zeros(-1, 2), r"\[zeros\] negative dimension -1 in shape \(-1, 2\)"),
    (lambda: vs.rand(-1), r"\[rand\] negative dimension -1"),
    (lambda: vs.zeros(2**40, 2**40), r"\[zeros\] the number of bytes of shape \(1099511627776, 1099511627776\) overflows"),
    (lambda: vs.empty(2**62), r"\[empty\] the number of bytes of shape \(4611686018427387904,\) overflows"),
    (lambda: vs.ones(1).expand(2**40, 2**40).contiguous(), r"\[\w+\] the number of bytes of shape .* overflows"),
    (lambda: vs.arange(0, 1e30), r"\[arange\] 1e\+30 elements are too many"),
]  # fmt: skip

AXES = [
    (lambda: x.sum(2), r"\[sum\].*range of \[-2, 1\], but got 2"),
    (lambda: x.sum(axis=-3), r"\[sum\].*got -3"),
    (lambda: x.mean(dim=5), r"\[mean\]"),
    (lambda: x.argmax(5), r"\[argmax\]"),
    (lambda: x.cumsum(3), r"\[cumsum\]"),
    (lambda: x.sort(5), r"\[sort\]"),
    (lambda: x.transpose(0, 2), r"\[transpose\]"),
    (lambda: x.unsqueeze(4), r"\[unsqueeze\].*range of \[-3, 2\], but got 4"),
    (lambda: x.squeeze(5), r"\[squeeze\]"),
    (lambda: x.flatten(3), r"\[flatten\] axis 3 is out of range"),
    (lambda: x.flip(2), r"\[flip\]"),
    (lambda: x.chunk(2, 5), r"\[chunk\] axis 5 is out of range"),
    (lambda: x.softmax(2), r"\[softmax\]"),
    (lambda: vs.cat([x, x], dim=3), r"\[cat\]"),
    (lambda: x.index_select(2, vs.tensor([0])), r"\[index_select\]"),
    (lambda: x.size(2), r"\[size\]"),
    (lambda: vs.tensor(1.0).sum(1), r"\[sum\].*range of \[-1, 0\], but got 1"),
]

INDICES = [
    (lambda: x[2], r"index 2 is out of bounds for dimension 0 with size 2"),
    (lambda: x[-3], r"index -3 is out of bounds"),
    (lambda: x[0, 3], r"index 3 is out of bounds for dimension 0 with size 3"),
    (lambda: x[0, 0, 0], r"\[index\] too many indices for tensor of dimension 2: 3"),
    (lambda: nothing[0], r"index 0 is out of bounds for dimension 0 with size 0"),
    (lambda: vs.tensor(1)[0], r"\[\w+\]"),
    (lambda: x[1.5], r"\[index\] only integers, slices .* got float"),
    (lambda: x["a"], r"\[index\] only integers, slices .* got str"),
    (lambda: x[math.nan], r"\[index\] only integers, slices .* got float"),
    (
        lambda: x[vs.tensor(math.nan)],
        r"\[index\] tensors used as indices must be integer or bool .* got float32",
    ),
    (lambda: x[vs.tensor([math.nan])], r"\[index\] .* got float32"),
    (lambda: x[np.array([0.5])], r"\[index\] .* got float64"),
    (lambda: x[vs.tensor([5])], r"\[index\] index 5 is out of bounds for dimension 0 with size 2"),
    (lambda: x[[0, -3]], r"\[index\] index -3 is out of bounds"),
    (lambda: x[..., ...], r"\[index\] an index can only have a single ellipsis"),
    (lambda: x[vs.tensor([True, False, True])], r"\[index\] the shape of the mask \(3,\) .* \(2, 3\)"),
    (lambda: x.__setitem__(5, 1), r"index 5 is out of bounds"),
    (lambda: x.__setitem__((vs.tensor([0]), vs.tensor([9])), 1), r"index 9 is out of bounds"),
    (lambda: x.index_select(0, vs.tensor([5])), r"\[index_select\] index 5 is out of bounds"),
    (
        lambda: x.gather(1, vs.tensor([[5]])),
        r"\[gather\] index 5 is out of bounds for dimension 1 with size 3",
    ),
    (lambda: x[{}], r"\[index\] only integers, slices .* got dict"),
    (lambda: x.scatter(1, vs.tensor([[5]]), 1.0), r"\[scatter\] index 5 is out of bounds"),
    (
        lambda: F.embedding(vs.tensor([5]), x),
        r"\[embedding\] index 5 is out of bounds for dimension 0 with size 2",
    ),
    (
        lambda: F.cross_entropy(x, vs.tensor([0, 3])),
        r"\[cross_entropy\] target 3 is out of bounds for 3 classes",
    ),
    (lambda: nothing.argmax(), r"\[argmax\] no element to choose from: shape \(0,\) is empty"),
    (lambda: vs.ones(2, 0).max(1), r"\[max\] .* axis 1 of shape \(2, 0\) has size 0"),
]

DTYPES = [
    (lambda: x & x, r"\[bitwise_and\] expected integer or bool tensors, got float32"),
    (lambda: ~x, r"\[bitwise_not\] .* got float32"),
    (lambda: x << 1, r"\[bitwise_left_shift\] .* got float32"),
    (lambda: -vs.tensor([True]), r"\[neg\] not supported for bool"),
    (lambda: vs.tensor([True]) - vs.tensor([True]), r"\[sub\] not supported for bool"),
    (lambda: vs.tensor([True]) - 1, r"\[sub\] not supported for bool"),
    (lambda: ints - vs.tensor(True), r"\[sub\] not supported for bool"),
    (lambda: vs.add(ints, ints, alpha=1.5), r"\[add\] among integers the factor must be an integer, got 1.5"),
    (lambda: vs.sub(ints, ints, alpha=1.5), r"\[sub\] among integers the factor must be an integer, got 1.5"),
    (lambda: x.gather(1, vs.tensor([[0.5]])), r"\[gather\] an index tensor must hold integers, got float32"),
    (lambda: x.index_select(0, vs.tensor([True])), r"\[index_select\] an index .* integers, got bool"),
    (
        lambda: F.embedding(vs.tensor([0.5]), x),
        r"\[embedding\] an index tensor must hold integers, got float32",
    ),
    (lambda: x.masked_fill(vs.tensor([1, 0, 1]), 0.0), r"\[masked_fill\] expected a bool tensor .* int64"),
    (lambda: vs.where(x, x, x), r"\[where\] expected a bool tensor as condition, got float32"),
    (lambda: x.norm(dtype=vs.int64), r"\[norm\] expected a floating-point dtype"),
    (lambda: ints.mean(), r"\[mean\] expected a floating-point or complex input or dtype, got int64"),
    (lambda: ints.add_(0.5), r"\[add_\] .* float32, which can't be cast to the tensor's int64"),
    (
        lambda: vs.exp(x, out=vs.ones(2, 3, dtype=vs.int32)),
        r"\[exp_?\] .* float32, which can't be cast .* int32",
    ),
    (
        lambda: setattr(vs.ones(2, requires_grad=True), "grad", vs.ones(2, dtype=vs.int64)),
        r"\[grad\] .* int64",
    ),
]

TYPES = [
    (lambda: vs.cat([x, None]), r"\[cat\] expected tensors, got None at position 1"),
    (lambda: vs.stack([None]), r"\[stack\] expected tensors, got None at position 0"),
    (lambda: vs.cat(x), r"\[cat\] argument 'tensors' must be a list or tuple of tensors, got .*Tensor"),
    (lambda: vs.cat([x, 1]), r"\[cat\] argument 'tensors' must be a list or tuple of tensors, got int"),
    (lambda: vs.cat(t for t in [x, x]), r"\[cat\] .* got generator"),
    (lambda: vs.exp("a"), r"\[exp\] argument 'input' must be a tensor or a number, got str"),
    (lambda: vs.exp(None), r"\[exp\] .* got NoneType"),
    (lambda: vs.exp(1.0), r"\[exp\] expected a tensor, got only numbers"),
    (lambda: vs.sum(3), r"\[sum\] argument 'input' must be a tensor, got int"),
    (lambda: x.sum("a"), r"\[sum\] dim must be an int or a sequence of ints, got str"),
    (lambda: x.sum(0.5), r"\[sum\] dim must be an int or a sequence of ints, got float"),
    (lambda: x.sum(math.nan), r"\[sum\] dim must be an int"),
    (lambda: x.sum(True), r"\[sum\] dim must be an integer, got bool"),
    (lambda: vs.zeros(True), r"\[zeros\] a size must be an integer, got bool"),
    (lambda: vs.zeros(), r"\[zeros\] expected a size"),
    (lambda: vs.full((2,), None), r"\[full\] fill_value must be a number, got None"),
    (lambda: vs.full_like(x, None), r"\[full_like\] fill_value must be a number, got None"),
    (lambda: vs.arange(), r"\[arange\] expected an end"),
    (lambda: pow(vs.tensor(3), 2, 5), r"unsupported operand type"),
    (lambda: F.dropout(x, 0.5, "a"), r"\[dropout\] argument 'train' must be a bool, got str"),
    (lambda: x.view("a"), r"\[view\] "),
    (lambda: x.view(1.5), r"\[view\] "),
    (lambda: x.pow("a"), r"\[pow\] argument 'exponent' must be a tensor or a number, got str"),
    (lambda: x.add(), r"\[add\] missing argument 'other'"),
    (lambda: vs.exp(), r"\[exp\] missing argument 'input'"),
    (lambda: x.add(1, 2, 3), r"\[add\] takes 2 arguments, got 4"),
    (lambda: x.add(1, other=2), r"\[add\] got multiple values for argument 'other'"),
    (lambda: x.add(1, foo=2), r"\[add\] got an unexpected keyword argument 'foo'"),
    (lambda: x.add(1, alpha="a"), r"\[add\] argument 'alpha' must be a tensor or a number, got str"),
    (lambda: x.sum(foo=2), r"\[sum\] got an unexpected keyword argument 'foo'"),
    (lambda: x.sum(0, dim=0), r"\[sum\] got multiple values for argument 'dim'"),
    (lambda: vs.exp(x, out=3), r"\[exp\] out must be a tensor, got int"),
    (lambda: x.transpose(0), r"\[transpose\] missing argument"),
    (lambda: vs.zeros(2.5), r"\[zeros\] a size must be an integer, got float"),
    (lambda: vs.zeros("a"), r"\[zeros\] a size must be an integer, got str"),
    (lambda: vs.zeros((2, None)), r"\[zeros\] a size must be an integer, got NoneType"),
    (lambda: vs.ones(2, dtype="float32"), r"\[ones\] expected a dtype such as versant.float32, got str"),
    (lambda: vs.ones(2, foo=1), r"ones\(\) got an unexpected keyword argument 'foo'"),
    (lambda: vs.full((2,)), r"full\(\) missing 1 required positional argument: 'fill_value'"),
    (lambda: vs.full((2,), "a"), r"\[full\] fill_value must be a number, got str"),
    (lambda: vs.arange("a"), r"\[arange\] argument 'end' must be a number, got str"),
    (lambda: vs.eye(2.5), r"\[eye\] n must be an integer, got float"),
    (lambda: F.conv2d(x, x, stride="a"), r"\[conv2d\] stride must be an int or a sequence of ints, got str"),
    (lambda: vs.from_numpy([1]), r"\[from_numpy\] expected an array, got list"),
    (lambda: x.__setitem__(0, "a"), r"\[tensor\] could not infer the dtype of str"),
    (lambda: x.fill_("a"), r"\[fill_\] expected a number, got str"),
    (
        lambda: vs.set_num_threads("a"),
        r"\[set_num_threads\] the number of threads must be an integer, got str",
    ),
    (lambda: vs.result_type(), r"\[result_type\] expected at least one argument"),
    (lambda: vs.promote_types(vs.int8, 3), r"\[promote_types\] expected a dtype"),
    (lambda: setattr(x, "grad", 3), r"\[grad\] expected a tensor or None, got int"),
    (lambda: x.set_(3), r"\[set_\] expected a tensor, got int"),
]

VALUES = [
    (lambda: vs.cat([]), r"\[cat\] expected a non-empty list of tensors"),
    (lambda: vs.stack([]), r"\[stack\] expected a non-empty list of tensors"),
    (lambda: x.split(0), r"\[split\] expected a positive split_size, got 0"),
    (lambda: x.chunk(0), r"\[chunk\] expected a positive number of chunks, got 0"),
    (lambda: x[::0], "slice step cannot be zero"),
    (lambda: vs.arange(0, 5, 0), r"\[arange\] step must not be zero"),
    (lambda: vs.arange(5, 0), r"\[arange\] the step 1 leads away from the end"),
    (lambda: vs.arange(math.nan), r"\[arange\] start, end and step must be finite"),
    (lambda: vs.linspace(0, 1, -1), r"\[linspace\] the number of steps must not be negative, got -1"),
    (lambda: vs.eye(-1), r"\[eye\] sizes must not be negative, got -1 and -1"),
    (lambda: vs.randint(5, 5, (2,)), r"\[randint\] expected low < high, got 5 and 5"),
    (lambda: vs.normal(0.0, -1.0, (2,)), r"\[normal\] expected a standard deviation of at least 0, got -1.0"),
    (lambda: F.dropout(x, p=1.5), r"\[dropout\] expected a probability between 0 and 1, got 1.5"),
    (lambda: F.pad(x, (1, 1), mode="reflect", value=1), r"\[pad\] mode 'reflect' takes no value, got 1"),
    (lambda: x.isclose(x, rtol=-1), r"\[isclose\] expected tolerances of at least 0, got rtol -1"),
    (lambda: F.max_pool2d(image, 2, 0), r"\[max_pool2d\] .*stride"),
    (lambda: F.avg_pool2d(image, 2, 0), r"\[avg_pool2d\] .*stride"),
    (
        lambda: F.conv2d(image, image, stride=(1, 2, 3)),
        r"\[conv2d\] expected one number or 2 for stride",
    ),
    (lambda: F.adaptive_avg_pool2d(image, (1, 2, 3)), r"\[adaptive_avg_pool2d\] expected one number or 2"),
    (lambda: vs.rot90(v), r"\[rot90\] expected two axes of at least two"),
    (lambda: x.repeat_interleave(vs.tensor([1, 2]), 1), r"\[repeat_interleave\] expected 3 repeats"),
    (lambda: x.clamp(), r"\[clamp\] at least one of min and max must be given"),
    (lambda: vs.ones([1] * 65), r"\[ones\] at most 64 dimensions are supported, got 65"),
    (lambda: vs.zeros(2**70), r"\[zeros\] a size does not fit in 64 bits"),
    (lambda: vs.set_num_threads(0), r"\[set_num_threads\] expected a positive number, got 0"),
    (lambda: vs.einsum("ij", x, x), r"\[einsum\] 'ij' has 1 operands, got 2"),
]

RUNTIME = [
    (lambda: ints**-1, r"\[pow\] integers to negative integer powers are not allowed"),
    (lambda: ints.pow_(-2), r"\[pow_?\] integers to negative integer powers are not allowed"),
    (lambda: F.binary_cross_entropy(x + 2, x), r"\[binary_cross_entropy\] input must lie between 0 and 1"),
    (
        lambda: F.binary_cross_entropy(x * 0, x - 2),
        r"\[binary_cross_entropy\] target must lie between 0 and 1",
    ),
    (lambda: F.binary_cross_entropy(x * math.nan, x), r"\[binary_cross_entropy\] input must lie .* got nan"),
    (lambda: ints.clone().__setitem__(0, math.nan), r"\[index_put_\] value nan cannot be converted to int64"),
    (lambda: ints.int().__setitem__(ints > 0, 1e10), r"\[index_put_\] value 1e\+10 cannot be converted"),
    (
        lambda: ints.byte().masked_fill(ints > 0, 300),
        r"\[masked_fill\] value 300 cannot be converted to uint8",
    ),
    (lambda: vs.where(ints > 0, ints.byte(), 300), r"\[where\] value 300 cannot be converted to uint8"),
    (lambda: F.pad(ints.byte(), (1, 1), value=300), r"\[pad\] value 300 cannot be converted to uint8"),
    (lambda: ints.int().index_fill(0, ints[0, :1], 2**40), r"\[index_fill\] value 1099511627776 cannot"),
    (
        lambda: ints.int().scatter(0, ints[:1], math.inf),
        r"\[scatter\] value inf cannot be converted to int32",
    ),
    (lambda: x.to("cuda"), r"\[device\] this build runs on 'cpu', got 'cuda'"),
    (lambda: vs.ones(2, device="meta"), r"\[device\] this build runs on 'cpu', got 'meta'"),
    (lambda: vs.device("nowhere"), r"\[device\] .* got 'nowhere'"),
    (lambda: x.topk(4), r"\[topk\] k = 4 is out of range for axis 1 of shape \(2, 3\)"),
    (
        lambda: v.expand(2, 3).add_(1),
        r"\[add\] several elements of the written-to tensor share one memory location",
    ),
    (lambda: x.backward(), r"\[backward\] element 0 of the tensors does not require grad"),
    (
        lambda: leaf.backward(),
        r"\[backward\] grad can be implicitly created only for scalar outputs, got shape \(2,\)",
    ),
    (lambda: vs.tensor([1], requires_grad=True), r"\[requires_grad\] only floating-point .* got int64"),
    (lambda: ints.requires_grad_(), r"\[requires_grad\] only floating-point .* got int64"),
    (lambda: setattr(leaf, "grad", leaf), r"\[grad\] can't assign a tensor as its own gradient"),
]

MEMORY = [
    (lambda: vs.zeros(2**45), r"\[zeros\] out of memory: 140737488355328 bytes"),
    (lambda: vs.ones(1).expand(2**20, 2**22) + 1, r"\[add\] out of memory: 17592186044416 bytes"),
    (lambda: vs.ones(1).expand(2**20, 2**22).clone(), r"\[\w+\] out of memory"),
    (lambda: vs.arange(2**43), r"\[arange\] out of memory"),
]

DIVISION = [
    (lambda: ints // 0, r"\[floor_divide\] integer division by zero"),
    (lambda: ints % vs.zeros(3, dtype=vs.int64), r"\[remainder\] integer division by zero"),
]

CASES = [
    (error, call, message)
    for error, rows in [
        (vs.ShapeError, SHAPES), (vs.AxisError, AXES), (IndexError, INDICES), (vs.DTypeError, DTYPES),
        (TypeError, TYPES), (ValueError, VALUES), (RuntimeError, RUNTIME), (MemoryError, MEMORY),
        (ZeroDivisionError, DIVISION),
    ]
    for call, message in rows
]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "call", "message"), CASES, ids=[f"{e.__name__}:{m[:40]}" for e, _, m in CASES]
)
def test_class_and_message(error, call, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
    assert x.tolist() == [[1, 1, 1], [1, 1, 1]]
    assert ints.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert v.tolist() == [1, 1, 1]
    assert leaf.grad is None


def test_the_classes_are_what_users_of_numpy_and_pytorch_catch() -> None:
    assert vs.ShapeError.__mro__[1:3] == (ValueError, RuntimeError)
    assert vs.DTypeError.__mro__[1:3] == (TypeError, RuntimeError)
    assert issubclass(vs.AxisError, IndexError)
    assert issubclass(vs.AxisError, ValueError)


def test_memory_errors_leave_nothing_behind() -> None:
    before = vs.memory.stats()["live_bytes"]
    for call, _ in MEMORY:
        with pytest.raises(MemoryError):
            call()
    assert vs.memory.stats()["live_bytes"] == before
    assert (vs.ones(10) + 1).sum().item() == 20


@pytest.mark.parametrize("rank", [64])
def test_as_many_axes_as_there_may_be(rank: int) -> None:
    deep = vs.ones([1] * (rank - 1) + [2])
    assert (deep + deep.transpose(0, -1)).sum().item() == 8
    assert deep.sum(-1).shape == (1,) * (rank - 1)
    with pytest.raises(ValueError, match="at most 64 dimensions"):
        deep.unsqueeze(0)
    with pytest.raises(ValueError, match="at most 64 dimensions"):
        deep[None]


def test_a_list_that_another_thread_changes_keeps_its_tensors_for_the_call() -> None:
    class Hostile(list):
        """A list that lets go of its tensors while it is read."""

        def __iter__(self):
            for _ in range(len(self)):
                yield self.pop()

    tensors = Hostile([vs.ones(2), vs.zeros(2)])
    assert vs.cat(tensors).numel() == 4


def test_empty_tensors_go_through() -> None:
    assert (nothing + 1).shape == (0,)
    assert nothing.sum().item() == 0
    assert nothing.prod().item() == 1
    assert math.isnan(nothing.mean().item())
    assert (vs.ones(0, 3) @ vs.ones(3, 2)).shape == (0, 2)
    assert (vs.ones(2, 0) @ vs.ones(0, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert vs.cat([nothing, nothing]).shape == (0,)
    assert nothing.sort().values.shape == (0,)
    assert nothing.reshape(0, 5).shape == (0, 5)
    assert vs.ones(3, 0).sum(1).tolist() == [0, 0, 0]
    assert nothing[vs.tensor([], dtype=vs.int64)].shape == (0,)
    assert nothing.all()
    assert not nothing.any()
