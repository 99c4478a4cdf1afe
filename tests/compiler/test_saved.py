"""Saved programs give the bits of the function, keep its state, and say in words what they do not take."""

import json
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from compiler.saved_files import loaded, saved, section, with_section

import versant as vs
from versant import nn
from versant.compiler import CompileError
from versant.nn import functional as F

Pair = namedtuple("Pair", "left right")


@dataclass
class Split:
    head: Any
    tail: Any


def tensors(value: Any) -> list[vs.Tensor]:
    if isinstance(value, vs.Tensor):
        return [value]
    items = (
        list(value.values()) if isinstance(value, dict) else value if isinstance(value, list | tuple) else []
    )
    return [tensor for item in items for tensor in tensors(item)]


def bits(value: Any) -> list[tuple[Any, ...]]:
    return [(str(t.dtype), tuple(t.shape), repr(t.detach().tolist())) for t in tensors(value)]


def ints(*shape: int, high: int = 3) -> vs.Tensor:
    return vs.randint(0, high, shape)


def layer(module: nn.Module, *shapes: tuple[int, ...]) -> Any:
    return module.eval(), [vs.randn(*shape) for shape in shapes]


def attention(q: vs.Tensor, k: vs.Tensor, v: vs.Tensor) -> vs.Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def gradient(x: vs.Tensor) -> vs.Tensor:
    y = x.clone().requires_grad_()
    (found,) = vs.autograd.grad((y.sin() * y).sum(), [y])
    return found


