"""`versant.func` against `torch.func`, on the samples that PyTorch tests itself with.

The function of a sample is the op by all its floating-point tensors; other arguments stay. PyTorch is asked
for the same transform; where it has no rule for an op, two samples are done one after the other (vmap), or
the reverse derivative's own derivative is taken (forward mode).
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from oracle.bridge import DTYPES, Bridge, Untranslatable, difference
from oracle.functions import Comparison, NotComparable, drawn, ours, reference, samples, tensors, title
from torch.testing._internal.opinfo.core import OpInfo, SampleInput

import versant as vs

SAMPLES = 8  # of an op, taken evenly from all
DTYPE = torch.float64
# What vmap of either side refuses: sizes and Python values that differ between samples.
REFUSALS = ("dynamic shape", "data-dependent", "to mutate its arguments")


class Case:
    """A sample as a function of its floating-point tensors, on both sides."""

    def __init__(self, op: OpInfo, sample: SampleInput) -> None:
        self.op, self.sample, self.bridge = op, sample, Bridge()
        whole = [sample.input, sample.args, sample.kwargs]
        found = {id(t): t for t in tensors(whole, torch.Tensor) if t.dtype.is_floating_point}
        self.leaves = list(found.values())
        if not self.leaves or drawn(op, sample):
            raise NotComparable

    def theirs(self, *values: torch.Tensor) -> Any:
        return self.call(
            self.op.op,
            torch.Tensor,
            {id(a): b for a, b in zip(self.leaves, values, strict=True)},
            lambda t: t,
        )

    def ours(self, *values: vs.Tensor) -> Any:
        places = {id(a): b for a, b in zip(self.leaves, values, strict=True)}
        return self.call(ours(self.op), vs.Tensor, places, self.bridge.value)

    def call(
        self, function: Callable[..., Any], kind: type, places: dict[int, Any], other: Callable[[Any], Any]
    ) -> Any:
        def put(value: Any) -> Any:
            if isinstance(value, torch.Tensor):
                return places[id(value)] if id(value) in places else other(value)
            if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
                return type(value)(put(item) for item in value)
            if isinstance(value, dict):
                return {key: put(item) for key, item in value.items()}
            return other(value)

        run = self.op.gradcheck_wrapper
        result = run(function, put(self.sample.input), *put(self.sample.args), **put(self.sample.kwargs))
        result = self.sample.output_process_fn_grad(result)
        return tuple(tensors(result, kind))

    def points(self) -> list[torch.Tensor]:
        return [leaf.detach() for leaf in self.leaves]

    def differentiable(self) -> "Case":
        """The same, of the results that have derivatives."""
        whole = self.theirs(*self.points())
        kept = [i for i, y in enumerate(whole) if y.dtype.is_floating_point or y.dtype.is_complex]
        if not kept:
            raise NotComparable
        theirs, mine = self.theirs, self.ours
        self.theirs = lambda *v: tuple(theirs(*v)[i] for i in kept)  # type: ignore[method-assign]
        self.ours = lambda *v: tuple(mine(*v)[i] for i in kept)  # type: ignore[method-assign]
        return self


def directions(like: Any, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(t.shape, dtype=t.dtype, generator=generator) for t in like]


def two_of(points: list[torch.Tensor]) -> list[torch.Tensor]:
    """Two samples: the point, and one near it in the same domain."""
    return [torch.stack([x, 0.9 * x]) for x in points]


def one_by_one(function: Callable[..., Any], *batches: torch.Tensor) -> Any:
    parts = [function(*(x[i] for x in batches)) for i in range(len(batches[0]))]
    return tuple(torch.stack(list(group)) for group in zip(*parts, strict=True))


def vmap(case: Case) -> Any:
    batches = two_of(case.points())

    def theirs() -> Any:
        try:
            return torch.func.vmap(case.theirs)(*batches)
        except Exception as error:
            if any(word in str(error) for word in REFUSALS):
                raise
            return one_by_one(case.theirs, *batches)

    return theirs, lambda: vs.func.vmap(case.ours)(*map(case.bridge.tensor, batches))


def jvp(case: Case) -> Any:
    case.differentiable()
    points = case.points()
    along = directions(points, 1)

    def theirs() -> Any:
        try:
            return torch.func.jvp(case.theirs, tuple(points), tuple(along))[1]
        except Exception:
            return torch.autograd.functional.jvp(case.theirs, tuple(points), tuple(along))[1]

    return theirs, lambda: vs.func.jvp(
        case.ours, tuple(map(case.bridge.tensor, points)), tuple(map(case.bridge.tensor, along))
    )[1]


def vjp(case: Case) -> Any:
    case.differentiable()
    points = case.points()
    weights = directions(reference(case.theirs, *points), 2)

    def mine() -> Any:
        _, back = vs.func.vjp(case.ours, *map(case.bridge.tensor, points))
        return back(tuple(map(case.bridge.tensor, weights)))

    return lambda: torch.func.vjp(case.theirs, *points)[1](tuple(weights)), mine


def vmap_of_vjp(case: Case) -> Any:
    """Rows of a Jacobian: two cotangents at one point, and gradients of two samples."""
    case.differentiable()
    points = case.points()
    weights = [torch.stack([w, -0.5 * w]) for w in directions(reference(case.theirs, *points), 3)]
    batches = two_of(points)

    def each(library: Any, function: Callable[..., Any], points: Any, batches: Any, weights: Any) -> Any:
        back = library.func.vjp(function, *points)[1]
        rows = library.func.vmap(lambda *w: back(w))(*weights)
        n = len(batches)

        def gradient(*values: Any) -> Any:
            return library.func.vjp(function, *values[:n])[1](values[n:])

        return (*rows, *library.func.vmap(gradient)(*batches, *weights))

    def theirs() -> Any:
        try:
            return each(torch, case.theirs, points, batches, weights)
        except Exception:
            back = torch.func.vjp(case.theirs, *points)[1]
            rows = one_by_one(lambda *w: back(w), *weights)
            n = len(batches)
            return (
                *rows,
                *one_by_one(lambda *v: torch.func.vjp(case.theirs, *v[:n])[1](v[n:]), *batches, *weights),
            )

    tensor = case.bridge.tensor
    return theirs, lambda: each(
        vs, case.ours, list(map(tensor, points)), list(map(tensor, batches)), list(map(tensor, weights))
    )


def vmap_of_jvp(case: Case) -> Any:
    case.differentiable()
    batches, along = two_of(case.points()), two_of(directions(case.points(), 4))
    n = len(batches)

    def each(library: Any, function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *values: library.func.jvp(function, values[:n], values[n:])[1]

    def theirs() -> Any:
        try:
            return torch.func.vmap(each(torch, case.theirs))(*batches, *along)
        except Exception:
            return one_by_one(
                lambda *v: torch.autograd.functional.jvp(case.theirs, v[:n], v[n:])[1], *batches, *along
            )

    return theirs, lambda: vs.func.vmap(each(vs, case.ours))(*map(case.bridge.tensor, [*batches, *along]))


def jvp_of_vjp(case: Case) -> Any:
    """Forward over reverse, as in Hessians."""
    if not case.op.supports_gradgrad:
        raise NotComparable
    case.differentiable()
    points = case.points()
    weights = directions(reference(case.theirs, *points), 5)
    start, along = (*points, *weights), tuple(directions([*points, *weights], 6))
    n = len(points)

    def each(library: Any, function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *values: library.func.vjp(function, *values[:n])[1](values[n:])

    def theirs() -> Any:
        try:
            return torch.func.jvp(each(torch, case.theirs), start, along)[1]
        except Exception:
            return torch.autograd.functional.jvp(each(torch, case.theirs), start, along)[1]

    tensor = case.bridge.tensor
    return theirs, lambda: vs.func.jvp(
        each(vs, case.ours), tuple(map(tensor, start)), tuple(map(tensor, along))
    )[1]


CHECKS: dict[str, Callable[[Case], Any]] = {
    "vmap": vmap,
    "jvp": jvp,
    "vjp": vjp,
    "vmap of vjp": vmap_of_vjp,
    "vmap of jvp": vmap_of_jvp,
    "jvp of vjp": jvp_of_vjp,
}


def applies(op: OpInfo, check: str) -> bool:
    if DTYPE not in DTYPES or DTYPE not in op.supported_dtypes("cpu"):
        return False
    return check == "vmap" or (op.supports_autograd and DTYPE in op.supported_backward_dtypes("cpu"))


def compare(op: OpInfo, check: str) -> Comparison:
    failures = []
    compared = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = samples(op, DTYPE, False)
        for i, sample in enumerate(found[:: max(1, len(found) // SAMPLES)]):
            try:
                case = Case(op, sample)
                reference(case.theirs, *case.points())
                theirs, mine = CHECKS[check](case)
                expected = reference(theirs)
            except (NotComparable, Untranslatable):
                continue
            try:
                text = difference(list(mine()), list(expected), scale=10.0)
            except Exception as error:
                text = f"{type(error).__name__}: {error}"
            compared += 1
            if text:
                failures.append(f"sample {i}: {text}"[:400])
    return Comparison(title(op), check, "float64", compared, tuple(failures))
