"""Compiled functions do what eager ones do, bit for bit: whole training steps, branches, state, errors."""

import copy
import dataclasses
import gc
import threading

import pytest

import versant as vs
from versant import nn
from versant.compiler import CompileError
from versant.nn import functional as F


def bits(value):
    """A value with its tensors as bytes."""
    if isinstance(value, vs.Tensor):
        return value.dtype, tuple(value.shape), value.detach()._to_bytes()
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [bits(item) for item in value]
    return value


def network():
    return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 4))


def training(make_optimizer, compiled, steps=6, make_network=network, schedule=None):
    """What `steps` steps of training leave behind, and the compiled function."""
    vs.manual_seed(3)
    model = make_network()
    optimizer = make_optimizer(model.parameters())
    scheduler = schedule(optimizer) if schedule else None

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        return loss.detach()

    function = vs.compile(step) if compiled else step
    losses = []
    for i in range(steps):
        x = vs.randn(32, 8)
        y = vs.randint(0, 4, (32,))
        losses.append(function(x, y))
        assert all(p.grad is not None for p in model.parameters())
        if i == 2:
            gc.collect()
    gradients = [p.grad for p in model.parameters()]
    return bits([losses, gradients, model.state_dict(), optimizer.state_dict()]), function


OPTIMIZERS = {
    "SGD": lambda p: vs.optim.SGD(p, lr=0.1, momentum=0.9),
    "AdamW": lambda p: vs.optim.AdamW(p, lr=1e-2),
    "RMSprop": lambda p: vs.optim.RMSprop(p, lr=1e-2),
    "Adagrad": lambda p: vs.optim.Adagrad(p, lr=1e-2),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_training_step_is_eager_s(optimizer):
    expected, _ = training(OPTIMIZERS[optimizer], False)
    found, function = training(OPTIMIZERS[optimizer], True)
    assert found == expected
    assert function.stats()["traces"] == 1, function.explain()


def test_a_scheduler_takes_effect_without_another_trace():
    def schedule(optimizer):
        return vs.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.1)

    expected, _ = training(OPTIMIZERS["SGD"], False, schedule=schedule)
    found, function = training(OPTIMIZERS["SGD"], True, schedule=schedule)
    assert found == expected
    assert function.stats()["traces"] == 1


def test_a_branch_on_a_value_is_traced_once_for_each_outcome():
    def f(x):
        return x * 2 + 1 if x.sum() > 0 else -x

    g = vs.compile(f)
    for x in (vs.ones(3), -vs.ones(3), vs.ones(3) * 2, -vs.ones(3) * 2, vs.zeros(3)):
        assert bits(g(x)) == bits(f(x))
    assert g.stats()["traces"] == 2


def test_loops_on_values_go_as_far_as_they_must():
    def f(x):
        steps = 0
        while x.norm() > 1:
            x = x / 2
            steps += 1
        return x, steps

    g = vs.compile(f)
    for scale in (1.0, 4.0, 9.0, 1.0, 4.0, 9.0, 100.0):
        assert bits(g(vs.ones(4) * scale)) == bits(f(vs.ones(4) * scale))
    assert g.stats()["traces"] == 4


def test_a_new_outcome_undoes_what_was_done_before_it():
    state = vs.zeros(3)

    def f(x):
        state.add_(x)
        noise = vs.rand(3)
        return state + noise if state.sum() > 5 else state - noise

    g = vs.compile(f)
    found = []
    for function in (f, g):
        state.zero_()
        vs.manual_seed(0)
        found.append([bits([function(vs.ones(3)), state]) for _ in range(5)])
    assert found[0] == found[1]
    assert g.stats()["traces"] == 2


def test_random_numbers_come_from_the_same_stream():
    def f(x):
        return F.dropout(x, 0.5) + vs.rand(100) + vs.randn(100), vs.randint(0, 9, (4,))

    g = vs.compile(f)
    found = []
    for function in (f, g):
        vs.manual_seed(1)
        found.append(bits([[function(vs.ones(100)) for _ in range(3)], vs.rand(2)]))
    assert found[0] == found[1]
    assert g.stats()["traces"] == 1


def test_results_with_a_history_go_on_outside():
    vs.manual_seed(0)
    model = network().eval()
    twin = copy.deepcopy(model)
    compiled = vs.compile(twin)
    x = vs.randn(5, 8, requires_grad=True)
    x_twin = x.detach().clone().requires_grad_()
    for _ in range(3):
        (model(x * 1.0) ** 2).sum().backward()
        (compiled(x_twin * 1.0) ** 2).sum().backward()
        assert bits([p.grad for p in twin.parameters()]) == bits([p.grad for p in model.parameters()])
        assert bits(x_twin.grad) == bits(x.grad)
    assert compiled.stats()["traces"] == 1, compiled.explain()


