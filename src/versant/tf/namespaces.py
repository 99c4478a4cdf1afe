"""The modules of TensorFlow's tree: tf.math, tf.nn, tf.linalg and so on, made when they are asked for."""

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from versant.tf import arrays, elementwise, gathering, products, reductions
from versant.tf.dtypes import as_dtype
from versant.tf.elementwise import MATH, SPECIAL

TOP_LEVEL: dict[str, Any] = {
    "as_dtype": as_dtype,
    "realdiv": MATH["divide"],
    "truncatediv": MATH["truncatediv"],
    "truncatemod": MATH["truncatemod"],
    "clip_by_value": elementwise.clip_by_value,
}


def _module(name: str, names: dict[str, Any]) -> ModuleType:
    module = ModuleType(f"versant.tf.{name}", f"Names of TensorFlow's tf.{name}.")
    module.__dict__.update(names)
    sys.modules[module.__name__] = module
    return module


def _math() -> ModuleType:
    names: dict[str, Any] = {**MATH, **reductions.MATH}
    names |= {
        "special": _module("math.special", SPECIAL),
        "bincount": _lazy("extras", "bincount"),
        "confusion_matrix": _lazy("extras", "confusion_matrix"),
        "in_top_k": gathering.in_top_k,
        "top_k": gathering.top_k,
        "l2_normalize": products.l2_normalize,
        "invert_permutation": _lazy("extras", "invert_permutation"),
    }
    nn = import_module("versant.tf.neural")
    names |= {name: nn.NAMES[name] for name in ("softmax", "log_softmax", "zero_fraction", "softsign")}
    return _module("math", names)


def _lazy(module: str, name: str) -> Any:
    return getattr(import_module(f"versant.tf.{module}"), name)


def _nn() -> ModuleType:
    return _module("nn", import_module("versant.tf.neural").NAMES)


def _linalg() -> ModuleType:
    return _module("linalg", products.LINALG | {"eye": arrays.eye})


def _bitwise() -> ModuleType:
    return _module("bitwise", elementwise.BITWISE)


def _nest() -> ModuleType:
    nest = import_module("versant.tensors.nest")
    return _module("nest", {name: getattr(nest, name) for name in nest.__all__})


def _random() -> ModuleType:
    return import_module("versant.tf.random")


def _config() -> ModuleType:
    return import_module("versant.tf.config")


def _of(path: str) -> Callable[[], Any]:
    return lambda: import_module(f"versant.tf.{path}")


# What makes each of them.
NAMES: dict[str, Callable[[], Any]] = {
    "math": _math,
    "nn": _nn,
    "linalg": _linalg,
    "bitwise": _bitwise,
    "nest": _nest,
    "random": _random,
    "config": _config,
    "keras": _of("keras"),
    "data": _of("data"),
    "debugging": _of("debugging"),
    "summary": _of("summary"),
    "raw_ops": _of("raw_ops"),
    "signal": _of("signal"),
    "image": _of("image"),
    "autodiff": _of("autodiff"),
    "initializers": _of("keras.initializers"),
    "optimizers": _of("keras.optimizers"),
    "losses": _of("keras.losses"),
    "metrics": _of("keras.metrics"),
    "constant_initializer": lambda: _lazy("keras.initializers", "Constant"),
    "ones_initializer": lambda: _lazy("keras.initializers", "Ones"),
    "random_normal_initializer": lambda: _lazy("keras.initializers", "RandomNormal"),
    "random_uniform_initializer": lambda: _lazy("keras.initializers", "RandomUniform"),
    "zeros_initializer": lambda: _lazy("keras.initializers", "Zeros"),
    "TensorArray": lambda: _lazy("tensor_array", "TensorArray"),
    "Module": lambda: import_module("versant.tf.modules").Module,
    "device": lambda: import_module("versant.tf.config").device,
    "name_scope": lambda: import_module("versant.tf.config").name_scope,
    "control_dependencies": lambda: import_module("versant.tf.config").control_dependencies,
    "executing_eagerly": lambda: import_module("versant.tf.config").executing_eagerly,
    "Assert": lambda: import_module("versant.tf.debugging").Assert,
    "print": lambda: import_module("versant.tf.extras").print_,
}


def find(name: str) -> Any:
    """tf.<name>, or None."""
    make = NAMES.get(name)
    if make is None:
        return None
    found = make()
    setattr(sys.modules["versant.tf"], name, found)
    return found
