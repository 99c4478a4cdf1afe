"""nan_guard names the op, the module and the line of what gives NaN, eager and compiled."""

import re
from typing import Any

import pytest
from debug import planted

import versant as vs
from versant import nn
from versant.debug import NonFiniteError, nan_guard

F = nn.functional


def training(case: planted.Planted) -> tuple[planted.Net, Any]:
    vs.manual_seed(0)
    net = planted.Net(case.forward)
    optimizer = vs.optim.AdamW(net.parameters(), lr=1e-3)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = net(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    return net, step


def caught(net: planted.Net, step: Any, x: Any) -> NonFiniteError:
    with nan_guard():
        for _ in range(3):
            step(x)
        net.blocks[1].bad.fill_(1)
        with pytest.raises(NonFiniteError) as caught:
            step(x)
    return caught.value


@pytest.mark.parametrize("case", planted.CASES, ids=lambda case: case.name)
def test_a_planted_nan_is_reported_eager_and_compiled(case):
    x = vs.randn(8, 4)
    net, step = training(case)
    error = caught(net, step, x)
    found = (error.op, error.kind, error.back, error.module, error.line.rpartition("/")[2])
    assert found == (case.op, case.kind, case.back, case.module, case.line)

    net, step = training(case)
    compiled = vs.compile(step)
    again = caught(net, compiled, x)
    assert compiled.stats()["replays"] >= 1
    assert without_call(str(again)) == without_call(str(error))


def without_call(message: str) -> str:
    return re.sub(r"backward: \S+", "", message)


# In the update of parameters, in larger programs, and what is no fault.


def updates() -> list[Any]:
    """(name, optimizer of parameters, what plants a NaN in its state, the op that is reported)"""

    def buffer(name):
        return lambda optimizer, p: optimizer.state[p][name].fill_(float("nan"))

    return [
        ("adamw", lambda ps: vs.optim.AdamW(ps, lr=1e-3), buffer("exp_avg"), "adam"),
        ("momentum", lambda ps: vs.optim.SGD(ps, lr=1e-3, momentum=0.9), buffer("momentum_buffer"), "sgd"),
        ("rmsprop", lambda ps: vs.optim.RMSprop(ps, lr=1e-3), buffer("square_avg"), "rmsprop"),
        ("adagrad", lambda ps: vs.optim.Adagrad(ps, lr=1e-3), buffer("sum"), "adagrad"),
    ]


def trained_by(optimizer, parameters) -> Any:
    def step(net, x):
        optimizer.zero_grad()
        loss = net(x).square().mean()
        loss.backward()
        optimizer.step()  # planted
        return loss

    return step


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("name", "make", "plant", "op"), updates(), ids=lambda value: str(value)[:20])
def test_an_optimizers_update_is_reported(name, make, plant, op, compiled):
    vs.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))
    optimizer = make(net.parameters())
    step = trained_by(optimizer, net)
    run = vs.compile(step) if compiled else step
    x = vs.randn(8, 4)
    with nan_guard():
        for _ in range(3):
            run(net, x)
        plant(optimizer, net[2].weight)
        with pytest.raises(NonFiniteError) as caught:
            run(net, x)
    error = caught.value
    assert op in error.op
    assert error.kind == "NaN"
    assert not error.back
    assert error.line.rpartition("/")[2] == planted.marked_line(trained_by)
    assert any(getattr(operand, "name", "").endswith("2.weight") for operand in error.operands)


@pytest.mark.parametrize("compiled", [False, True])
def test_an_update_that_is_written_as_ops_is_reported(compiled):
    vs.manual_seed(0)
    net = nn.Linear(4, 4)
    rate = vs.ones(())

    def step(x):
        net.zero_grad()
        loss = net(x).square().mean()
        loss.backward()
        with vs.no_grad():
            for p in net.parameters():
                p.sub_(0.1 * p.grad / rate)  # planted
        return loss

    run = vs.compile(step) if compiled else step
    with nan_guard():
        for _ in range(3):
            run(vs.ones(2, 4))
        rate.zero_()
        with pytest.raises(NonFiniteError) as caught:
            run(vs.ones(2, 4))
    assert caught.value.op == "div"
    assert caught.value.kind == "Inf"
    line = planted.marked_line(test_an_update_that_is_written_as_ops_is_reported)
    assert caught.value.line.rpartition("/")[2] == line