def test_values_that_the_way_back_needs_are_guarded_and_freed():
    w = vs.ones(3, requires_grad=True)
    g = vs.compile(lambda x: (x * w * w).sum())
    g(vs.ones(3))
    loss = g(vs.ones(3))
    loss.backward()
    with pytest.raises(RuntimeError, match="second backward"):
        loss.backward()
    loss = g(vs.ones(3))
    with vs.no_grad():
        w.add_(1)
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_second_derivatives_inside():
    def f(x):
        x = x.detach().requires_grad_()
        u = (x.sin() * x).sum()
        (first,) = vs.autograd.grad(u, x, create_graph=True)
        (second,) = vs.autograd.grad(first.sum(), x)
        return first.detach(), second

    g = vs.compile(f)
    for _ in range(3):
        x = vs.randn(7)
        assert bits(g(x)) == bits(f(x))
    assert g.stats()["traces"] == 1


def test_gradients_accumulate_over_calls():
    def run(compiled):
        w = vs.ones(3, requires_grad=True)

        def f(x):
            (w * x).pow(2).sum().backward()

        function = vs.compile(f) if compiled else f
        found = []
        for i in range(4):
            function(vs.arange(3.0) + i)
            found.append(bits(w.grad))
        return found, function

    expected, _ = run(False)
    found, function = run(True)
    assert found == expected
    assert function.stats()["traces"] == 2  # without a gradient, and with one


@dataclasses.dataclass
class Pair:
    first: vs.Tensor
    second: list


def test_containers_in_and_out():
    def f(pair, scale, *, options):
        return {"sum": pair.first + pair.second[0], "pair": Pair(pair.first * scale, [options["k"], None])}

    g = vs.compile(f)
    for _ in range(2):
        pair = Pair(vs.randn(3), [vs.randn(3)])
        found, expected = g(pair, 2.0, options={"k": 3}), f(pair, 2.0, options={"k": 3})
        assert bits(found["sum"]) == bits(expected["sum"])
        assert bits(found["pair"].first) == bits(expected["pair"].first)
        assert found["pair"].second == [3, None]
    assert g.stats()["traces"] == 1
    g(pair, 3.0, options={"k": 3})
    assert g.stats()["traces"] == 2


def test_arguments_that_come_back_are_themselves():
    x = vs.ones(3)
    g = vs.compile(lambda x: (x, x.add_(1)))
    for _ in range(3):
        a, b = g(x)
        assert a is x
        assert b is x
    assert x.tolist() == [4.0] * 3


SCALE = 2.0


def test_what_changes_outside_is_noticed():
    global SCALE
    offset = 1.0
    model = nn.Dropout(0.5)
    weight = {"w": vs.ones(3)}

    def f(x):
        return model(x) * SCALE + offset + weight["w"]

    g = vs.compile(f)
    model.eval()
    x = vs.ones(3)
    assert bits(g(x)) == bits(f(x))
    SCALE = 3.0
    assert bits(g(x)) == bits(f(x))
    offset = 5.0
    assert bits(g(x)) == bits(f(x))
    weight["w"] = vs.zeros(3)
    assert bits(g(x)) == bits(f(x))
    weight["w"].add_(7)  # a value, not an assumption
    traces = g.stats()["traces"]
    assert bits(g(x)) == bits(f(x))
    assert g.stats()["traces"] == traces == 4
    assert "SCALE was 2.0, now 3.0" in g.explain()
    model.train()
    vs.manual_seed(0)
    expected = f(x)
    vs.manual_seed(0)
    assert bits(g(x)) == bits(expected)


def test_a_number_that_differs_every_time_is_refused_with_its_line():
    g = vs.compile(lambda x: x * x.sum().item())
    for i in range(16):
        g(vs.ones(3) * i)
    with pytest.raises(CompileError, match=r"test_function.py:\d+.*return the tensor"):
        g(vs.ones(3) * 16)


def test_what_a_replay_would_not_repeat_is_refused():
    class Counter:
        n = 0

        def __init__(self):
            self.count = 0

        def step(self, x):
            self.count += 1
            return x + 1

    counter = Counter()
    with pytest.raises(CompileError, match="count was 0, now 1"):
        vs.compile(counter.step)(vs.ones(2))
    losses = []

    def appends(x):
        losses.append(x)
        return x + 1

    with pytest.raises(CompileError, match="losses had 0 items, now 1"):
        vs.compile(appends)(vs.ones(2))
    outside = vs.ones(2).numpy()
    with pytest.raises(RuntimeError, match="shares its memory with an array"):
        vs.compile(lambda x: x + vs.from_numpy(outside).mul_(2))(vs.ones(2))