# A name, a function and what it takes: one row for each kind of step that a file can hold.
FUNCTIONS: dict[str, Any] = {
    "elementwise": lambda: (lambda x, y: (x * y + 1).tanh() / y, [vs.randn(3, 4), vs.randn(4)]),
    "elementwise float64": lambda: (lambda x: x.exp().log1p(), [vs.randn(5, dtype=vs.float64)]),
    "elementwise int64": lambda: (lambda x: x // 3 + (x ^ 5), [ints(7, high=100)]),
    "bfloat16": lambda: (lambda x: (x * 3).relu() + 1, [vs.randn(9).to(vs.bfloat16)]),
    "comparison": lambda: (lambda x: vs.where(x > 0, x, -x), [vs.randn(6)]),
    "complex": lambda: (lambda x: x * x.conj() + 1j, [vs.randn(4, dtype=vs.complex64)]),
    "large total": lambda: (lambda x: (x * x).sum(), [vs.randn(200, 100)]),
    "matmul": lambda: (lambda a, b: a @ b, [vs.randn(2, 3, 4), vs.randn(4, 5)]),
    "matmul batched": lambda: (lambda a, b: a @ b.mT, [vs.randn(2, 3, 4), vs.randn(2, 5, 4)]),
    "linear": lambda: layer(nn.Linear(4, 3), (2, 4)),
    "conv1d": lambda: layer(nn.Conv1d(2, 4, 3, stride=2, groups=2), (1, 2, 9)),
    "conv2d": lambda: layer(nn.Conv2d(3, 4, 3, padding=1), (2, 3, 8, 8)),
    "conv3d": lambda: layer(nn.Conv3d(1, 2, 2), (1, 1, 4, 4, 4)),
    "conv_transpose2d": lambda: layer(nn.ConvTranspose2d(2, 3, 3, stride=2, output_padding=1), (1, 2, 5, 5)),
    "batch_norm": lambda: layer(nn.BatchNorm2d(3), (2, 3, 4, 4)),
    "layer_norm": lambda: layer(nn.LayerNorm(6), (4, 6)),
    "rms_norm": lambda: layer(nn.RMSNorm(6), (4, 6)),
    "group_norm": lambda: layer(nn.GroupNorm(2, 4), (2, 4, 3, 3)),
    "max_pool2d": lambda: layer(nn.MaxPool2d(3, 2, padding=1), (1, 2, 9, 9)),
    "avg_pool2d": lambda: layer(nn.AvgPool2d(2), (1, 2, 8, 8)),
    "adaptive_avg_pool2d": lambda: layer(nn.AdaptiveAvgPool2d(3), (1, 2, 7, 7)),
    "softmax": lambda: (lambda x: (x.softmax(-1), x.log_softmax(0), x.logsumexp(1)), [vs.randn(3, 4)]),
    "attention": lambda: (attention, [vs.randn(1, 2, 5, 4) for _ in range(3)]),
    "transformer layer": lambda: layer(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 3, 8)),
    "embedding": lambda: (nn.Embedding(5, 3), [ints(2, 4, high=5)]),
    "cross_entropy": lambda: (F.cross_entropy, [vs.randn(4, 3), ints(4)]),
    "nll_loss": lambda: (F.nll_loss, [vs.randn(4, 3), ints(4)]),
    "reductions": lambda: (
        lambda x: (x.sum(0), x.mean(), x.amax(1), x.prod(1), x.std(0), x.any(), x.all(1)),
        [vs.randn(3, 4)],
    ),
    "choices": lambda: (
        lambda x: (x.argmax(1), x.max(0), x.sort(1), x.topk(2), x.cummax(0)),
        [vs.randn(4, 5)],
    ),
    "sums": lambda: (lambda x: (x.cumsum(0), x.cumprod(1)), [vs.randn(3, 4)]),
    "rearranged": lambda: (
        lambda x: (x.flip(0), x.roll(1, 1), x.tril(), x.T.contiguous(), x[1:, ::2]),
        [vs.randn(4, 4)],
    ),
    "joined": lambda: (lambda x, y: (vs.cat([x, y], 1), vs.stack([x, y])), [vs.randn(2, 3), vs.randn(2, 3)]),
    "padded": lambda: (lambda x: F.pad(x, (1, 2, -1, 0), value=3.0), [vs.randn(3, 4)]),
    "indexed": lambda: (
        lambda x, i: (x[i], x.gather(0, i.unsqueeze(1)), x.index_select(0, i)),
        [vs.randn(3, 4), ints(2)],
    ),
    "scattered": lambda: (lambda x, i: vs.zeros(3, 4).scatter_add(0, i, x), [vs.randn(2, 4), ints(2, 4)]),
    "made": lambda: (
        lambda x: (x + vs.arange(4), vs.eye(3), vs.linspace(0, 1, 5), F.one_hot(x.long() * 0, 2)),
        [vs.randn(4)],
    ),
    "gradients": lambda: (gradient, [vs.randn(5)]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_program_gives_the_bits_of_its_function(name: str, tmp_path: Path) -> None:
    vs.manual_seed(0)
    function, args = FUNCTIONS[name]()
    compiled = vs.compile(function)
    program = loaded(saved(compiled, tmp_path, *args), tmp_path)
    for _ in range(2):
        assert bits(program(*args)) == bits(function(*args))
    other = [(a * 0.5 if a.dtype.is_floating_point else a.flip(0)) for a in args]
    assert bits(program(*other)) == bits(function(*other))


RANDOM: dict[str, Any] = {
    "uniform": lambda x: x + vs.rand(4),
    "normal": lambda x: x + vs.randn(4),
    "integers": lambda x: x + vs.randint(0, 9, (4,)),
    "dropout": lambda x: F.dropout(x, 0.5),
    "a choice": lambda x: vs.multinomial(x.abs() + 1, 2),
    "seeded": lambda x: (vs.manual_seed(7), x + vs.rand(4))[1],
}


@pytest.mark.parametrize("name", RANDOM)
def test_random_numbers_are_those_of_the_process(name: str, tmp_path: Path) -> None:
    function, x = RANDOM[name], vs.ones(4)
    program = loaded(saved(vs.compile(function), tmp_path, x), tmp_path)
    vs.manual_seed(3)
    expected = [bits(function(x)) for _ in range(3)], vs.get_rng_state().tolist()
    vs.manual_seed(3)
    assert ([bits(program(x)) for _ in range(3)], vs.get_rng_state().tolist()) == expected


def test_structures_come_back_as_plain_ones(tmp_path: Path) -> None:
    def f(batch: Any, *rest: Any, scale: float = 2.0) -> Any:
        a, b = batch["pair"]
        return {"sum": a + b, 3: [Pair(a * scale, None), Split(b, "text")], (1, 2.5): (rest[0], True)}

    x, y = vs.ones(2), vs.arange(3.0)
    batch = {"pair": Pair(x, vs.full((2,), 5.0))}
    compiled = vs.compile(f)
    path = tmp_path / "f.vsp"
    compiled.save(path, batch, y, scale=3.0)
    program = vs.load_program(path)
    result = program({"pair": (x, batch["pair"][1])}, y, scale=3.0)
    assert list(result) == ["sum", 3, (1, 2.5)]
    pair, split = result[3]
    assert type(pair) is tuple
    assert pair[1] is None
    assert bits(pair[0]) == bits(x * 3)
    assert list(split) == ["head", "tail"]
    assert split["tail"] == "text"
    assert result[(1, 2.5)][0] is y
    assert [array.name for array in program.inputs] == [
        "batch['pair'].left",
        "batch['pair'].right",
        "rest[0]",
    ]
    assert repr(program).startswith("Program 'f.vsp'\n  (batch['pair'].left: float32[2], ")


def test_numbers_are_told_apart_by_their_type(tmp_path: Path) -> None:
    program = loaded(saved(vs.compile(lambda x, n: x + n), tmp_path, vs.ones(1), 1), tmp_path)
    assert program(vs.ones(1), 1).item() == 2
    for other, words in [(True, "is 1, got True"), (1.0, "is 1, got 1.0"), ("1", "is 1, got '1'")]:
        with pytest.raises(vs.ProgramError, match=words):
            program(vs.ones(1), other)


def test_branches_go_along_and_a_new_value_is_refused(tmp_path: Path) -> None:
    @vs.compile
    def f(x: vs.Tensor) -> Any:
        steps = 0
        while x.norm() > 1:
            x = x / 2
            steps += 1
        return x, steps

    for scale in (1.0, 4.0, 9.0):
        f(vs.ones(4) * scale)
    program = loaded(saved(f, tmp_path), tmp_path)
    for scale in (9.0, 1.0, 4.0, 9.0):
        x = vs.ones(4) * scale
        result, steps = program(x)
        assert (bits(result), steps) == (bits(f(x)[0]), f(x)[1])
    with pytest.raises(vs.ProgramError, match="reads a value that no call before it was saved had"):
        program(vs.ones(4) * 1000)
    assert program(vs.ones(4))[1] == 1


def test_all_shapes_are_saved_or_the_one_of_the_arguments(tmp_path: Path) -> None:
    f = vs.compile(lambda x: x + 1)
    f(vs.ones(2))
    f(vs.ones(3))
    every = loaded(saved(f, tmp_path), tmp_path)
    assert bits(every(vs.ones(2))) == bits(vs.ones(2) + 1)
    assert bits(every(vs.ones(3))) == bits(vs.ones(3) + 1)
    one = loaded(saved(f, tmp_path, vs.ones(3)), tmp_path)
    with pytest.raises(vs.ProgramError, match=r"takes \(x: float32\[3\]\); got x: float32\[2\]"):
        one(vs.ones(2))


def test_a_program_keeps_its_own_state(tmp_path: Path) -> None:
    weight, velocity = vs.randn(3), vs.zeros(3)

    def step(x: vs.Tensor, y: vs.Tensor) -> vs.Tensor:
        error = x @ weight - y
        loss = (error**2).mean()
        velocity.mul_(0.9).add_(x.T @ error)
        weight.sub_(0.01 * velocity)
        return loss

    x, y = vs.randn(8, 3), vs.randn(8)
    compiled = vs.compile(step)
    with vs.no_grad():
        compiled(x, y)
    first = saved(compiled, tmp_path)
    program, twin = loaded(first, tmp_path), loaded(first, tmp_path)
    assert set(program.state()) == {"weight", "velocity"}
    losses = [program(x, y).item() for _ in range(3)]
    before = bits(weight)
    assert losses == [step(x, y).item() for _ in range(3)]
    assert bits(weight) != before
    assert bits(program.state()["weight"]) == bits(weight)
    # Saved again, it goes on from where it stands; the other one begins anew.
    program.save(tmp_path / "later.vsp")
    later = vs.load_program(tmp_path / "later.vsp")
    assert later(x, y).item() == program(x, y).item()
    assert twin(x, y).item() == losses[0]


def test_gradients_and_batch_statistics_are_state(tmp_path: Path) -> None:
    vs.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3)
    )
    parameters = list(model.parameters())

    def step(x: vs.Tensor, y: vs.Tensor) -> vs.Tensor:
        for parameter in parameters:
            parameter.grad = None
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        with vs.no_grad():
            for parameter in parameters:
                parameter.sub_(0.1 * parameter.grad)
        return loss.detach()

    x, y = vs.randn(4, 1, 6, 6), ints(4)
    compiled = vs.compile(step)
    compiled(x, y)
    program = loaded(saved(compiled, tmp_path, x, y), tmp_path)
    assert [program(x, y).item() for _ in range(4)] == [step(x, y).item() for _ in range(4)]
    state = {tensor.numpy().tobytes() for tensor in program.state().values()}
    assert {
        tensor.detach().numpy().tobytes() for tensor in model.state_dict().values() if tensor.ndim
    } <= state