class Layer(nn.Module):
    """A block of a small GPT whose attention's temperature may be 0."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.heads = heads
        self.register_buffer("temperature", vs.ones(()))

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        q = q / self.temperature  # planted
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class GPT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(32, 16), nn.Embedding(8, 16)
        self.layers = nn.ModuleList([Layer(16, 2) for _ in range(3)])
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 32, bias=False)

    def forward(self, tokens):
        x = self.tokens(tokens) + self.positions.weight
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


@pytest.mark.parametrize("compiled", [False, True])
def test_the_300th_step_of_a_gpt_is_reported(compiled):
    vs.manual_seed(0)
    net = GPT()
    optimizer = vs.optim.AdamW(net.parameters(), lr=3e-4)

    def step(tokens, following):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(tokens).view(-1, 32), following.reshape(-1))
        loss.backward()
        optimizer.step()
        return loss

    run = vs.compile(step) if compiled else step
    text = vs.randint(0, 32, (4, 9))
    with nan_guard():
        for _ in range(299):
            run(text[:, :-1], text[:, 1:])
        net.layers[1].temperature.zero_()
        before = net.head.weight.detach().clone()
        with pytest.raises(NonFiniteError) as caught:
            run(text[:, :-1], text[:, 1:])
    error = caught.value
    assert (error.op, error.module) == ("div", "GPT.layers.1")
    assert error.line.rpartition("/")[2] == planted.marked_line(Layer.forward)
    assert error.operands[1].name == "GPT.layers.1.temperature"
    assert vs.equal(net.head.weight, before)


@pytest.mark.parametrize("compiled", [False, True])
def test_masks_of_infinity_are_no_fault(compiled):
    net = nn.Linear(4, 4)
    mask = vs.full((4, 4), float("-inf")).triu(1)

    def step(x):
        scores = net(x) @ x.T + mask
        weights = (scores.masked_fill(mask < 0, float("-inf")) * 0.5).softmax(-1)
        loss = (weights @ x).square().sum()
        loss.backward()
        return loss

    run = vs.compile(step) if compiled else step
    with nan_guard():
        for _ in range(4):
            run(vs.randn(4, 4))


@pytest.mark.parametrize("compiled", [False, True])
def test_what_a_row_chain_writes_over_is_looked_at(compiled):
    """The infinities of a product, which the next step of the chain turns into ones in the same memory."""
    vs.manual_seed(0)
    net = nn.Sequential(nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1))
    run = vs.compile(lambda x: net(x)) if compiled else net
    with vs.no_grad(), nan_guard():
        for _ in range(3):
            run(vs.ones(1024, 16))
        net[2].weight.fill_(3e38)
        net[0].weight.fill_(1)
        with pytest.raises(NonFiniteError) as caught:
            run(vs.ones(1024, 16))
    assert (caught.value.op, caught.value.kind, caught.value.module) == ("matmul", "Inf", "Sequential.2")


def test_inf_is_let_pass_where_it_is_asked_for():
    with nan_guard(inf=False):
        assert (vs.ones(2) / 0).isinf().all()
        with pytest.raises(NonFiniteError):
            vs.zeros(2) / 0


def test_a_guard_ends_with_its_block():
    with nan_guard():
        pass
    assert (vs.zeros(2) / 0).isnan().all()


@pytest.mark.parametrize("compiled", [False, True])
def test_a_guard_changes_no_bit(compiled):
    def trained(guarded: bool) -> Any:
        net, step = training(planted.CASES[0])
        run = vs.compile(step) if compiled else step
        x = vs.randn(8, 4)
        if guarded:
            with nan_guard():
                losses = [run(x).item() for _ in range(5)]
        else:
            losses = [run(x).item() for _ in range(5)]
        return losses, [p.detach().clone() for p in net.parameters()]

    (plain, before), (seen, after) = trained(False), trained(True)
    assert plain == seen
    assert all(vs.equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_debugger_stops_at_the_line(monkeypatch, capsys):
    commands = iter(["p x.tolist()", "p 'here', scale", "c"])
    monkeypatch.setattr("builtins.input", lambda prompt="": next(commands))
    monkeypatch.setattr("sys.stdin", None)

    @vs.compile
    def f(x, scale):
        return (x * scale).sqrt()

    f(vs.ones(2), 2.0)
    import pdb

    monkeypatch.setattr(pdb.Pdb, "use_rawinput", 1, raising=False)
    with nan_guard(pdb=True), pytest.raises(NonFiniteError):
        f(vs.tensor([-1.0, 4.0]), 2.0)
    shown = capsys.readouterr().out
    assert "[-1.0, 4.0]" in shown
    assert "('here', 2.0)" in shown


def test_each_branch_of_a_compiled_function_is_looked_at():
    scale = vs.ones(())

    @vs.compile
    def f(x):
        x = x * 2
        if x.sum() > 0:
            return (x * scale).sqrt().tanh()  # planted
        return (x * scale).exp().tanh()

    for _ in range(2):
        f(vs.ones(3))
        f(-vs.ones(3))
    scale.neg_()
    with nan_guard():
        f(-vs.ones(3))
        with pytest.raises(NonFiniteError) as caught:
            f(vs.ones(3))
    assert caught.value.op == "sqrt"
    assert caught.value.parts == ()


def test_a_saved_program_names_what_its_step_was_joined_from(tmp_path):
    f = vs.compile(lambda x: (x * 2).sqrt() + 1, name="f")
    f(vs.ones(3))
    f.save(tmp_path / "f")
    program = vs.load_program(tmp_path / "f")
    with nan_guard():
        program(vs.ones(3))
        with pytest.raises(NonFiniteError, match="gave NaN"):
            program(-vs.ones(3))


def test_a_way_back_through_a_compiled_function_is_looked_at():
    f = vs.compile(lambda x: x.sqrt().sum())
    x = vs.ones(3, requires_grad=True)
    for _ in range(2):
        f(x).backward()
    with vs.no_grad():
        x.zero_()
    with nan_guard(), pytest.raises(NonFiniteError, match=r"gradient of sqrt.* gave Inf"):
        f(x).backward()


# Large results are looked at by the loops that write them: wherever the element is, it is found.


def product_of(
    m: int, k: int, n: int, dtype: Any = vs.float32, turned: bool = False, bias: bool = False
) -> Any:
    a, b = vs.rand(m, k).to(dtype), vs.rand(n, k).T.to(dtype) if turned else vs.rand(k, n).to(dtype)
    if bias:
        return a, lambda x: F.linear(x, b.T, vs.ones(n, dtype=dtype))
    return a, lambda x: x @ b


def loop_over(shape: tuple[int, ...], function: Any, dtype: Any = vs.float32) -> Any:
    return vs.rand(*shape).to(dtype) + 1, function


LARGE = {
    "one tile of rows": lambda: product_of(13, 64, 300),
    "packed blocks": lambda: product_of(150, 70, 1030),
    "k in blocks": lambda: product_of(150, 700, 333),
    "few columns": lambda: product_of(4000, 40, 3),
    "few columns and a bias": lambda: product_of(4000, 40, 3, bias=True),
    "a bias": lambda: product_of(129, 40, 60, bias=True),
    "turned": lambda: product_of(129, 40, 61, turned=True),
    "float64": lambda: product_of(129, 40, 61, vs.float64),
    "bfloat16": lambda: product_of(129, 40, 61, vs.bfloat16),
    "float16": lambda: product_of(129, 40, 61, vs.float16),
    "complex": lambda: product_of(129, 40, 61, vs.complex64),
    "batches": lambda: (vs.rand(7, 33, 40), vs.rand(7, 40, 35).__rmatmul__),
    "elements": lambda: loop_over((9999,), lambda x: x * 2 + 1),
    "elements of float64": lambda: loop_over((9999,), lambda x: x * 2, vs.float64),
    "elements of bfloat16": lambda: loop_over((9999,), lambda x: x * 2, vs.bfloat16),
    "complex elements": lambda: loop_over((9999,), lambda x: x * 2, vs.complex64),
    "past the caches": lambda: loop_over((1 << 22,), lambda x: x * 2),
    "another order of axes": lambda: loop_over((40, 30, 20), lambda x: x.permute(2, 0, 1) * 2 + 1),
    "a row for all": lambda: loop_over((300, 77), lambda x: (x - x[3] * 0.5) * 2),
    "a sum in passing": lambda: loop_over((300, 77), lambda x: ((y := x * 2), y.sum())),
}


@pytest.mark.parametrize("case", LARGE)
@pytest.mark.parametrize("compiled", [False, True])
def test_a_nan_anywhere_in_a_large_result_is_found(case, compiled):
    vs.manual_seed(0)
    x, function = LARGE[case]()
    scale = vs.ones_like(x)
    run = vs.compile(lambda x: function(x * scale)) if compiled else function
    for _ in range(2):
        run(x)
    with nan_guard():
        run(x)
    flat = x.view(-1) if x.is_contiguous() else x
    for place in (0, 17, flat.numel() // 2 + 1, flat.numel() - 1):
        kept = flat[place].clone()
        flat[place] = float("nan")
        with nan_guard(), pytest.raises(NonFiniteError) as caught:
            run(x)
        assert caught.value.kind == "NaN"
        flat[place] = kept


def test_a_product_added_to_what_is_there_is_looked_at():
    weight = vs.rand(200, 300, requires_grad=True)
    x = vs.rand(150, 200)
    largest = vs.finfo(vs.float32).max
    with nan_guard():
        (x @ weight).backward(vs.ones(150, 300))
        (x @ weight).backward(vs.ones(150, 300))
    weight.grad[199, 299] = -largest
    with nan_guard(), pytest.raises(NonFiniteError, match="Inf"):
        (x @ weight).backward(vs.full((150, 300), -largest / 150 / x.mean().item()))
