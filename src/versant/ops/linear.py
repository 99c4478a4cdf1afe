"""Linear algebra: products of vectors and matrices."""

from __future__ import annotations

import math

from versant._core import DTypeError, ShapeError, Tensor
from versant.ops.axes import axis_of
from versant.ops.creation import full
from versant.ops.lazy import np
from versant.ops.record import composite, primitive
from versant.ops.reductions import sum
from versant.ops.samples import array, call
from versant.ops.shape import broadcast_shapes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# --- products ---------------------------------------------------------------------------------------------

matmul = primitive(
    "matmul",
    "input, other",
    "The matrix product of the last two axes; the axes before them broadcast. A vector is a row on the left, "
    "a column on the right, and its axis goes away.",
    autocast="lower",
    ref=np.matmul,
    samples=[
        call(array(3, 4), array(4, 5)),
        call(array(4), array(4)),
        call(array(4), array(4, 3)),
        call(array(2, 3, 4), array(4)),
        call(array(2, 1, 3, 4), array(5, 4, 2)),
        call(array(0, 3), array(3, 2)),
        call(array(2, 0), array(0, 3)),
    ],
    also="linalg.matmul",
    operator="matmul",
    onnx="MatMul",
    stablehlo="dot_general",
)


def expect(name: str, *shapes: tuple[Tensor, int]) -> None:
    """Raises unless each tensor has that many axes."""
    for tensor, rank in shapes:
        if tensor.ndim != rank:
            raise ShapeError(f"[{name}] expected {rank} axes, got shape {tuple(tensor.shape)}")


@composite(autocast="lower", ref=np.matmul, samples=[call(array(3, 4), array(4, 2))])
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices.  input: (n, k), mat2: (k, m) -> (n, m)"""
    expect("mm", (input, 2), (mat2, 2))
    return matmul(input, mat2)


@composite(autocast="lower", ref=np.matmul, samples=[call(array(2, 3, 4), array(2, 4, 2))])
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of two batches of matrices.  input: (b, n, k), mat2: (b, k, m) -> (b, n, m)"""
    expect("bmm", (input, 3), (mat2, 3))
    if input.shape[0] != mat2.shape[0]:
        raise ShapeError(f"[bmm] batches differ: {tuple(input.shape)} and {tuple(mat2.shape)}")
    return matmul(input, mat2)


@composite(ref=np.matmul, samples=[call(array(3, 4), array(4))])
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """A matrix times a vector.  input: (n, k), vec: (k,) -> (n,)"""
    expect("mv", (input, 2), (vec, 1))
    return matmul(input, vec)


@composite(ref=np.dot, samples=[call(array(4), array(4)), call(array(0), array(0))])
def dot(input: Tensor, other: Tensor) -> Tensor:
    """The inner product of two vectors."""
    expect("dot", (input, 1), (other, 1))
    return matmul(input, other)


@composite(ref=np.vdot, samples=[call(array(4), array(4)), call(array(0), array(0))])
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """The inner product of the conjugates of input with other."""
    expect("vdot", (input, 1), (other, 1))
    return matmul(input.conj() if input.dtype.is_complex else input, other)


@composite(ref=np.inner, samples=[call(array(4), array(4)), call(array(2, 3), array(4, 3))])
def inner(input: Tensor, other: Tensor) -> Tensor:
    """The products of all rows of input with all rows of other."""
    if input.ndim == 0 or other.ndim == 0:
        return input * other
    return tensordot(input, other, ([-1], [-1]))


@composite(ref=np.outer, samples=[call(array(3), array(4))], also="ger")
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """All products of the elements of two vectors.  (n,), (m,) -> (n, m)"""
    expect("outer", (input, 1), (vec2, 1))
    return input.unsqueeze(1) * vec2


@composite(
    autocast="lower",
    ref=lambda x, a, b, beta=1, alpha=1: beta * x + alpha * (a @ b),
    samples=[
        call(array(3, 2), array(3, 4), array(4, 2)),
        call(array(2), array(3, 4), array(4, 2), beta=2, alpha=3),
    ],
    in_place=True,
)
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * mat1 @ mat2"""
    return added("addmm", input, mm(widened(mat1), widened(mat2)), mat1.dtype, beta, alpha)


@composite(
    ref=lambda x, a, b, beta=1, alpha=1: beta * x + alpha * (a @ b),
    samples=[call(array(3), array(3, 4), array(4), beta=2)],
    in_place=True,
)
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * mat @ vec"""
    beta, alpha = held(beta, mat.dtype), held(alpha, mat.dtype)
    return added("addmv", input, mv(widened(mat), widened(vec)), mat.dtype, beta, alpha)


