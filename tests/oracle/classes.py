"""Modules and optimizers against PyTorch's own, on the arguments that PyTorch tests itself with."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch
from oracle import schedulers as schedules
from oracle.bridge import Bridge, Untranslatable, difference, to_versant
from oracle.functions import Comparison, NotComparable, differentiable, reference
from torch.testing._internal.common_modules import ModuleInfo, ModuleInput, module_db
from torch.testing._internal.common_optimizers import OptimizerInfo, optim_db

import versant as vs

STEPS = 6

# Drawn values: only shapes are compared.
DRAWN = {"FractionalMaxPool2d", "FractionalMaxPool3d"}


def ours(name: str) -> Any:
    found: Any = vs
    for part in name.split("."):
        found = getattr(found, part)
    return found


def module_entries(name: str) -> list[ModuleInfo]:
    return [entry for entry in module_db if entry.name == f"nn.{name}"]


def optimizer_entries(name: str) -> list[OptimizerInfo]:
    return [entry for entry in optim_db if entry.optim_cls.__name__ == name]


def counted(name: str, check: str, cases: list[Any], compare: Callable[[Any], str | None]) -> Comparison:
    failures, compared = [], 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, case in enumerate(cases):
            try:
                text = compare(case)
            except (Untranslatable, NotComparable):
                continue
            except Exception as error:
                text = f"{type(error).__name__}: {error}"
            compared += 1
            if text:
                failures.append(f"case {i}: {text}"[:400])
    return Comparison(name, check, "float64", compared, tuple(failures))


def modules(name: str, check: str) -> Comparison:
    cases = []
    for entry in module_entries(name):
        for training in (True, False):
            inputs = entry.module_inputs_func(
                entry, device="cpu", dtype=torch.float64, requires_grad=True, training=training
            )
            cases += [(entry, case, training) for case in inputs if case.forward_input is not None]
    compare = {"module": module_agrees, "module text": module_text}[check]
    return counted(f"nn.{name}", check, cases, compare)


def built(entry: ModuleInfo, case: ModuleInput, training: bool) -> tuple[torch.nn.Module, Any]:
    """The module of PyTorch, and ours with its weights."""
    args, kwargs = case.constructor_input.args, case.constructor_input.kwargs
    torch.manual_seed(0)
    theirs = reference(entry.module_cls, *args, **kwargs).double().train(training)
    bridge = Bridge()
    mine = ours(entry.name)(*bridge.value(args), **bridge.value(kwargs)).double().train(training)
    state = {key: to_versant(value) for key, value in theirs.state_dict().items()}
    mine.load_state_dict(state)
    return theirs, mine


def module_text(case: tuple[ModuleInfo, ModuleInput, bool]) -> str | None:
    theirs, mine = built(*case)
    return None if repr(mine) == repr(theirs) else f"prints as {mine!r}, not {theirs!r}"


def module_agrees(case: tuple[ModuleInfo, ModuleInput, bool]) -> str | None:
    """Outputs, gradients of inputs and parameters, and buffers after the call."""
    entry, module_case, _ = case
    theirs, mine = built(*case)
    inputs, named = module_case.forward_input.args, module_case.forward_input.kwargs
    bridge = Bridge()
    our_inputs, our_named = bridge.value(inputs), bridge.value(named)
    vs.manual_seed(0)
    expected = reference(theirs, *inputs, **named)
    result = mine(*our_inputs, **our_named)
    if entry.name.removeprefix("nn.") in DRAWN:
        pairs = zip(result, expected, strict=True) if isinstance(expected, tuple) else [(result, expected)]
        wrong = [tuple(a.shape) for a, b in pairs if tuple(a.shape) != tuple(b.shape)]
        return f"results have shapes {wrong}" if wrong else None
    if text := difference(result, expected):
        return text
    if text := difference(dict(mine.named_buffers()), dict(theirs.named_buffers()), "buffers"):
        return text
    outputs, our_outputs = differentiable(expected, torch.Tensor), differentiable(result, vs.Tensor)
    leaves = [*differentiable([inputs, named], torch.Tensor), *theirs.parameters()]
    our_leaves = [bridge.tensor(leaf) for leaf in differentiable([inputs, named], torch.Tensor)]
    our_leaves += list(mine.parameters())
    if not outputs or not leaves:
        return None
    weights = [torch.randn_like(y) for y in outputs]
    grads = torch.autograd.grad(outputs, leaves, weights, allow_unused=True)
    our_weights = [to_versant(w) for w in weights]
    our_grads = vs.autograd.grad(our_outputs, our_leaves, our_weights, allow_unused=True)
    pairs = [(a, b) for a, b in zip(our_grads, grads, strict=True) if a is not None or b is not None]
    if any(a is None for a, b in pairs if b is not None and b.count_nonzero()):
        return "a gradient is missing"
    pairs = [(a, b) for a, b in pairs if a is not None and b is not None]
    return difference([a for a, _ in pairs], [b for _, b in pairs], "gradient", scale=10.0)


def optimizers(name: str) -> Comparison:
    cases = []
    for entry in optimizer_entries(name):
        inputs = entry.optim_inputs_func(device="cpu", dtype=torch.float64)
        cases += [(entry, case.kwargs) for case in inputs]
    return counted(f"optim.{name}", "optimizer", cases, optimizer_agrees)


def schedulers(name: str) -> Comparison:
    cases = [(kind, make) for make in schedules.CASES[name] for kind in ("SGD", "Adam")]
    return counted(f"optim.lr_scheduler.{name}", "schedule", cases, schedules.agrees)


def optimizer_agrees(case: tuple[OptimizerInfo, dict[str, Any]]) -> str | None:
    """Parameters after some steps on a small fit, with the state saved and loaded in the middle."""
    entry, kwargs = case
    skipped = {"foreach", "fused", "capturable", "differentiable"}
    kwargs = {key: value for key, value in kwargs.items() if key not in skipped}
    torch.manual_seed(0)
    start = [torch.randn(4, 3, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)]
    x, y = torch.randn(6, 4, dtype=torch.float64), torch.randn(6, 5, dtype=torch.float64)
    theirs = [p.clone().requires_grad_() for p in start]
    mine = [to_versant(p).requires_grad_() for p in start]
    optimizer = reference(entry.optim_cls, theirs, **copy.deepcopy(kwargs))
    own_class = getattr(vs.optim, entry.optim_cls.__name__)
    own = own_class(mine, **Bridge().value(copy.deepcopy(kwargs)))

    def closure(params: list[Any], a: Any, b: Any, of: Any) -> Callable[[], Any]:
        def run() -> Any:
            of.zero_grad()
            loss = ((a @ params[0]).tanh() @ params[1] - b).square().mean()
            loss.backward()
            return loss

        return run

    for step in range(STEPS):
        if step == STEPS // 2:
            state = own.state_dict()
            own = own_class(mine, **Bridge().value(copy.deepcopy(kwargs)))
            own.load_state_dict(state)
        loss = optimizer.step(closure(theirs, x, y, optimizer))
        own_loss = own.step(closure(mine, to_versant(x), to_versant(y), own))
        if text := difference([own_loss, *mine], [loss, *theirs], f"step {step}"):
            return text
    return None
