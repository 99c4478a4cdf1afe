"""What is compared with TensorFlow: for each name the arguments of some calls.

A call is a function of (tf, tensors): tensors are the arrays of the case as tensors of that framework. Arrays
of floating-point numbers are watched by a tape, and their gradients are compared too.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

RS = np.random.RandomState(7)


@dataclass
class Case:
    """One call of one name."""

    name: str
    call: Callable[..., Any]
    arrays: list[Any] = field(default_factory=list)
    gradient: bool = True
    rtol: float = 2e-5
    atol: float = 2e-6


CASES: list[Case] = []


def floats(*shape: int, low: float = -2.0, high: float = 2.0) -> Any:
    return RS.uniform(low, high, shape).astype(np.float32)


def ints(*shape: int, low: int = 0, high: int = 5) -> Any:
    return RS.randint(low, high, shape).astype(np.int32)


def bools(*shape: int) -> Any:
    return RS.rand(*shape) > 0.5


def find(tf: Any, name: str) -> Any:
    for part in name.split("."):
        tf = getattr(tf, part)
    return tf


def add(
    names: str, *arrays: Any, gradient: bool = True, rtol: float = 2e-5, atol: float = 2e-6, **kwargs: Any
) -> None:
    """Each name is called with the arrays and the other arguments."""
    for name in names.split():

        def call(tf: Any, *tensors: Any, name: str = name) -> Any:
            given = {key: value(tf) if callable(value) else value for key, value in kwargs.items()}
            return find(tf, name)(*tensors, **given)

        CASES.append(Case(name, call, list(arrays), gradient, rtol, atol))


def with_call(
    name: str,
    call: Callable[..., Any],
    *arrays: Any,
    gradient: bool = True,
    rtol: float = 2e-5,
    atol: float = 2e-6,
) -> None:
    """A call that is no plain list of arguments."""
    CASES.append(Case(name, call, list(arrays), gradient, rtol, atol))


def complex_numbers(*shape: int) -> Any:
    return (floats(*shape) + 1j * floats(*shape)).astype(np.complex64)


def both(prefixes: str, names: str) -> str:
    """Each name at the top level and in tf.math."""
    return " ".join(f"{prefix}{name}" for name in names.split() for prefix in prefixes.split(","))


# Each element -----------------------------------------------------------------------------------------------

x, positive, unit = floats(3, 4), floats(3, 4, low=0.1, high=3.0), floats(3, 4, low=-0.9, high=0.9)
add(both(",math.", "abs negative sign square sin cos tan sinh cosh tanh exp sigmoid asinh atan"), x)
add(both(",math.", "sqrt"), positive)
add(both(",math.", "asin acos atanh"), unit)
add(both(",math.", "acosh"), floats(3, 4, low=1.1, high=4.0))
add(both(",math.", "floor round"), x)
add("math.ceil math.rint math.expm1 math.erf math.erfc math.softplus math.log_sigmoid math.ndtri", unit)
add("math.erfinv math.erfcinv", floats(3, 4, low=0.1, high=0.9), rtol=1e-4)
add("math.ndtri", floats(5, low=0.05, high=0.95), rtol=1e-4)
add("math.log math.log1p math.rsqrt math.reciprocal math.lgamma math.digamma", positive, rtol=1e-4, atol=1e-5)
add("math.bessel_i0 math.bessel_i0e math.bessel_i1 math.bessel_i1e", x, rtol=1e-4)
add(
    "math.special.bessel_i0 math.special.bessel_i0e math.special.bessel_i1 math.special.bessel_i1e",
    x,
    rtol=1e-4,
)
add(
    "math.is_finite math.is_inf math.is_nan",
    np.array([1.0, np.inf, -np.inf, np.nan], np.float32),
    gradient=False,
)
add("math.conj math.real math.imag math.angle", complex_numbers(3, 2), gradient=False)
add("abs negative sign square math.abs", ints(3, 4, low=-4), gradient=False)
y, denominator = floats(3, 4), floats(3, 4, low=0.5, high=2.0)
add(both(",math.", "add subtract multiply maximum minimum"), x, y)
add(both(",math.", "add subtract multiply maximum minimum"), floats(3, 1), floats(4))
add(both(",math.", "add subtract multiply maximum minimum"), ints(3), ints(3), gradient=False)
add(both(",math.", "divide truediv") + " realdiv math.divide_no_nan", x, denominator)
add(both(",math.", "divide truediv"), ints(4), ints(4, low=1), gradient=False)
add("math.divide_no_nan math.multiply_no_nan", floats(4), np.array([0.0, 1.0, 2.0, 0.0], np.float32))
add(both(",math.", "pow"), positive, y, rtol=1e-4)
add(both(",math.", "pow"), ints(4), ints(4), gradient=False)
add(both(",math.", "atan2"), x, y)
add("math.squared_difference math.xlogy math.xlog1py", x, positive)
add("math.squared_difference", ints(3), ints(3), gradient=False)
add(
    "math.floordiv math.floormod math.mod truncatediv truncatemod",
    ints(6, low=-9, high=9),
    ints(6, low=1, high=4),
    gradient=False,
)
add("math.floordiv math.floormod math.mod", x, denominator, gradient=False)
add("math.nextafter", np.float64(floats(3)), np.float64(floats(3)), gradient=False)
add("math.zeta", floats(3, low=2.0, high=4.0), floats(3, low=1.0, high=2.0), gradient=False, rtol=1e-4)
add("math.lbeta", positive, rtol=1e-4)
with_call(
    "math.polygamma", lambda tf, x: tf.math.polygamma(tf.ones_like(x), x), positive, rtol=1e-4, atol=1e-4
)
with_call("math.add_n", lambda tf, a, b: tf.math.add_n([a, b]), x, y)
with_call("add_n", lambda tf, a, b: tf.add_n([a, b, a]), x, y)
add(
    both(",math.", "equal not_equal less less_equal greater greater_equal"),
    ints(3, 4),
    ints(3, 4),
    gradient=False,
)
add(both(",math.", "logical_and logical_or") + " math.logical_xor", bools(8), bools(8), gradient=False)
add(both(",math.", "logical_not"), bools(8), gradient=False)
add("complex dtypes.complex", floats(3), floats(3), gradient=False)
add("clip_by_value", x, clip_value_min=-0.5, clip_value_max=1.0)
add(
    "bitwise.bitwise_and bitwise.bitwise_or bitwise.bitwise_xor",
    ints(6, high=20),
    ints(6, high=20),
    gradient=False,
)
add("bitwise.left_shift bitwise.right_shift", ints(6, high=20), ints(6), gradient=False)
add("bitwise.invert", ints(6), gradient=False)

# Sums and their kin -----------------------------------------------------------------------------------------

SUMS = both(",math.", "reduce_sum reduce_mean reduce_max reduce_min reduce_prod reduce_logsumexp")
for axis, keep in ((None, False), (0, False), (-1, True), ([0, 2], False), ([1, 2], True), ([], False)):
    add(SUMS, floats(2, 3, 4), axis=axis, keepdims=keep)
    add(
        "math.reduce_variance math.reduce_std math.reduce_euclidean_norm",
        floats(2, 3, 4),
        axis=axis,
        keepdims=keep,
        gradient=axis != [],
    )
    add(both(",math.", "reduce_any reduce_all"), bools(2, 3, 4), axis=axis, keepdims=keep, gradient=False)
    add("math.count_nonzero", ints(2, 3, 4), axis=axis, keepdims=keep, gradient=False)
add("reduce_sum reduce_mean reduce_max reduce_min reduce_prod", ints(2, 5, low=-3), axis=1, gradient=False)
add("reduce_max reduce_min", np.array([1.0, 3.0, 3.0, 1.0], np.float32))
for exclusive in (False, True):
    for reverse in (False, True):
        add(
            both(",math.", "cumsum") + " math.cumprod",
            floats(3, 4),
            axis=1,
            exclusive=exclusive,
            reverse=reverse,
            rtol=1e-4,
        )
add("math.cumulative_logsumexp", floats(3, 4), axis=1)
add(both(",math.", "argmax argmin"), floats(3, 4), axis=1, gradient=False)
add(both(",math.", "argmax argmin"), floats(3, 4), gradient=False)
add("argmax", floats(3, 4), axis=0, output_type=lambda tf: tf.int32, gradient=False)
SEGMENTS = "sum mean prod max min"
IDS = [0, 0, 1, 3, 3]
for mode in SEGMENTS.split():
    with_call(
        f"math.segment_{mode}",
        lambda tf, a, m=mode: getattr(tf.math, f"segment_{m}")(a, IDS),
        floats(5, 2),
        gradient=mode != "prod",
    )
    with_call(
        f"math.unsorted_segment_{mode}",
        lambda tf, a, m=mode: getattr(tf.math, f"unsorted_segment_{m}")(a, [2, 0, -1, 0, 2], 3),
        floats(5, 2),
        gradient=mode != "prod",
    )
with_call(
    "math.unsorted_segment_sqrt_n",
    lambda tf, a: tf.math.unsorted_segment_sqrt_n(a, [2, 0, 1, 0, 2], 3),
    floats(5, 2),
)
add("math.bincount", ints(12), gradient=False)
with_call(
    "math.confusion_matrix",
    lambda tf, a, b: tf.math.confusion_matrix(a, b, 5),
    ints(9),
    ints(9),
    gradient=False,
)
add("math.invert_permutation", np.array([2, 0, 1, 3], np.int32), gradient=False)
add("math.zero_fraction nn.zero_fraction", np.array([0.0, 1.0, 0.0, 2.0], np.float32), gradient=False)

# Arrays -----------------------------------------------------------------------------------------------------

with_call("zeros", lambda tf: tf.zeros([2, 3], tf.int32), gradient=False)
with_call("ones", lambda tf: tf.ones((2, 3)), gradient=False)
with_call("fill", lambda tf: tf.fill([2, 3], 7), gradient=False)
add("zeros_like ones_like shape size rank", ints(2, 3), gradient=False)
with_call("eye", lambda tf: tf.eye(3, 4, batch_shape=[2]), gradient=False)
with_call("linalg.eye", lambda tf: tf.linalg.eye(3), gradient=False)
for args in ((5,), (2, 9, 3), (0.0, 1.0, 0.25), (5, 1, -2)):
    with_call("range", lambda tf, args=args: tf.range(*args), gradient=False)
with_call("linspace", lambda tf: tf.linspace(0.0, 1.0, 5), gradient=False)
with_call(
    "one_hot",
    lambda tf, i: tf.one_hot(i, 5, axis=0, on_value=2.0, off_value=-1.0),
    ints(2, 3),
    gradient=False,
)
with_call("one_hot", lambda tf, i: tf.one_hot(i, 4), np.array([0, 3, -1, 7], np.int32), gradient=False)
with_call("meshgrid", lambda tf, a, b: tf.meshgrid(a, b), floats(3), floats(2))
add("identity stop_gradient", floats(3))
with_call("constant", lambda tf: tf.constant([[1, 2], [3, 4]], tf.float64), gradient=False)
with_call("constant", lambda tf: tf.constant(3, shape=[2, 2]), gradient=False)
with_call("convert_to_tensor", lambda tf: tf.convert_to_tensor([1.0, 2.0]), gradient=False)
with_call("convert_to_tensor", lambda tf, a, b: tf.convert_to_tensor([a[0], b[1], 3.0]), floats(2), floats(2))
with_call("cast", lambda tf, a: tf.cast(a, tf.int32), floats(6), gradient=False)
with_call("cast", lambda tf, a: tf.cast(a, tf.float64), floats(6))
with_call("dtypes.cast", lambda tf, a: tf.dtypes.cast(a, tf.bool), ints(6), gradient=False)
with_call("reshape", lambda tf, a: tf.reshape(a, [4, -1]), floats(2, 6))
add("transpose", floats(2, 3, 4), perm=[2, 0, 1])
add("transpose", floats(2, 3, 4))
add("expand_dims", floats(2, 3), axis=1)
add("squeeze", floats(2, 1, 3, 1), axis=[1])
add("squeeze", floats(2, 1, 3, 1))
add("broadcast_to", floats(3, 1), shape=[2, 3, 4])
with_call(
    "broadcast_static_shape",
    lambda tf: list(tf.broadcast_static_shape(tf.TensorShape([3, 1]), tf.TensorShape([4]))),
    gradient=False,
)
with_call(
    "broadcast_dynamic_shape",
    lambda tf: tf.broadcast_dynamic_shape(tf.constant([3, 1]), tf.constant([4])),
    gradient=False,
)
add("ensure_shape", floats(2, 3), shape=[None, 3])
with_call("concat", lambda tf, a, b: tf.concat([a, b], 1), floats(2, 3), floats(2, 1))
with_call("stack", lambda tf, a, b: tf.stack([a, b], axis=1), floats(2, 3), floats(2, 3))
with_call("unstack", lambda tf, a: tf.unstack(a, axis=1), floats(2, 3))
with_call("split", lambda tf, a: tf.split(a, 3, axis=1), floats(2, 6))
with_call("split", lambda tf, a: tf.split(a, [1, -1, 2], 1), floats(2, 6))
add("tile", floats(2, 3), multiples=[2, 1])
with_call("repeat", lambda tf, a: tf.repeat(a, [1, 3], axis=0), floats(2, 3))
with_call("repeat", lambda tf, a: tf.repeat(a, 2), floats(2, 3))
add("reverse", floats(2, 3), axis=[1])
with_call("roll", lambda tf, a: tf.roll(a, [1, -2], [0, 1]), floats(3, 4))
for mode in ("CONSTANT", "REFLECT", "SYMMETRIC"):
    with_call("pad", lambda tf, a, mode=mode: tf.pad(a, [[1, 2], [0, 2]], mode), floats(3, 4))
with_call("slice", lambda tf, a: tf.slice(a, [1, 0], [1, -1]), floats(3, 4))
with_call("strided_slice", lambda tf, a: tf.strided_slice(a, [0, 3], [3, 0], [2, -1]), floats(3, 4))
add("sort", floats(3, 4), direction="DESCENDING")
add("argsort", floats(3, 4), gradient=False)
with_call("unique", lambda tf, a: list(tf.unique(a)), ints(9), gradient=False)
with_call("unique_with_counts", lambda tf, a: list(tf.unique_with_counts(a)), ints(9), gradient=False)
with_call(
    "searchsorted", lambda tf: tf.searchsorted([1.0, 3.0, 5.0], [0.0, 3.0, 6.0], side="right"), gradient=False
)
add("sequence_mask", ints(3), maxlen=6, gradient=False)
with_call("nn.space_to_depth", lambda tf, a: tf.nn.space_to_depth(a, 2), floats(1, 4, 4, 3))
with_call("nn.depth_to_space", lambda tf, a: tf.nn.depth_to_space(a, 2), floats(1, 2, 2, 8))
with_call("Tensor.__getitem__", lambda tf, a: a[..., ::-1, tf.newaxis][1:, 0], floats(3, 4, 2))

# Indices ----------------------------------------------------------------------------------------------------

with_call("gather", lambda tf, a: tf.gather(a, [[2, 0], [1, 1]], axis=1), floats(2, 3, 4))
with_call("gather", lambda tf, a: tf.gather(a, [[2, 0], [1, 1]], batch_dims=1), floats(2, 3, 4))
with_call("gather", lambda tf, a: tf.gather(a, [[3, 0], [1, 1]], axis=2, batch_dims=1), floats(2, 3, 4))
with_call("gather_nd", lambda tf, a: tf.gather_nd(a, [[0, 1], [2, 3]]), floats(3, 4, 2))
with_call("gather_nd", lambda tf, a: tf.gather_nd(a, [[1], [0]], batch_dims=1), floats(2, 3, 4))
with_call("scatter_nd", lambda tf, u: tf.scatter_nd([[1], [3], [1]], u, [5, 2]), floats(3, 2))
with_call(
    "tensor_scatter_nd_update",
    lambda tf, a, u: tf.tensor_scatter_nd_update(a, [[1], [3]], u),
    floats(5, 2),
    floats(2, 2),
)
with_call(
    "tensor_scatter_nd_add",
    lambda tf, a, u: tf.tensor_scatter_nd_add(a, [[1], [1]], u),
    floats(5, 2),
    floats(2, 2),
)
with_call(
    "tensor_scatter_nd_sub",
    lambda tf, a, u: tf.tensor_scatter_nd_sub(a, [[1], [1]], u),
    floats(5, 2),
    floats(2, 2),
)
with_call("where", lambda tf, a, b: tf.where(a > 0, a, b), floats(3, 4), floats(4))
add("where", bools(3, 4), gradient=False)
with_call("boolean_mask", lambda tf, a: tf.boolean_mask(a, [True, False, True]), floats(3, 4))
with_call("boolean_mask", lambda tf, a: tf.boolean_mask(a, [True, False, True, True], axis=1), floats(3, 4))
with_call("dynamic_partition", lambda tf, a: tf.dynamic_partition(a, [0, 1, 0, 1], 2), floats(4, 2))
with_call(
    "dynamic_stitch", lambda tf, a, b: tf.dynamic_stitch([[0, 2], [1]], [a, b]), floats(2, 2), floats(1, 2)
)
with_call("math.top_k", lambda tf, a: tf.math.top_k(a, 2), floats(3, 5))
with_call("nn.top_k", lambda tf, a: tf.nn.top_k(a, 2), floats(3, 5))
with_call("math.in_top_k", lambda tf, p: tf.math.in_top_k([1, 0, 4], p, 2), floats(3, 5), gradient=False)
with_call("nn.in_top_k", lambda tf, p: tf.nn.in_top_k([1, 0, 4], p, 2), floats(3, 5), gradient=False)

# Products and linear algebra --------------------------------------------------------------------------------

add("matmul linalg.matmul", floats(2, 3, 4), floats(2, 4, 5))
add("matmul", floats(3, 4), floats(5, 4), transpose_b=True)
add("matmul", floats(4, 3), floats(4, 5), transpose_a=True)
add("linalg.matvec", floats(2, 3, 4), floats(2, 4))
with_call("einsum", lambda tf, a, b: tf.einsum("bij,bjk->bik", a, b), floats(2, 3, 4), floats(2, 4, 5))
with_call("linalg.einsum", lambda tf, a: tf.linalg.einsum("ii->i", a), floats(3, 3))
with_call("tensordot", lambda tf, a, b: tf.tensordot(a, b, 1), floats(2, 3), floats(3, 4))
with_call(
    "linalg.tensordot",
    lambda tf, a, b: tf.linalg.tensordot(a, b, [[0, 1], [1, 0]]),
    floats(2, 3),
    floats(3, 2),
)
for order in ("euclidean", 1, 2, np.inf):
    add("norm linalg.norm", floats(3, 4), ord=order, axis=1)
add("norm linalg.norm", floats(3, 4))
add("linalg.l2_normalize math.l2_normalize nn.l2_normalize", floats(3, 4), axis=1)
with_call("linalg.normalize", lambda tf, a: list(tf.linalg.normalize(a, axis=1)), floats(3, 4))
add("clip_by_norm", floats(3, 4), clip_norm=1.0)
with_call(
    "clip_by_global_norm",
    lambda tf, a, b: [*tf.clip_by_global_norm([a, b], 1.0)[0], tf.clip_by_global_norm([a, b], 1.0)[1]],
    floats(3),
    floats(2),
)
with_call("linalg.global_norm", lambda tf, a, b: tf.linalg.global_norm([a, b]), floats(3), floats(2))
square = floats(2, 3, 3) + 3 * np.eye(3, dtype=np.float32)
definite = np.float32(square @ square.transpose(0, 2, 1))
add("linalg.det linalg.inv linalg.logdet linalg.cholesky", definite, rtol=1e-3, atol=1e-4)
with_call("linalg.slogdet", lambda tf, a: list(tf.linalg.slogdet(a)), square, gradient=False, rtol=1e-4)
with_call(
    "linalg.solve", lambda tf, a, b: tf.linalg.solve(a, b), square, floats(2, 3, 2), rtol=1e-3, atol=1e-4
)
with_call(
    "linalg.triangular_solve",
    lambda tf, a, b: tf.linalg.triangular_solve(a, b),
    square,
    floats(2, 3, 2),
    rtol=1e-3,
    atol=1e-4,
)
with_call(
    "linalg.cholesky_solve",
    lambda tf, a, b: tf.linalg.cholesky_solve(tf.linalg.cholesky(a), b),
    definite,
    floats(2, 3, 2),
    rtol=1e-3,
    atol=1e-3,
)
with_call("linalg.qr", lambda tf, a: tf.abs(tf.linalg.qr(a)[1]), square, rtol=1e-3, atol=1e-4)
with_call("linalg.svd", lambda tf, a: tf.linalg.svd(a, compute_uv=False), square, rtol=1e-3, atol=1e-4)
with_call(
    "linalg.lstsq",
    lambda tf, a, b: tf.linalg.lstsq(a, b),
    floats(4, 2),
    floats(4, 1),
    gradient=False,
    rtol=1e-3,
    atol=1e-4,
)
with_call("linalg.eigh", lambda tf, a: tf.linalg.eigh(a)[0], definite, rtol=1e-3, atol=1e-4)
add("linalg.eigvalsh", definite, rtol=1e-3, atol=1e-4, gradient=False)
add("linalg.expm", floats(3, 3), rtol=1e-4, atol=1e-5, gradient=False)
add("linalg.pinv", floats(4, 2), rtol=1e-3, atol=1e-4, gradient=False)
add("linalg.diag", floats(2, 3), k=1)
add("linalg.diag_part linalg.trace linalg.adjoint linalg.matrix_transpose", floats(2, 3, 3))
add("linalg.tensor_diag", floats(2, 3))
add("linalg.tensor_diag_part", floats(2, 3, 2, 3))
add("linalg.set_diag", floats(2, 3, 3), floats(2, 3))
with_call("linalg.band_part", lambda tf, a: tf.linalg.band_part(a, 1, 0), floats(4, 4))
add("linalg.cross", floats(2, 3), floats(2, 3))
with_call(
    "linalg.matrix_rank",
    lambda tf: tf.linalg.matrix_rank(tf.constant([[1.0, 2.0], [2.0, 4.0]])),
    gradient=False,
)

# Networks ---------------------------------------------------------------------------------------------------

add(
    "nn.relu nn.relu6 nn.elu nn.selu nn.softplus nn.softsign nn.silu nn.swish nn.sigmoid nn.tanh nn.gelu "
    "nn.crelu nn.leaky_relu",
    x,
)
add("nn.gelu", x, approximate=True, rtol=1e-4, atol=1e-5)
add("nn.leaky_relu", x, alpha=0.3)
add("nn.softmax nn.log_softmax math.softmax math.log_softmax", x, axis=0)
add("nn.softmax nn.log_softmax", x)
add("math.softsign", x)
add("nn.bias_add", floats(2, 3, 3, 4), floats(4))
add("nn.bias_add", floats(2, 4, 3, 3), floats(4), data_format="NCHW")
for padding in ("SAME", "VALID"):
    for stride in (1, 2):
        add(
            "nn.conv2d nn.convolution",
            floats(2, 7, 6, 3),
            floats(3, 2, 3, 4),
            strides=stride,
            padding=padding,
            rtol=1e-4,
            atol=1e-5,
        )
        add(
            "nn.conv1d",
            floats(2, 7, 3),
            floats(3, 3, 4),
            stride=stride,
            padding=padding,
            rtol=1e-4,
            atol=1e-5,
        )
        add(
            "nn.conv3d",
            floats(1, 4, 5, 4, 2),
            floats(2, 3, 2, 2, 3),
            strides=[1, stride, stride, stride, 1],
            padding=padding,
            rtol=1e-4,
            atol=1e-5,
        )
        add(
            "nn.depthwise_conv2d",
            floats(2, 7, 6, 3),
            floats(3, 3, 3, 2),
            strides=[1, stride, stride, 1],
            padding=padding,
            rtol=1e-4,
            atol=1e-5,
        )
        add(
            "nn.max_pool2d nn.avg_pool2d nn.max_pool nn.avg_pool",
            floats(2, 7, 6, 3),
            ksize=3,
            strides=stride,
            padding=padding,
            rtol=1e-4,
        )
        add("nn.max_pool1d nn.avg_pool1d", floats(2, 7, 3), ksize=2, strides=stride, padding=padding)
        add("nn.max_pool3d nn.avg_pool3d", floats(1, 4, 4, 4, 2), ksize=2, strides=stride, padding=padding)
add(
    "nn.conv2d",
    floats(2, 9, 9, 3),
    floats(3, 3, 3, 4),
    strides=1,
    padding="VALID",
    dilations=2,
    gradient=False,
    rtol=1e-4,
    atol=1e-5,
)
with_call(
    "nn.conv2d",
    lambda tf, a, w: tf.nn.conv2d(a, w, 1, [[0, 0], [1, 2], [0, 1], [0, 0]]),
    floats(1, 5, 5, 2),
    floats(3, 3, 2, 2),
    rtol=1e-4,
    atol=1e-5,
)
with_call(
    "nn.separable_conv2d",
    lambda tf, a, d, p: tf.nn.separable_conv2d(a, d, p, [1, 1, 1, 1], "SAME"),
    floats(1, 5, 5, 2),
    floats(3, 3, 2, 2),
    floats(1, 1, 4, 3),
    rtol=1e-4,
    atol=1e-5,
)
for padding, size in (("SAME", (8, 6)), ("VALID", (9, 7))):
    with_call(
        "nn.conv2d_transpose",
        lambda tf, a, w, p=padding, s=size: tf.nn.conv2d_transpose(a, w, [2, *s, 4], 2, p),
        floats(2, 4, 3, 3),
        floats(3, 3, 4, 3),
        rtol=1e-4,
        atol=1e-5,
    )
with_call("nn.moments", lambda tf, a: list(tf.nn.moments(a, [0, 1])), floats(3, 4, 2))
with_call(
    "nn.batch_normalization",
    lambda tf, a, m, v, b, g: tf.nn.batch_normalization(a, m, v, b, g, 1e-3),
    floats(3, 4),
    floats(4),
    floats(4, low=0.1),
    floats(4),
    floats(4),
    rtol=1e-4,
    atol=1e-5,
)
add("nn.local_response_normalization nn.lrn", floats(1, 2, 2, 8), depth_radius=2, rtol=1e-4)
probabilities = np.float32(np.exp(floats(3, 5)))
probabilities /= probabilities.sum(1, keepdims=True)
with_call(
    "nn.softmax_cross_entropy_with_logits",
    lambda tf, a, b: tf.nn.softmax_cross_entropy_with_logits(a, b),
    probabilities,
    floats(3, 5),
)
with_call(
    "nn.sparse_softmax_cross_entropy_with_logits",
    lambda tf, a: tf.nn.sparse_softmax_cross_entropy_with_logits([1, 4, 0], a),
    floats(3, 5),
)
with_call(
    "nn.sigmoid_cross_entropy_with_logits",
    lambda tf, a, b: tf.nn.sigmoid_cross_entropy_with_logits(labels=a, logits=b),
    floats(3, 5, low=0, high=1),
    floats(3, 5),
)
with_call(
    "nn.weighted_cross_entropy_with_logits",
    lambda tf, a, b: tf.nn.weighted_cross_entropy_with_logits(a, b, 2.0),
    floats(3, 5, low=0, high=1),
    floats(3, 5),
)
add("nn.log_poisson_loss", floats(4, low=0.1), floats(4))
add("nn.l2_loss", floats(3, 4))
with_call("nn.embedding_lookup", lambda tf, a: tf.nn.embedding_lookup(a, [[1, 1], [0, 3]]), floats(4, 3))
with_call("nn.dropout", lambda tf, a: tf.nn.dropout(a, 0.0), floats(4, 3))
with_call(
    "nn.ctc_loss",
    lambda tf, a: tf.nn.ctc_loss(tf.constant([[1, 2], [2, 2]]), a, [2, 2], [6, 6], blank_index=0),
    floats(6, 2, 4),
    rtol=1e-3,
    atol=1e-4,
)

# Fourier transforms -----------------------------------------------------------------------------------------

add("signal.fft signal.ifft signal.fft2d signal.ifft2d", complex_numbers(2, 4, 4), gradient=False, atol=1e-5)
add("signal.fft3d signal.ifft3d", complex_numbers(2, 4, 4), gradient=False, atol=1e-5)
add("signal.rfft signal.rfft2d signal.rfft3d", floats(2, 4, 6), atol=1e-4, rtol=1e-4, gradient=False)
add("signal.irfft signal.irfft2d signal.irfft3d", complex_numbers(2, 4, 4), gradient=False, atol=1e-5)
add("signal.fftshift signal.ifftshift", floats(5), gradient=False)
with_call("signal.hann_window", lambda tf: tf.signal.hann_window(7), gradient=False)
with_call("signal.hamming_window", lambda tf: tf.signal.hamming_window(8, periodic=False), gradient=False)
with_call("signal.frame", lambda tf, a: tf.signal.frame(a, 4, 2), floats(2, 11))
