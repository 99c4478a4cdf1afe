"""Every covered function against PyTorch's own, on the samples that PyTorch tests itself with."""

import functools
import types
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from oracle.bridge import DTYPES, Bridge, Untranslatable, difference
from oracle.judgement import nearer, specified
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.opinfo.core import OpInfo, SampleInput

import versant as vs

CHECKS = ("forward", "gradient", "double gradient", "method", "in-place", "out", "errors")
SAMPLES = 60  # of a check and dtype, taken evenly from all

# Their values are drawn; only dtype and shape are compared.
DRAWN = {
    "randn", "randn_like", "rand_like", "randint", "randint_like", "bernoulli", "multinomial", "normal",
    "empty", "empty_like", "nn.functional.dropout", "nn.functional.dropout2d", "nn.functional.alpha_dropout",
    "nn.functional.rrelu",
}  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """One function, one check, one dtype: what was compared and what differed.

    `nearer` counts the results outside of the tolerance that are at least as near to the double-precision
    result as PyTorch's; they are no failures.
    """

    op: str
    check: str
    dtype: str
    compared: int
    failures: tuple[str, ...]
    nearer: int = 0


def variants(name: str) -> list[OpInfo]:
    return [op for op in op_db if op.name == name]


def title(op: OpInfo) -> str:
    return f"{op.name}.{op.variant_test_name}" if op.variant_test_name else op.name


# --- finding ours -------------------------------------------------------------------------------------------


def ours(op: OpInfo) -> Callable[..., Any]:
    """Versant's function for the entry."""
    return translated(op.op, op.name)


def translated(call: Any, name: str) -> Callable[..., Any]:
    """The same expression over Versant where PyTorch's entry has one, else what bears the name."""
    if isinstance(call, functools.partial):
        return functools.partial(translated(call.func, name), *call.args, **call.keywords)
    if isinstance(call, types.FunctionType) and call.__name__ == "<lambda>":
        here = call.__globals__ | {"torch": vs, "wrapper_set_seed": seeded}
        return types.FunctionType(call.__code__, here, call.__name__, call.__defaults__, call.__closure__)
    return named(name)


def named(name: str) -> Callable[..., Any]:
    found: Any = vs
    try:
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError:
        if "." in name or not hasattr(vs.Tensor, name):
            raise
        found = None
    if callable(found):
        return found  # type: ignore[no-any-return]
    # A method alone; `float`, `long` and their like are dtypes in the namespace.
    return lambda x, *args, **kwargs: getattr(x, name)(*args, **kwargs)


def variant(call: Any, name: str) -> Callable[..., Any]:
    """The method of the same name, or what `translated` makes of an expression."""
    known = getattr(call, "__name__", "<lambda>")
    return translated(call, name) if known == "<lambda>" else getattr(vs.Tensor, known)  # type: ignore[no-any-return]


