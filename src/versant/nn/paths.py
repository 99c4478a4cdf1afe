"""How a module is called inside of the model that runs: "GPT.blocks.3.mlp", "Sequential.dense_1"."""

import weakref
from collections.abc import Iterator
from typing import Any

from versant.nn.module import Module

# Of each root: the modules in it by their id, with their names; None for those that were asked for in vain.
_paths: weakref.WeakKeyDictionary[Any, dict[int, tuple[Any, str | None]]] = weakref.WeakKeyDictionary()


def path_of(root: Any, module: Any) -> str:
    """The class of the root, and the dotted name of the module below it; else the module's class alone.

    root, module: modules of nn or of TensorFlow's dialect, layers of Keras.
    """
    name = _name_in(root, module)
    if name is None:
        _paths.pop(root, None)
        name = _name_in(root, module)
    if name is None:
        return f"{type(root).__name__}/{type(module).__name__}"
    return f"{type(root).__name__}.{name}" if name else type(root).__name__


def holds(root: Any, module: Any) -> bool:
    """Whether the module is the root or a part of it, as far as is known."""
    return _name_in(root, module) is not None


def _name_in(root: Any, module: Any) -> str | None:
    for _ in range(2):
        known = _paths.get(root, {})
        found = known.get(id(module))
        if found is not None and found[0]() is module:
            return found[1]
        known = _paths[root] = {id(m): (weakref.ref(m), name) for name, m in _modules(root)}
    known[id(module)] = weakref.ref(module), None
    return None


def name_of(tensor: Any, roots: list[Any]) -> str:
    """The name of a parameter, a buffer, a variable or a gradient of one of the modules; "" for any other
    tensor.

    Tensors are recognised by their memory, so that a view that begins where a parameter begins has its name.
    """
    place = tensor.data_ptr()
    for root in roots:
        for name, value in _values(root):
            if value.numel() and value.data_ptr() == place:
                return f"{type(root).__name__}.{name}"
            if value.grad is not None and value.grad.data_ptr() == place:
                return f"{type(root).__name__}.{name}.grad"
    return ""


def _modules(root: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(root, Module):
        yield from root.named_modules()
        return
    from versant.tf import modules

    for name, part in modules.named_parts(root):
        if isinstance(part, modules.Module):
            yield name, part


def _values(root: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(root, Module):
        yield from root.named_parameters()
        yield from root.named_buffers()
        return
    from versant.tf import modules

    for name, part in modules.named_parts(root):
        if not isinstance(part, modules.Module):
            yield name, part
