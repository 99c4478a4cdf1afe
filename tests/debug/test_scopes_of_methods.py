"""The guard, recordings and profiles name the module in whose methods ops are called, of whatever name."""

import pytest
from debug.planted import marked_line

import versant as vs
import versant.tf as tf
from versant import nn
from versant.debug import NonFiniteError, nan_guard


class Encoder(tf.Module):
    def __init__(self):
        super().__init__()
        self.dense = tf.keras.layers.Dense(2)
        self.weight = tf.Variable(tf.ones([2, 2]))

    def encode(self, x):
        return tf.sqrt(self.dense(x) @ self.weight - 100.0)  # planted

    def slope(self, x):
        hidden = self.dense(x)
        return (lambda y: tf.sqrt(tf.abs(y) * 0.0))(hidden)

    def __call__(self, x):
        return self.encode(x)


class Coder(tf.Module):
    def __init__(self):
        super().__init__()
        self.parts = [Encoder(), Encoder()]

    def run(self, x):
        return self.parts[1].encode(x)

    @tf.function
    def replayed(self, x):
        return self.parts[1].encode(x)

    def called(self, x):
        return self.parts[1](x)


class Lone(tf.keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.inner = Encoder()

    def call(self, x):
        return x

    def other(self, x):
        return self.inner.encode(x)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)

    def forward(self, x):
        return self.fc(x)

    def score(self, x):
        return (self(x) * 0 - 1).log()


class Trainer(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = Net()

    def training_step(self, x):
        return self.net.score(x)


class Loop:
    """No module: what it calls is the outermost one."""

    def __init__(self):
        self.net = Net()

    def step(self, x):
        return self.net.score(x)


CALLS = {
    "a method": (lambda: Coder().run, "Coder.parts.1"),
    "tf.function": (lambda: Coder().replayed, "Coder.parts.1"),
    "__call__": (lambda: Coder().called, "Coder.parts.1"),
    "a method of a layer": (lambda: Lone().other, "Lone.inner"),
    "a method of nn": (lambda: Trainer().training_step, "Trainer.net"),
    "a method of no module": (lambda: Loop().step, "Net"),
}


@pytest.mark.parametrize("kind", ["eager", "compiled"])
@pytest.mark.parametrize("call", CALLS)
def test_the_guard_names_the_module(call, kind):
    make, module = CALLS[call]
    f = make()
    x = tf.ones([1, 2]) if "nn" not in call and "no module" not in call else vs.ones(1, 2)
    f(x)  # builds layers
    f = vs.compile(f) if kind == "compiled" else f
    f(x)
    with nan_guard(), pytest.raises(NonFiniteError) as caught:
        f(x)
    assert caught.value.module == module


def test_variables_have_names():
    coder = Coder()
    coder.run(tf.ones([1, 2]))
    coder.parts[1].weight.assign(tf.fill([2, 2], float("nan")))
    with nan_guard(), pytest.raises(NonFiniteError) as caught:
        coder.run(tf.ones([1, 2]))
    assert caught.value.op == "matmul"
    assert caught.value.module == "Coder.parts.1"
    assert "float32[2, 2] Coder.parts.1.weight" in str(caught.value)
    assert caught.value.line.endswith(marked_line(Encoder.encode))


def test_the_way_back_comes_from_the_module():
    """Of a function inside a method too, and not of what ran before it or after it."""
    encoder = Encoder()
    x = tf.ones([1, 2])
    encoder.dense(x)
    with nan_guard():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = encoder.slope(x * 2) + 1
            loss = tf.reduce_sum(y)
        with pytest.raises(NonFiniteError) as caught:
            tape.gradient(loss, x)
    assert caught.value.module == "Encoder"


@pytest.mark.parametrize("compiled", [False, True])
def test_profiles_and_recordings_have_the_paths(compiled, tmp_path):
    trainer = Trainer()

    def step(x):
        trainer.zero_grad()
        loss = trainer.net.fc(trainer.training_step(x).exp()).sum()
        loss.backward()
        return loss.detach()

    step = vs.compile(step) if compiled else step
    x = vs.ones(3, 2)
    step(x), step(x)
    with vs.profile() as profile, vs.debug.record(tmp_path / "r") as recorder:
        step(x)
        recorder.step()
    assert {"Trainer.net", "Trainer.net.fc"} <= {row.name for row in profile.rows("module")}
    modules = {kind.module for kind in vs.debug.Recording(tmp_path / "r").kinds.values()}
    assert {"Trainer.net", "Trainer.net.fc"} <= modules