def seeded(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    vs.manual_seed(42)
    return function(*args, **kwargs)


def exists(name: str) -> bool:
    try:
        return all(callable(ours(op)) for op in variants(name)) and callable(named(name))
    except AttributeError:
        return False


# --- samples ------------------------------------------------------------------------------------------------


def samples(op: OpInfo, dtype: torch.dtype, requires_grad: bool) -> list[SampleInput]:
    torch.manual_seed(0)
    found = list(op.sample_inputs("cpu", dtype, requires_grad=requires_grad))
    step = max(1, len(found) // SAMPLES)
    return [sample.transform(leaf) for sample in found[::step]] if requires_grad else found[::step]


def leaf(value: Any) -> Any:
    """A leaf of its own for a slice of one, which PyTorch gives no gradient when it was made without."""
    if isinstance(value, torch.Tensor) and value.is_leaf and value.requires_grad and value._is_view():
        return value.detach().requires_grad_()
    return value


def dtypes(op: OpInfo, check: str) -> list[torch.dtype]:
    if check in ("gradient", "double gradient"):
        if not op.supports_autograd or (check == "double gradient" and not op.supports_gradgrad):
            return []
        wanted = [torch.float64, torch.complex128]
        return [d for d in wanted if d in DTYPES and d in op.supported_backward_dtypes("cpu")]
    supported = [d for d in DTYPES if d in op.supported_dtypes("cpu")]
    if check == "forward":
        return supported
    if check == "errors":
        return [torch.float32] if op.error_inputs_func is not None else []
    variant = {"method": op.method_variant, "in-place": op.inplace_variant, "out": op.supports_out or None}[
        check
    ]
    some = [d for d in (torch.float32, torch.int64, torch.bool, torch.complex64) if d in supported]
    return some[:2] if variant is not None else []


# --- the checks ---------------------------------------------------------------------------------------------


def compare(op: OpInfo, check: str, dtype: torch.dtype) -> Comparison:
    failures = []
    compared = better = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = op.error_inputs("cpu") if check == "errors" else samples(op, dtype, "gradient" in check)
        for i, case in enumerate(cases):
            try:
                text = CHECK[check](op, case)
            except Untranslatable:
                continue
            except NotComparable:
                continue
            except Nearer:
                text = None
                better += 1
            except Exception as error:
                text = f"{type(error).__name__}: {error}"
            compared += 1
            if text:
                failures.append(f"sample {i}: {text}"[:400])
    name = str(dtype).removeprefix("torch.")
    return Comparison(title(op), check, name, compared, tuple(failures), better)


class NotComparable(Exception):
    """PyTorch itself refuses the sample, or its value is drawn."""


class Nearer(Exception):
    """The results differ, and PyTorch's is further from the result in double precision."""


def reference(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        expected = call(*args, **kwargs)
    except Exception as error:
        raise NotComparable from error
    if any(t.dtype not in DTYPES for t in tensors(expected, torch.Tensor)):
        raise NotComparable  # float16 pairs as complex numbers
    return expected


def drawn(op: OpInfo, sample: SampleInput) -> bool:
    if op.name == "nn.functional.multi_head_attention_forward":
        return sample.args[9] > 0.0
    return op.name in DRAWN or sample.kwargs.get("dropout_p", 0.0) > 0.0


def shapes_only(op: OpInfo, sample: SampleInput, result: Any) -> Any:
    """What may be compared of a drawn result."""
    if drawn(op, sample) and isinstance(result, tuple):
        return [shapes_only(op, sample, part) for part in result]
    if not drawn(op, sample) or not hasattr(result, "shape"):
        return result
    return [tuple(result.shape), str(result.dtype).rpartition(".")[2]]


def judged(op: OpInfo, sample: SampleInput, result: Any, expected: Any) -> str | None:
    """In what the results differ, as far as PyTorch specifies them."""
    parts = (shapes_only(op, sample, specified(op, sample, each)) for each in (result, expected))
    text = difference(*parts)
    if text and nearer(op, sample, result, expected):
        raise Nearer
    return text


def forward(op: OpInfo, sample: SampleInput) -> str | None:
    bridge = Bridge()
    input, args, kwargs = bridge.value(sample.input), bridge.value(sample.args), bridge.value(sample.kwargs)
    expected = reference(op.op, sample.input, *sample.args, **sample.kwargs)
    result = ours(op)(input, *args, **kwargs)
    result, expected = sample.output_process_fn_grad(result), sample.output_process_fn_grad(expected)
    return judged(op, sample, result, expected)


def tensors(value: Any, kind: type) -> Iterator[Any]:
    """The tensors in a nested value that gradients flow through."""
    if isinstance(value, kind):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors(item, kind)
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors(item, kind)


def differentiable(value: Any, kind: type) -> list[Any]:
    return [t for t in tensors(value, kind) if t.requires_grad]


def gradient(op: OpInfo, sample: SampleInput, order: int = 1) -> str | None:
    if drawn(op, sample):
        raise NotComparable
    bridge = Bridge()
    input, args, kwargs = bridge.value(sample.input), bridge.value(sample.args), bridge.value(sample.kwargs)
    leaves = differentiable([sample.input, sample.args, sample.kwargs], torch.Tensor)
    our_leaves = [bridge.tensor(leaf) for leaf in leaves]
    if not leaves:
        raise NotComparable

    def run(call: Callable[..., Any], *values: Any, **named_values: Any) -> Any:
        return sample.output_process_fn_grad(op.gradcheck_wrapper(call, *values, **named_values))

    outputs = differentiable(reference(run, op.op, sample.input, *sample.args, **sample.kwargs), torch.Tensor)
    our_outputs = differentiable(run(ours(op), input, *args, **kwargs), vs.Tensor)
    if outputs and not our_outputs:  # PyTorch may refuse later, in backward
        reference(torch.autograd.grad, outputs, leaves, outputs, retain_graph=True, allow_unused=True)
    if len(outputs) != len(our_outputs):
        return f"{len(our_outputs)} differentiable outputs, not {len(outputs)}"
    if not outputs:
        raise NotComparable
    for round in range(order):
        torch.manual_seed(round)
        weights = [torch.randn_like(y) for y in outputs]
        our_weights = [bridge.tensor(w) for w in weights]
        flags = {"create_graph": round + 1 < order, "allow_unused": True}
        grads = reference(torch.autograd.grad, outputs, leaves, weights, **flags)
        our_grads = vs.autograd.grad(our_outputs, our_leaves, our_weights, **flags)
        # A gradient that is not connected may be None on one side and zeros on the other.
        pairs = [
            (a if a is not None else vs.zeros_like(leaf), b if b is not None else torch.zeros_like(other))
            for a, b, leaf, other in zip(our_grads, grads, our_leaves, leaves, strict=True)
        ]
        text = difference([a for a, _ in pairs], [b for _, b in pairs], f"gradient {round + 1}", scale=10.0)
        if text:
            return text
        # Of a gradient that does not depend on its leaves PyTorch may keep a graph that leads nowhere.
        both = [
            (a, b)
            for a, b in zip(our_grads, grads, strict=True)
            if b is not None
            and b.requires_grad
            and (reference(leads_somewhere, b, leaves) or (a is not None and a.requires_grad))
        ]
        if any(a is None or not a.requires_grad for a, _ in both):
            return "a gradient has no gradient of its own"
        our_outputs, outputs = [a for a, _ in both], [b for _, b in both]
        if not outputs:
            break
    return None


def leads_somewhere(gradient: torch.Tensor, leaves: list[torch.Tensor]) -> bool:
    ones = torch.ones_like(gradient)
    found = torch.autograd.grad(gradient, leaves, ones, retain_graph=True, allow_unused=True)
    return any(g is not None and bool(g.count_nonzero()) for g in found)


def method(op: OpInfo, sample: SampleInput) -> str | None:
    bridge = Bridge()
    input, args, kwargs = bridge.value(sample.input), bridge.value(sample.args), bridge.value(sample.kwargs)
    if not isinstance(sample.input, torch.Tensor):
        raise NotComparable
    expected = reference(op.method_variant, sample.input, *sample.args, **sample.kwargs)
    result = variant(op.method_variant, op.name)(input, *args, **kwargs)
    result, expected = sample.output_process_fn_grad(result), sample.output_process_fn_grad(expected)
    return judged(op, sample, result, expected)


def in_place(op: OpInfo, sample: SampleInput) -> str | None:
    bridge = Bridge()
    input, args, kwargs = bridge.value(sample.input), bridge.value(sample.args), bridge.value(sample.kwargs)
    if not isinstance(sample.input, torch.Tensor) or sample.broadcasts_input:
        raise NotComparable
    expected = reference(op.inplace_variant, sample.input.clone(), *sample.args, **sample.kwargs)
    changed = input.clone()
    result = variant(op.inplace_variant, op.name)(changed, *args, **kwargs)
    if result is not changed:
        return "the result is not the tensor that was changed"
    return judged(op, sample, result, expected)


def out(op: OpInfo, sample: SampleInput) -> str | None:
    bridge = Bridge()
    input, args, kwargs = bridge.value(sample.input), bridge.value(sample.args), bridge.value(sample.kwargs)
    expected = reference(op.op, sample.input, *sample.args, **sample.kwargs)
    if isinstance(expected, torch.Tensor):
        room: Any = vs.empty(expected.shape, dtype=DTYPES[expected.dtype])
    elif isinstance(expected, tuple) and all(isinstance(t, torch.Tensor) for t in expected):
        room = tuple(vs.empty(t.shape, dtype=DTYPES[t.dtype]) for t in expected)
    else:
        raise NotComparable
    ours(op)(input, *args, **kwargs, out=room)
    room, expected = sample.output_process_fn_grad(room), sample.output_process_fn_grad(expected)
    return judged(op, sample, room, expected)


def errors(op: OpInfo, case: Any) -> str | None:
    sample, bridge = case.sample_input, Bridge()
    try:
        input, args, kwargs = (
            bridge.value(sample.input),
            bridge.value(sample.args),
            bridge.value(sample.kwargs),
        )
    except ValueError:
        return None  # a tensor that Versant does not even make, of more than 64 axes
    try:
        op.op(sample.input, *sample.args, **sample.kwargs)
    except Exception:
        pass
    else:
        raise NotComparable  # an error that PyTorch raises on other devices only
    try:
        result = ours(op)(input, *args, **kwargs)
    except (ValueError, TypeError, RuntimeError, IndexError, NotImplementedError) as error:
        return None if error.args else f"{type(error).__name__} without a message"
    return f"gives {result!r:.80} where PyTorch raises {case.error_type.__name__}"


CHECK: dict[str, Callable[[OpInfo, Any], str | None]] = {
    "forward": forward,
    "gradient": gradient,
    "double gradient": lambda op, sample: gradient(op, sample, order=2),
    "method": method,
    "in-place": in_place,
    "out": out,
    "errors": errors,
}