def test_results_have_no_history_and_weights_no_gradients(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    program = loaded(saved(vs.compile(model), tmp_path, vs.ones(1, 3)), tmp_path)
    x = vs.ones(1, 3, requires_grad=True)
    assert not program(x).requires_grad
    assert not any(tensor.requires_grad for tensor in program.state().values())


def test_arguments_may_lie_as_they_like(tmp_path: Path) -> None:
    program = loaded(saved(vs.compile(lambda x: x * 2), tmp_path, vs.ones(2, 3)), tmp_path)
    base = vs.arange(12.0).reshape(3, 4)
    for x in (base.T[:2], base[1:, 1:], vs.ones(1).expand(2, 3)):
        assert bits(program(x)) == bits(x * 2)
    turned = loaded(saved(vs.compile(lambda x: x * 2), tmp_path, base.T), tmp_path)
    assert bits(turned(base.T)) == bits(turned(base.T.contiguous())) == bits(base.T * 2)


def test_arguments_that_share_memory_are_taken_apart(tmp_path: Path) -> None:
    x = vs.randn(2, 3)
    f = vs.compile(lambda q, k: q @ k.T)
    program = loaded(saved(f, tmp_path, vs.ones(2, 3), vs.ones(2, 3)), tmp_path)
    assert bits(program(x, x)) == bits(x @ x.T)
    twice = loaded(saved(f, tmp_path, x, x), tmp_path)
    assert bits(twice(x, x)) == bits(x @ x.T)
    with pytest.raises(vs.ProgramError, match="same tensor in other places"):
        twice(x, x.clone())


def test_entries_of_one_shape_are_told_apart_by_the_state(tmp_path: Path) -> None:
    weight = vs.ones(2, requires_grad=True)

    @vs.compile
    def accumulate(x: vs.Tensor) -> vs.Tensor:
        (weight * x).sum().backward()
        return weight.grad.clone()

    x = vs.arange(2.0)
    accumulate(x)  # without a gradient
    accumulate(x)  # with one
    program = loaded(saved(accumulate, tmp_path), tmp_path)
    assert program(x).tolist() == [0, 3]
    weight.grad = None
    program = loaded(saved(accumulate, tmp_path), tmp_path)
    assert [program(x).tolist() for _ in range(3)] == [[0, 1], [0, 2], [0, 3]]


def test_a_change_in_place_reaches_the_argument(tmp_path: Path) -> None:
    program = loaded(saved(vs.compile(lambda x: x.add_(1)), tmp_path, vs.zeros(3)), tmp_path)
    x = vs.zeros(3)
    assert program(x) is x
    assert bits(x) == bits(vs.ones(3))
    with pytest.raises(vs.ProgramError, match="does not fit"):
        program(vs.zeros(3, 2)[:, 0])


OPTIMIZERS: dict[str, Any] = {
    "SGD": lambda p: vs.optim.SGD(p, lr=0.1),
    "SGD with momentum": lambda p: vs.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": lambda p: vs.optim.Adam(p, lr=0.01),
    "AdamW with amsgrad": lambda p: vs.optim.AdamW(p, lr=0.01, amsgrad=True),
    "two groups": lambda p: vs.optim.Adam([{"params": p[:1]}, {"params": p[1:], "lr": 0.1}]),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_training_step_goes_on_where_it_was_saved(name: str, tmp_path: Path) -> None:
    vs.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 3))
    optimizer = OPTIMIZERS[name](list(model.parameters()))

    def step(x: vs.Tensor, y: vs.Tensor) -> vs.Tensor:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    x, y = vs.randn(16, 4), ints(16)
    compiled = vs.compile(step)
    for _ in range(3):
        compiled(x, y)
    program = loaded(saved(compiled, tmp_path, x, y), tmp_path)
    vs.manual_seed(1)
    losses = [step(x, y).item() for _ in range(4)]
    vs.manual_seed(1)
    assert [program(x, y).item() for _ in range(2)] == losses[:2]
    # Saved and loaded between two steps it goes on too.
    program.save(tmp_path / "later.vsp")
    later = vs.load_program(tmp_path / "later.vsp")
    assert [later(x, y).item() for _ in range(2)] == losses[2:]
    state = later.state()
    assert bits(state["model.0.weight"]) == bits(model[0].weight)
    if "Adam" in name:
        assert state["Adam.step" if "W" not in name else "AdamW.step"].item() == 7
        assert bits(state["model.0.weight.exp_avg"]) == bits(optimizer.state[model[0].weight]["exp_avg"])


