"""Families of ops are opened by the first use of a name in them; each opens by itself."""

import subprocess
import sys
from math import exp, pi, sqrt

import pytest

from versant import ops
from versant.ops.index import INDEX


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("family", ops.FAMILIES)
def test_a_family_opens_first_in_a_process(family: str) -> None:
    run(f"import versant; versant.ops.{family}")


def test_import_opens_no_family() -> None:
    opened = run(
        "import sys, versant; print(sorted(m for m in sys.modules if m.startswith('versant.ops.')))"
    ).strip()
    assert opened == "['versant.ops.index', 'versant.ops.install']"


@pytest.mark.parametrize(
    "use",
    [
        "vs.add(x, x)",
        "x + x",
        "2.0 ** x",
        "x @ x",
        "-x",
        "x > 0",
        "x.add(x)",
        "vs.Tensor.add(x, x)",
        "x.add_(x)",
        "vs.nn.functional.relu(x)",
        "vs.special.erf(x)",
        "vs.linalg.norm(x)",
        "vs.fft.fft(x)",
        "x.T",
        "getattr(x, 'softmax')(0)",
        "__import__('pickle').loads(__import__('pickle').dumps(vs.tanh))(x)",
    ],
)
def test_the_first_use_opens_it(use: str) -> None:
    run(f"import versant as vs; x = vs.tensor([1.0, 2.0]); {use}")


def test_operators_in_place_open_it() -> None:
    assert (
        run("import versant as vs; x = vs.tensor([1.0, 2.0]); y = x; x += 1; print(y.tolist())")
        == "[2.0, 3.0]\n"
    )


def test_a_method_of_a_subclass_reaches_the_one_that_is_not_open() -> None:
    code = (
        "import versant as vs\n"
        "class Loud(vs.Tensor):\n"
        "    def exp(self): print('exp'); return super().exp()\n"
        "vs.Tensor._make_subclass(Loud, vs.tensor([0.0]), False).exp()"
    )
    assert run(code) == "exp\n"


def test_names_are_listed_before_their_families_are_opened() -> None:
    code = (
        "import versant as vs\n"
        "print('matmul' in dir(vs), 'matmul' in dir(vs.Tensor), 'relu' in dir(vs.nn.functional))\n"
        "print('nn' in dir(vs), 'save' in dir(vs))\n"
        "print(hasattr(vs, 'matmul'), hasattr(vs, 'no_such_op'), hasattr(vs.Tensor, 'no_such_op'))"
    )
    assert run(code) == "True True True\nTrue True\nTrue False False\n"


@pytest.mark.parametrize(
    "call",
    [
        "F.conv2d(x.view(1, 1, 2, 2), x.view(1, 1, 2, 2))",
        "F.layer_norm(x, [4])",
        "F.batch_norm(x.view(2, 2), None, None, training=True)",
        "F.softmax(x, 0)",
        "F.cross_entropy(x.view(1, 4), vs.tensor([1]))",
        "x.view(2, 2) @ x.view(2, 2)",
        "x.masked_fill(x > 0, 1.0)",
        "vs.view_as_complex(x.view(2, 2)).abs()",
        "x[vs.tensor([0, 0, 1])]",
        "x.cumsum(0)",
        "x.prod()",
        "F.max_pool1d(x.view(1, 1, 4), 2)",
        "F.scaled_dot_product_attention(*[x.view(1, 1, 2, 2)] * 3)",
    ],
)
def test_second_derivatives_open_what_the_machine_names(call: str) -> None:
    run(
        "import versant as vs\n"
        "F = vs.nn.functional\n"
        "x = vs.tensor([0.5, -0.2, 0.1, 0.7], requires_grad=True)\n"
        f"(first,) = vs.autograd.grad({call}, x, vs.ones_like({call}), create_graph=True)\n"
        "if first.requires_grad: vs.autograd.grad(first, x, vs.ones_like(first), allow_unused=True)"
    )


def test_convolutions_of_complex_tensors_open_what_they_are_made_of() -> None:
    run(
        "import versant as vs\n"
        "x = vs.ones(1, 1, 3, 3).to(vs.complex64)\n"
        "assert vs.nn.functional.conv2d(x, x).item() == 9"
    )


def test_gradients_open_what_their_formulas_need() -> None:
    code = (
        "import versant as vs\n"
        "x = vs.tensor([0.5], requires_grad=True)\n"
        "(first,) = vs.autograd.grad(vs.nn.functional.gelu(x), x, create_graph=True)\n"
        "print(vs.autograd.grad(first, x)[0].item())"
    )
    assert float(run(code)) == pytest.approx((2 - 0.25) * exp(-0.125) / sqrt(2 * pi), rel=1e-5)


@pytest.mark.parametrize("place", [*INDEX])
def test_the_index_names_families(place: str) -> None:
    assert {*INDEX[place].values()} <= {*ops.FAMILIES}