@composite(
    autocast="lower",
    ref=lambda x, a, b, beta=1, alpha=1: beta * x + alpha * (a @ b),
    samples=[call(array(2, 3, 2), array(2, 3, 4), array(2, 4, 2), beta=2)],
    in_place=True,
)
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * batch1 @ batch2, for batches of matrices"""
    return added("baddbmm", input, bmm(widened(batch1), widened(batch2)), batch1.dtype, beta, alpha)


@composite(
    autocast="lower",
    ref=lambda x, a, b, beta=1, alpha=1: beta * x + alpha * np.sum(a @ b, 0),
    samples=[
        call(array(3, 2), array(2, 3, 4), array(2, 4, 2), beta=2),
        call(array(2), array(0, 3, 4), array(0, 4, 2)),
    ],
    in_place=True,
)
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * the sum over i of batch1[i] @ batch2[i]"""
    expect("addbmm", (batch1, 3), (batch2, 3))
    if batch1.shape[0] != batch2.shape[0] or batch1.shape[2] != batch2.shape[1]:
        raise ShapeError(f"[addbmm] {tuple(batch1.shape)} and {tuple(batch2.shape)} do not fit")
    product = sum(matmul(widened(batch1), widened(batch2)), 0, dtype=widened(batch1).dtype)
    return added("addbmm", input, product, batch1.dtype, beta, alpha)


@composite(
    ref=lambda x, a, b, beta=1, alpha=1: beta * x + alpha * np.outer(a, b),
    samples=[call(array(3, 2), array(3), array(2), beta=2, alpha=0.5)],
    in_place=True,
)
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * outer(vec1, vec2)"""
    expect("addr", (vec1, 1), (vec2, 1))
    for factor in (beta, alpha):
        if isinstance(factor, float) and not (input.is_floating_point() or input.dtype.is_complex):
            raise TypeError(f"[addr] expected integers as beta and alpha of integers, got {factor}")
    beta, alpha = held(beta, input.dtype), held(alpha, input.dtype)
    left = vec1 if alpha in (True, 1) else vec1 * alpha
    return added("addr", input, outer(left, vec2), vec1.dtype, beta, 1)


def widened(x: Tensor) -> Tensor:
    """16-bit floats as float32, so that a sum of products is rounded once."""
    return x.float() if x.dtype.is_floating_point and x.dtype.itemsize < 4 else x


def held(number: float, dtype: Any) -> Any:
    """The number as that dtype holds it: cut to an integer, rounded to 16 bits."""
    if not (dtype.is_floating_point or dtype.is_complex):
        return bool(number) if dtype.itemsize == 1 and dtype.name == "bool" else int(number)
    return full((), number, dtype=dtype).item() if dtype.itemsize < 4 else number


def added(name: str, input: Tensor, product: Tensor, dtype: Any, beta: float, alpha: float) -> Tensor:
    """beta * input + alpha * product, rounded to dtype; with beta 0 input is not looked at."""
    if input.dtype is not dtype:
        raise DTypeError(f"[{name}] expected one dtype, got {input.dtype.name} and {dtype.name}")
    shape = product.shape
    if input.shape != shape and broadcast_shapes(input.shape, shape) != shape:
        raise ShapeError(f"[{name}] {tuple(input.shape)} does not broadcast to {tuple(shape)}")
    if not (dtype.is_floating_point or dtype.is_complex):
        beta, alpha = held(beta, dtype), held(alpha, dtype)
    product, input = product if alpha == 1 else product * alpha, input.to(product.dtype)
    if beta != 0:
        product = (input if beta == 1 else input * beta) + product
    elif input.requires_grad:
        product = product + input * 0
    return product.to(dtype)


def linear_composite(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if weight.ndim == 2:
        weight = weight.transpose(0, 1)
    product: Tensor = matmul(input, weight)
    return product if bias is None else product + bias


linear = primitive(
    "linear",
    "input, weight, bias: tensor? = None",
    "input @ weight.T + bias over the last axis.  weight: (out, in) or (in,); bias: (out,)",
    autocast="lower",
    definition=linear_composite,
    ref=lambda x, w, b=None: x @ w.T if b is None else x @ w.T + b,
    samples=[
        call(array(3, 4), array(5, 4)),
        call(array(2, 3, 4), array(5, 4), array(5)),
        call(array(4), array(5, 4)),
    ],
    places="nn.functional",
    onnx="Gemm",
    stablehlo="dot_general",
)


@composite(
    ref=lambda a, b, w, bias=None: np.einsum("ni,oij,nj->no", a, w, b) + (0 if bias is None else bias),
    samples=[call(array(3, 2), array(3, 4), array(5, 2, 4), array(5))],
    places="nn.functional",
)
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """sum over i, j of input1[i] * weight[o, i, j] * input2[j] + bias.  weight: (out, in1, in2)"""
    product = einsum("...i,oij,...j->...o", input1, weight, input2)
    return product if bias is None else product + bias


# --- contractions -----------------------------------------------------------------------------------------


@composite(
    ref=lambda a, b, dims=2: np.tensordot(a, b, dims),
    samples=[
        call(array(2, 3, 4), array(3, 4, 5)),
        call(array(2, 3), array(3, 2), ([0], [1])),
        call(array(2), array(3), 0),
    ],
    places="versant",
)
def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """The sum of products over pairs of axes: the last `dims` of a and first of b, or two lists of axes."""
    if isinstance(dims, int):
        of_a, of_b = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        of_a, of_b = [d % a.ndim for d in dims[0]], [d % b.ndim for d in dims[1]]
    for d, e in zip(of_a, of_b, strict=False):  # an axis of size 1 meets the sum of the other's
        if a.shape[d] == 1 and b.shape[e] != 1:
            b = sum(b, e, True, dtype=b.dtype)
        elif b.shape[e] == 1 and a.shape[d] != 1:
            a = sum(a, d, True, dtype=a.dtype)
    if [a.shape[d] for d in of_a] != [b.shape[d] for d in of_b]:
        raise ShapeError(
            f"[tensordot] axes {of_a} of {tuple(a.shape)} do not match {of_b} of {tuple(b.shape)}"
        )
    free_a = [d for d in range(a.ndim) if d not in of_a]
    free_b = [d for d in range(b.ndim) if d not in of_b]
    inner_size = math.prod(a.shape[d] for d in of_a)
    outer_size = math.prod(b.shape[d] for d in free_b)
    left = a.permute(*free_a, *of_a).reshape(*(a.shape[d] for d in free_a), inner_size)
    right = b.permute(*of_b, *free_b).reshape(inner_size, outer_size)
    product: Tensor = matmul(left, right)
    return product.reshape([a.shape[d] for d in free_a] + [b.shape[d] for d in free_b])


@composite(
    ref=np.einsum,
    samples=[
        call("ij,jk->ik", array(2, 3), array(3, 4)),
        call("ii->i", array(3, 3)),
        call("ij->", array(2, 3)),
        call("bij,bjk", array(2, 3, 4), array(2, 4, 2)),
        call("...i,...i->...", array(2, 3), array(3)),
        call("i,j,k->kji", array(2), array(3), array(4)),
        call("ij,ji,i->", array(2, 3), array(3, 2), array(2)),
    ],
    places="versant",
)
def einsum(equation: Any, *operands: Any) -> Tensor:
    """Einstein's sum: each operand's axes are letters; letters missing on the right are summed over.

    "..." stands for axes that broadcast. Without "->" the letters that occur once are kept, in order.
    einsum(a, [0, 1], b, [1, 2], [0, 2]) gives numbers instead of letters, after each operand.
    """
    if not isinstance(equation, str):
        from versant.ops.einsum import lettered

        equation, operands = lettered((equation, *operands))
    tensors: list[Tensor] = (
        list(operands[0]) if len(operands) == 1 and not isinstance(operands[0], Tensor) else list(operands)
    )
    from versant.ops.einsum import contract

    return contract(equation, tensors)


@composite(ref=np.kron, samples=[call(array(2, 3), array(3, 2)), call(array(2), array(3))])
def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: every element of input times all of other, as blocks."""
    rank = max(input.ndim, other.ndim)
    a = [1] * (rank - input.ndim) + list(input.shape)
    b = [1] * (rank - other.ndim) + list(other.shape)
    spread = input.reshape([n for size in a for n in (size, 1)])
    blocks = other.reshape([n for size in b for n in (1, size)])
    return (spread * blocks).reshape([m * n for m, n in zip(a, b, strict=True)])


