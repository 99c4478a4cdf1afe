"""check() of functions, of compiled ones, and of models of TensorFlow's dialect."""

import pytest

import versant as vs
import versant.tf as tf
from versant import nn

net = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
scale = vs.ones(2, requires_grad=True)
idle = vs.ones(3, requires_grad=True)


def loss(x, y, factor=1.0):
    return ((net(x) - y) * scale).square().mean() * factor + idle.detach().sum()


def backward(x, y):
    net.zero_grad()
    value = loss(x, y)
    value.backward()
    return value.detach()


@pytest.mark.parametrize("wrap", [lambda f: f, vs.compile, tf.function])
def test_a_function(wrap):
    report = vs.check(wrap(loss), (6, 5), (6, 2), factor=2.0)
    assert [(line.path, line.kind, line.parameters, line.outputs) for line in report.lines] == [
        ("", "function", 5, "float32[]"),
        ("net", "Sequential", 0, "float32[6, 2]"),
        ("net.0", "Linear", 24, "float32[6, 4]"),
        ("net.1", "BatchNorm1d", 8, "float32[6, 4]"),
        ("net.2", "Linear", 10, "float32[6, 2]"),
    ]
    assert (report.parameters, report.trainable, report.unused) == (47, 47, ["idle"])
    assert report.lines[0].flops == report.flops > report.lines[1].flops > 2 * 6 * (20 + 8)
    assert report.error == report.not_compiled == report.not_saved == ""
    assert report.training_bytes > report.forward_bytes > 0


def test_what_a_function_reaches_stays_as_it_is():
    net[0].weight.grad = vs.ones(4, 5)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    report = vs.check(backward, (6, 5), (6, 2))
    assert report.error == report.not_compiled == ""
    assert "idle" in report.unused
    assert "net.0.weight" not in report.unused
    assert all(vs.equal(before[name], value) for name, value in net.state_dict().items())
    assert net[0].weight.grad.tolist() == [[1.0] * 5] * 4
    assert scale.grad is None


def test_an_optimizer_is_refused():
    optimizer = vs.optim.SGD(net.parameters(), lr=0.1)

    def step(x, y):
        backward(x, y)
        optimizer.step()

    with pytest.raises(ValueError, match=r"\[check\] step takes a step of an optimizer \(SGD\)"):
        vs.check(step, (6, 5), (6, 2))


def test_what_a_function_cannot_do_compiled_is_told():
    seen = []
    assert "changes what it reads" in vs.check(lambda x: (seen.append(1), x)[1], (2,)).not_compiled
    rows = iter([1.0, 2.0])
    assert "iterator" in vs.check(lambda x: x * next(rows), (2,)).not_compiled
    assert vs.check(lambda x: x @ x, (2, 3)).error.startswith("ShapeError in the model")


def test_a_method_has_its_modules():
    class Coder(nn.Module):
        def __init__(self):
            super().__init__()
            self.coder, self.decoder = nn.Linear(5, 2), nn.Linear(2, 5)

        def encode(self, x):
            return self.coder(x).tanh()

    report = vs.check(Coder().encode, (3, 5))
    assert [line.path for line in report.lines] == ["", "Coder", "Coder.coder", "Coder.decoder"]
    assert [line.calls for line in report.lines] == [1, 0, 1, 0]
    assert report.unused == ["Coder.decoder.weight", "Coder.decoder.bias"]


def test_a_model_of_keras():
    """Its layers are not built yet: the weights are those that a first call makes."""

    def model():
        vs.manual_seed(0)
        layers = [
            tf.keras.layers.Dense(8, activation="relu"),
            tf.keras.layers.BatchNormalization(),
            tf.keras.layers.Dropout(0.5),
            tf.keras.layers.Dense(3, name="head"),
        ]
        return tf.keras.Sequential(layers)

    checked, other = model(), model()
    checked.layers[0].trainable = False
    vs.manual_seed(0)
    report = vs.check(checked, (4, 5))
    after = vs.rand(1)
    assert [line.outputs for line in report.lines] == [
        "float32[4, 3]", "float32[4, 8]", "float32[4, 8]", "float32[4, 8]", "float32[4, 3]",
    ]  # fmt: skip
    assert [line.parameters for line in report.lines] == [0, 48, 32, 0, 27]
    assert [line.calls for line in report.lines] == [1] * 5
    assert report.lines[-1].path == "head"
    assert (report.parameters, report.trainable) == (107, 43)
    assert report.lines[-1].flops == 2 * 4 * 8 * 3 + 4 * 3
    assert report.lines[0].flops == report.flops
    assert report.training_bytes > 0
    assert report.error == report.not_compiled == report.not_saved == ""
    assert report.unused == []
    vs.manual_seed(0)
    other(tf.zeros([4, 5]))
    assert vs.equal(after, vs.rand(1))
    for a, b in zip(checked.weights, other.weights, strict=True):
        assert vs.equal(a, b)


class Encoder(tf.Module):
    def __init__(self):
        super().__init__()
        self.weight, self.idle = tf.Variable(tf.ones([5, 2])), tf.Variable(1.0)
        self.dense = tf.keras.layers.Dense(3)

    @tf.function
    def __call__(self, x):
        return tf.tanh(self.dense(self.encode(x)))

    def encode(self, x):
        return x @ self.weight


@pytest.mark.parametrize("what", [lambda e: e, vs.compile, tf.function])
def test_a_module_of_the_dialect(what):
    encoder = Encoder()
    report = vs.check(what(encoder), (4, 5))
    assert [(line.path, line.kind, line.parameters, line.calls) for line in report.lines] == [
        ("", "Encoder", 11, 1),
        ("dense", "Dense", 9, 1),
    ]
    assert report.unused == ["idle"]
    assert report.error == report.not_compiled == report.not_saved == ""
    assert type(vars(Encoder)["__call__"]).__name__ == "Function"  # as it was
    assert [line.path for line in vs.check(encoder.encode, (4, 5)).lines] == ["", "Encoder", "Encoder.dense"]


def test_a_model_of_keras_that_fails():
    model = tf.keras.Sequential([tf.keras.layers.Dense(4), tf.keras.layers.Dense(2)])
    model(tf.ones([1, 3]))
    assert "in dense" in vs.check(model, (4, 5)).error
    before = tf.keras.layers.Layer.__dict__["_call_built"]
    assert before.__name__ == "_call_built"
    with pytest.raises(TypeError, match="expected a module or a function, got Module"):
        vs.check(tf.Module(), (2,))