def test_an_exception_comes_through_and_the_next_call_works():
    calls = []

    def f(x, fails):
        if fails:
            raise KeyError("mine")
        return x + 1

    g = vs.compile(f)
    with pytest.raises(KeyError, match="mine"):
        g(vs.ones(2), True)
    assert g(vs.ones(2), False).tolist() == [2.0, 2.0]
    assert not calls


def test_recompiles_can_be_errors():
    g = vs.compile(lambda x: x + 1, recompiles="error")
    g(vs.ones(2))
    with pytest.raises(CompileError, match=r"float32\[2\], now float32\[3\]"):
        g(vs.ones(3))


def test_compiled_functions_within_and_switched_off():
    inner = vs.compile(lambda x: x * 2)
    outer = vs.compile(lambda x: inner(x) + 1)
    assert outer(vs.ones(2)).tolist() == outer(vs.ones(2)).tolist() == [3.0, 3.0]
    assert inner.stats()["traces"] == 0
    with vs.compile_disabled():
        assert outer(vs.ones(2)).tolist() == [3.0, 3.0]
    assert outer.stats()["replays"] == 1


def test_threads_share_a_compiled_function():
    g = vs.compile(lambda x: (x @ x).tanh())
    x = vs.randn(64, 64)
    expected = bits((x @ x).tanh())
    wrong = []

    def work():
        for _ in range(50):
            if bits(g(x)) != expected:
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_methods_and_options():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(vs.ones(3))

        @vs.compile(name="forward of Model")
        def forward(self, x):
            return (x * self.w).detach()

    model = Model()
    assert model(vs.ones(3)).tolist() == model(vs.ones(3)).tolist() == [1.0] * 3
    with pytest.raises(ValueError, match="guards"):
        vs.compile(lambda x: x, guards="none")
    with pytest.raises(TypeError, match="expected a function"):
        vs.compile(3)


def test_memory_that_python_reads_is_refused():
    for read in (
        lambda x: x.numpy().sum(),
        memoryview,
        lambda x: vs.from_dlpack(x),
        lambda x: copy.copy(x.numpy()),
    ):
        with pytest.raises((RuntimeError, BufferError), match="memory to Python"):
            vs.compile(lambda x, read=read: read(x) and x + 1)(vs.ones(2))
    assert vs.compile(lambda x: x + 1)(vs.ones(2)).tolist() == [2.0, 2.0]


def test_requires_grad_may_be_switched_and_is_watched():
    w = vs.ones(2, requires_grad=True)

    def freezes(x):
        w.requires_grad_(False)
        loss = (x.detach().requires_grad_() * w).sum()
        loss.backward()
        w.requires_grad_(True)
        return loss.detach()

    g = vs.compile(freezes)
    assert [g(vs.ones(2) * i).item() for i in range(3)] == [0.0, 2.0, 4.0]
    assert w.grad is None
    assert g.stats()["traces"] == 1
    h = vs.compile(lambda x: (x * w).sum())
    assert h(vs.ones(2)).requires_grad
    w.requires_grad_(False)
    assert not h(vs.ones(2)).requires_grad
    w.requires_grad_(True)
    leaves = vs.compile(lambda x: x * w.requires_grad_(False))
    for _ in range(2):
        assert not leaves(vs.ones(2)).requires_grad
        assert not w.requires_grad
        w.requires_grad_(True)
    assert leaves.stats()["traces"] == 1


def test_tensors_are_given_other_memory():
    w = vs.ones(2)

    def f(x):
        w.data = x * 2
        return w + 1

    g = vs.compile(f)
    for i in range(3):
        assert g(vs.ones(2) * i).tolist() == [2.0 * i + 1] * 2
        assert w.tolist() == [2.0 * i] * 2
    assert g.stats()["traces"] == 1


def test_lists_of_values_are_readings():
    g = vs.compile(lambda x: x * (2 if x.tolist() == [1.0, 2.0] else 3))
    for values in ([1.0, 2.0], [1.0, 3.0], [1.0, 2.0], [1.0, 3.0]):
        x = vs.tensor(values)
        assert g(x).tolist() == (x * (2 if values == [1.0, 2.0] else 3)).tolist()
    assert g.stats()["traces"] == 2


