"""W10 and W11 in JAX: functions of a tree of parameters, images NHWC and weights HWIO."""

from typing import Any

from . import jax_optimizers
from .resnets_numbers import Numbers, inference_images, training_batch
from .workload import Options, Step

Tree = Any


class Layers:
    """Makes the trees of layers in the order in which `Numbers` draws, and applies them."""

    def __init__(self, jax: Any, *, training: bool, products: str = "float32") -> None:
        self.jax, self.numbers = jax, Numbers()
        self.training, self.products = training, products

    def norm(self, channels: int) -> Tree:
        jnp = self.jax.numpy
        running = {"mean": jnp.zeros(channels), "variance": jnp.ones(channels)}
        return {"scale": jnp.ones(channels), "shift": jnp.zeros(channels)}, running

    def conv_norm(self, inputs: int, outputs: int, size: int) -> Tree:
        """Parameters and running statistics of a convolution and the batch norm behind it."""
        weight = self.jax.numpy.asarray(self.numbers.conv(inputs, outputs, size).transpose(2, 3, 1, 0))
        learned, running = self.norm(outputs)
        return learned | {"conv": weight}, running

    def linear(self, inputs: int, outputs: int) -> Tree:
        jnp = self.jax.numpy
        return {"weight": jnp.asarray(self.numbers.linear(inputs, outputs)), "bias": jnp.zeros(outputs)}

    def apply(self, p: Tree, running: Tree, x: Any, stride: int = 1) -> tuple[Any, Tree]:
        """The convolution, then the batch norm; and the running statistics as they are afterwards."""
        jnp, lax = self.jax.numpy, self.jax.lax
        pad = p["conv"].shape[0] // 2
        x = lax.conv_general_dilated(
            x.astype(self.products),
            p["conv"].astype(self.products),
            (stride, stride),
            [(pad, pad)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        mean, variance = running["mean"], running["variance"]
        if self.training:
            wide = x.astype("float32")
            mean = jnp.mean(wide, (0, 1, 2))
            variance = jnp.mean((wide - mean) ** 2, (0, 1, 2))
            n = x.size // x.shape[-1]
            running = {
                "mean": 0.9 * running["mean"] + 0.1 * mean,
                "variance": 0.9 * running["variance"] + 0.1 * n / (n - 1) * variance,
            }
        factor = lax.rsqrt(variance + 1e-5) * p["scale"]
        return ((x - mean) * factor + p["shift"]).astype(self.products), running


def training(jax: Any, options: Options, products: str = "float32") -> Step:
    """A ResNet-18. `products` is the dtype of convolutions and of what passes between layers."""
    layers = Layers(jax, training=True, products=products)
    jnp, relu = jax.numpy, jax.nn.relu
    made = {"stem": layers.conv_norm(3, 64, 3)}
    blocks: list[tuple[str, int]] = []
    inputs = 64
    for outputs, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        name = f"block{len(blocks)}"
        made[f"{name}.1"] = layers.conv_norm(inputs, outputs, 3)
        made[f"{name}.2"] = layers.conv_norm(outputs, outputs, 3)
        if inputs != outputs:
            made[f"{name}.shortcut"] = layers.conv_norm(inputs, outputs, 1)
        blocks.append((name, stride))
        inputs = outputs
    head = layers.linear(512, 10)
    parameters = {name: learned for name, (learned, _) in made.items()} | {"head": head}
    running = {name: statistics for name, (_, statistics) in made.items()}
    images, labels = training_batch()
    x, y = jnp.asarray(images.transpose(0, 2, 3, 1)), jnp.asarray(labels)

    def loss(p: Tree, running: Tree) -> tuple[Any, Tree]:
        after = {}

        def layer(name: str, x: Any, stride: int = 1) -> Any:
            x, after[name] = layers.apply(p[name], running[name], x, stride)
            return x

        h = relu(layer("stem", x))
        for name, stride in blocks:
            inner = layer(f"{name}.2", relu(layer(f"{name}.1", h, stride)))
            h = relu(inner + (layer(f"{name}.shortcut", h, stride) if f"{name}.shortcut" in p else h))
        pooled = jnp.mean(h, (1, 2)).astype(products)
        logits = pooled @ p["head"]["weight"].astype(products) + p["head"]["bias"].astype(products)
        return jax_optimizers.cross_entropy(jax, logits.astype("float32"), y), after

    def advance(state: Tree) -> tuple[Tree, Any]:
        p, velocities, running = state
        (value, running), gradients = jax.value_and_grad(loss, has_aux=True)(p, running)
        velocities = jax.tree.map(lambda v, g: 0.9 * v + g, velocities, gradients)
        p = jax.tree.map(lambda p, v: p - 0.01 * v, p, velocities)
        return (p, velocities, running), value

    state = (parameters, jax.tree.map(jnp.zeros_like, parameters), running)
    return jax_optimizers.repeated(jax, advance, state)


def training_bfloat16(jax: Any, options: Options) -> Step:
    return training(jax, options, "bfloat16")


def inference(jax: Any, options: Options) -> Step:
    """A ResNet-50."""
    layers = Layers(jax, training=False)
    jnp, relu, lax = jax.numpy, jax.nn.relu, jax.lax
    made = {"stem": layers.conv_norm(3, 64, 7)}
    blocks: list[tuple[str, int]] = []
    inputs = 64
    for width, count, first in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for i in range(count):
            name = f"block{len(blocks)}"
            made[f"{name}.1"] = layers.conv_norm(inputs, width, 1)
            made[f"{name}.2"] = layers.conv_norm(width, width, 3)
            made[f"{name}.3"] = layers.conv_norm(width, 4 * width, 1)
            if i == 0:
                made[f"{name}.shortcut"] = layers.conv_norm(inputs, 4 * width, 1)
            blocks.append((name, first if i == 0 else 1))
            inputs = 4 * width
    made["head"] = layers.linear(2048, 1000), {}
    x = jnp.asarray(inference_images().transpose(0, 2, 3, 1))

    def model(made: Tree, x: Any) -> Any:
        def layer(name: str, x: Any, stride: int = 1) -> Any:
            learned, running = made[name]
            return layers.apply(learned, running, x, stride)[0]

        h = relu(layer("stem", x, 2))
        h = lax.reduce_window(
            h, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), [(0, 0), (1, 1), (1, 1), (0, 0)]
        )
        for name, stride in blocks:
            inner = relu(layer(f"{name}.2", relu(layer(f"{name}.1", h)), stride))
            shortcut = layer(f"{name}.shortcut", h, stride) if f"{name}.shortcut" in made else h
            h = relu(layer(f"{name}.3", inner) + shortcut)
        head = made["head"][0]
        return jnp.mean(h, (1, 2)) @ head["weight"] + head["bias"]

    run = jax.jit(model)
    return lambda: run(made, x).block_until_ready()