@composite(autocast="float32", ref=np.trace, samples=[call(array(3, 3)), call(array(2, 4))])
def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix."""
    expect("trace", (input, 2))
    return sum(input.diagonal())


def cross_reference(a: Any, b: Any, dim: int | None = None) -> Any:
    return np.cross(a, b, axis=a.shape.index(3) if dim is None else dim)


@composite(
    ref=cross_reference,
    samples=[
        call(array(4, 3), array(4, 3)),
        call(array(3, 2), array(3, 2)),
        call(array(3, 3), array(3, 3), dim=-1),
    ],
)
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The cross product along an axis of size 3, by default the first such one."""
    if dim is None:
        if 3 not in input.shape:
            raise ShapeError(f"[cross] expected an axis of size 3, got shape {tuple(input.shape)}")
        dim = list(input.shape).index(3)
    result: Tensor = linalg_cross(input, other, dim=dim)
    return result


@composite(
    name="linalg.cross",
    ref=lambda a, b, dim=-1: np.cross(a, b, axis=dim),
    samples=[call(array(4, 3), array(4, 3)), call(array(3, 2), array(3, 2), dim=0)],
    places="linalg",
)
def linalg_cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The cross product along an axis of size 3."""
    if input.ndim != other.ndim:
        raise ShapeError(
            f"[cross] expected as many dimensions on both sides, got shapes {tuple(input.shape)} "
            f"and {tuple(other.shape)}"
        )
    axis_of(input.ndim, dim, "cross")
    if input.shape[dim] != 3 or other.shape[dim] != 3:
        raise ShapeError(f"[cross] expected size 3 along {dim}: {tuple(input.shape)}, {tuple(other.shape)}")
    a, b = input.roll(-1, dim) * other.roll(1, dim), input.roll(1, dim) * other.roll(-1, dim)
    return a - b
