"""A whole step of torch as one compiled function: gradients are taken inside, the update is written out.

`torch.compile` breaks the graph at `backward()` and at an optimizer's methods. Here it gets a function that
has neither, so that one graph goes from the parameters to the parameters.
"""

from collections.abc import Callable, Sequence
from typing import Any

from .workload import Step

Loss = Callable[[], Any]  # of the parameters, which are updated in place


def compiled(torch: Any, step: Step) -> Step:
    """The step in one graph, an error where that is not possible; C++ calls its kernels, not Python."""
    torch.compiler.reset()  # of what earlier workloads left
    torch._dynamo.config.trace_autograd_ops = True  # torch.autograd.grad is part of the graph
    whole: Step = torch.compile(step, fullgraph=True, options={"cpp_wrapper": True})
    return whole


def sgd(torch: Any, loss: Loss, parameters: Sequence[Any], lr: float, momentum: float = 0.0) -> Step:
    velocities = [torch.zeros_like(p) for p in parameters] if momentum else []

    def step() -> Any:
        value = loss()
        gradients = torch.autograd.grad(value, parameters)
        with torch.no_grad():
            if momentum:
                for v, g in zip(velocities, gradients, strict=True):
                    v.mul_(momentum).add_(g)
            for p, g in zip(parameters, velocities or gradients, strict=True):
                p.sub_(lr * g)
        return value.detach()

    return compiled(torch, step)


def adam(torch: Any, loss: Loss, parameters: Sequence[Any], lr: float, weight_decay: float = 0.0) -> Step:
    """Adam; with weight_decay AdamW, which shrinks the parameters before the step."""
    means, squares = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    t = torch.zeros(())

    def step() -> Any:
        value = loss()
        gradients = torch.autograd.grad(value, parameters)
        with torch.no_grad():
            t.add_(1)
            first, second = 1 - 0.9**t, 1 - 0.999**t  # the corrections of the bias
            for p, m, v, g in zip(parameters, means, squares, gradients, strict=True):
                m.mul_(0.9).add_(g, alpha=0.1)
                v.mul_(0.999).addcmul_(g, g, value=0.001)
                p.mul_(1 - lr * weight_decay).sub_(lr * (m / first) / (torch.sqrt(v / second) + 1e-8))
        return value.detach()

    return compiled(torch, step)


def frozen(torch: Any, model: Any, x: Any) -> Step:
    """Inference by a model whose weights are constants of its graph: folded and packed in advance."""
    torch.compiler.reset()
    whole = torch.compile(model, fullgraph=True, options={"freezing": True})

    def step() -> Any:
        with torch.no_grad():
            return whole(x)

    return step