def test_other_optimizers_are_refused_with_the_line(tmp_path: Path) -> None:
    weight = vs.ones(2, requires_grad=True)
    optimizer = vs.optim.RMSprop([weight], lr=0.1)

    @vs.compile
    def step(x: vs.Tensor) -> None:
        (weight * x).sum().backward()
        optimizer.step()

    with pytest.raises(CompileError, match=r"test_saved\.py:\d+.*RMSprop\.step calls Python"):
        step.save(tmp_path / "f.vsp", vs.ones(2))
    assert not (tmp_path / "f.vsp").exists()


def test_what_a_file_cannot_hold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.vsp"

    @vs.compile
    def looks(x: vs.Tensor) -> vs.Tensor:
        vs.debug.callback(lambda _: None, x)
        return x + 1

    with pytest.raises(CompileError, match=r"test_saved\.py:\d+.*callback calls Python"):
        looks.save(path, vs.ones(2))

    @vs.compile
    def repeats(x: vs.Tensor) -> vs.Tensor:
        return vs.while_loop(lambda h: h.sum() < 9, lambda h: h * 2, x)

    with pytest.raises(CompileError, match=r"test_saved\.py:\d+.*while_loop cannot be saved yet"):
        repeats.save(path, vs.ones(2))
    with pytest.raises(CompileError, match="the result holds an object of PosixPath"):
        vs.compile(lambda x: (x + 1, path)).save(path, vs.ones(2))
    with pytest.raises(CompileError, match="an argument holds an object of PosixPath"):
        vs.compile(lambda x, p: x + 1).save(path, vs.ones(2), path)
    with pytest.raises(ValueError, match="has no trace that holds now"):
        vs.compile(lambda x: x + 1).save(path)
    weight = vs.ones(2)
    with pytest.raises(CompileError, match="argument 0 is a tensor that the function reaches otherwise too"):
        vs.compile(lambda x: x + weight).save(path, weight)
    assert not path.exists()