def test_sizes_that_values_decide_are_branches():
    def f(x):
        chosen = x[x > 0]
        return chosen * 2, (x > 0).nonzero()

    g = vs.compile(f)
    for values in ([1.0, -2.0, 3.0], [-1.0, -2.0, 3.0], [4.0, -1.0, 2.0], [-3.0, 5.0, -6.0]):
        assert bits(g(vs.tensor(values))) == bits(f(vs.tensor(values)))
    assert g.stats()["traces"] == 2


def test_a_tensor_that_another_branch_reaches_may_change_its_shape():
    table = {"w": vs.ones(3)}

    def f(x):
        return x + 1 if x.sum() > 0 else x.sum() + table["w"].data.sum()

    g = vs.compile(f)
    for _ in range(2):
        assert bits(g(vs.ones(3))) == bits(f(vs.ones(3)))
        assert bits(g(-vs.ones(3))) == bits(f(-vs.ones(3)))
    table["w"].data = vs.ones(1000)
    for _ in range(2):
        assert bits(g(-vs.ones(3))) == bits(f(-vs.ones(3)))
        assert bits(g(vs.ones(3))) == bits(f(vs.ones(3)))


def test_a_breakpoint_is_honoured(monkeypatch):
    stops = []
    monkeypatch.setattr("sys.breakpointhook", lambda: stops.append(1))

    def f(x):
        breakpoint()
        return x + 1

    g = vs.compile(f)
    assert [g(vs.ones(1)).item() for _ in range(3)] == [2.0] * 3
    assert len(stops) == 3
    assert "breakpoint" in g.explain()


def test_debug_calls_are_repeated_with_the_values_of_then(capsys):
    seen = []

    def f(x):
        y = x * 2
        vs.debug.callback(lambda t: seen.append(t.tolist()), y)
        vs.debug.print("y is", y, "here")
        return y.sum()

    g = vs.compile(f)
    for i in range(3):
        g(vs.ones(2) * i)
    assert seen == [[0.0, 0.0], [2.0, 2.0], [4.0, 4.0]]
    assert capsys.readouterr().out.splitlines() == [
        f"y is tensor([{2 * i}., {2 * i}.]) here" for i in range(3)
    ]
    f(vs.ones(2, requires_grad=True))
    assert len(seen) == 4
    with pytest.raises(TypeError, match="expected tensors"):
        vs.debug.callback(print, 3)


def test_too_many_outcomes_of_truths_are_refused():
    @vs.compile
    def f(x):
        while x > 0:
            x = x - 1
        return x

    for n in range(16):
        f(vs.tensor(float(n)))
    with pytest.raises(vs.compiler.CompileError, match=r"test_function\.py:\d+: f reads a value there"):
        f(vs.tensor(16.0))


def test_memory_of_which_a_part_is_written_first_is_there_whole():
    @vs.compile
    def f(x):
        y = vs.empty(4000)
        y[:3] = x[:3]
        y[3:] = x[3:] if x[0] > 0 else -x[3:]
        return y

    for sign in (1, -1, 1, -1):  # where branches part, replays go step by step
        found = f(vs.ones(4000) * sign)
        assert found.as_strided((4000,), (1,), 0).sum().item() == (4000 if sign > 0 else 3994)


@pytest.mark.parametrize("factor", [1, 2])
def test_views_beyond_an_argument_need_its_memory(factor):
    @vs.compile
    def f(x):
        y = x.as_strided((4000,), (1,), 0)
        return y if factor == 1 else y * factor

    assert f(vs.ones(4000)[:2]).sum().item() == 4000 * factor
    with pytest.raises(vs.ShapeError, match="outside the tensor's memory"):
        f(vs.ones(2))
    assert "reaches 16000 bytes into the memory" in f.explain()


def test_a_buffer_that_is_written_piece_by_piece_has_room_for_all_pieces() -> None:
    @vs.compile
    def f(x: vs.Tensor) -> vs.Tensor:
        y = vs.empty(100_000)
        y[:5] = x
        y[5:] = 1.0 if x.sum() > 0 else 2.0
        return y * 2

    for scale in [1.0, -1.0] * 5:  # branches take turns
        y = f(vs.full((5,), scale))
        assert y[:5].tolist() == [2 * scale] * 5
        assert y[5:].tolist() == [2.0 if scale > 0 else 4.0] * 99_995


def test_a_result_may_be_larger_than_what_is_written_of_it() -> None:
    @vs.compile
    def f(x: vs.Tensor) -> vs.Tensor:
        y = vs.empty(1_000_000)
        y[:5] = x
        return y

    for scale in (1.0, 2.0, 3.0):
        y = f(vs.full((5,), scale))
        y[5:] = 0.0  # there is memory for all of it
        assert y.sum().item() == 5 * scale
