"""How a module is called inside of the model that runs: "GPT.blocks.3.mlp"."""

import weakref
from typing import Any

from versant.nn.module import Module

_paths: weakref.WeakKeyDictionary[Module, dict[int, tuple[Any, str]]] = weakref.WeakKeyDictionary()


def path_of(root: Module, module: Module) -> str:
    """The class of the root, and the dotted name of the module below it; else the module's class alone."""
    for fresh in (False, True):
        known = _paths.get(root)
        if known is None or fresh:
            known = _paths[root] = {id(m): (weakref.ref(m), name) for name, m in root.named_modules()}
        found = known.get(id(module))
        if found is not None and found[0]() is module:
            return f"{type(root).__name__}.{found[1]}" if found[1] else type(root).__name__
    return f"{type(root).__name__}/{type(module).__name__}"


def name_of(tensor: Any, roots: list[Module]) -> str:
    """The name of a parameter, a buffer or a gradient of one of the modules; "" for any other tensor.

    Tensors are recognised by their memory, so that a view that begins where a parameter begins has its name.
    """
    place = tensor.data_ptr()
    for root in roots:
        for name, value in (*root.named_parameters(), *root.named_buffers()):
            if value.numel() and value.data_ptr() == place:
                return f"{type(root).__name__}.{name}"
            if value.grad is not None and value.grad.data_ptr() == place:
                return f"{type(root).__name__}.{name}.grad"
    return ""