def test_arguments_of_another_kind_are_refused_and_the_next_call_works(tmp_path: Path) -> None:
    program = loaded(
        saved(vs.compile(lambda x, n: {"y": x["a"] * n}), tmp_path, {"a": vs.ones(2)}, 3), tmp_path
    )
    good = {"a": vs.ones(2)}
    for args, words in [
        (({"a": vs.ones(3)}, 3), r"x\['a'\]: float32\[2\]\); got x\['a'\]: float32\[3\]"),
        (({"a": vs.ones(2, dtype=vs.int64)}, 3), "got x.*int64"),
        (({"b": vs.ones(2)}, 3), r"has the keys \['a'\], got \['b'\]"),
        ((good, 4), "is 3, got 4"),
        ((good, 3.0), "is 3, got 3.0"),
        ((vs.ones(2), 3), "is a dict of 1, got a tensor"),
        ((good,), "is a tuple of 2, got a tuple of 1"),
    ]:
        with pytest.raises(vs.ProgramError, match=words):
            program(*args)
        assert bits(program(good, 3)) == bits(vs.full((2,), 3.0))


def test_modes_choose_what_is_saved(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    compiled = vs.compile(model)
    with vs.no_grad():
        compiled(vs.ones(1, 2))
    saved(compiled, tmp_path)  # the only mode
    with vs.inference_mode():
        compiled(vs.ones(1, 2))
    with pytest.raises(ValueError, match="under several modes"):
        saved(compiled, tmp_path)


def test_out_of_memory_is_an_error_and_the_next_call_works(tmp_path: Path) -> None:
    @vs.compile
    def grow(x: vs.Tensor) -> vs.Tensor:
        return (x.expand(24, 24) + 1).sum()

    data = saved(grow, tmp_path, vs.ones(24))
    # The same steps over 2**40 elements.
    plan = section(data, "plan").replace((24).to_bytes(8, "little"), (1 << 20).to_bytes(8, "little"))
    big = loaded(with_section(data, "plan", plan), tmp_path)
    with pytest.raises(MemoryError):
        big(vs.ones(1 << 20))
    assert loaded(data, tmp_path)(vs.ones(24)).item() == 2 * 24 * 24


def test_structures_are_json(tmp_path: Path) -> None:
    from versant import _core

    data = saved(vs.compile(lambda x: (x, x + 1)), tmp_path, vs.ones(2))
    ((arguments, results, _, _),) = _core.program_entries(_core.program_read(data))
    assert json.loads(arguments) == ["tuple", ["tuple", ["tensor"]], ["dict", []]]
    assert json.loads(results[0]) == {
        "value": ["tuple", ["tensor"], ["tensor"]],
        "places": [["argument", 0], None],
    }
