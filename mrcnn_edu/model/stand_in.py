"""A model in evaluation mode, while another thread trains the same one."""

import copy
import functools
import types
from collections.abc import Callable

import torch
from torch import nn

# Modules from here keep nothing that a caller would look for after a call.
KNOWN = ("torch", "torchvision", "mrcnn_edu")
OWN_NAMES = ("training", "_modules", "_compiled_call_impl")  # what a stand-in has for itself


def evaluating(method: Callable) -> Callable:
    """Run a model's method in evaluation mode. The mode of no module changes: see `StandIns`."""

    @functools.wraps(method)
    def run(model: nn.Module, *arguments, **options):
        if not any(module.training for module in model.modules()):
            return method(model, *arguments, **options)
        stand_ins = StandIns()
        try:
            return method(stand_ins.of(model), *arguments, **options)
        finally:
            stand_ins.give_back()

    return run


class StandIns:
    """The modules of a model in evaluation mode: parameters, buffers and hooks are the very same, the mode is not.

    To switch the mode of the modules themselves would reach into a training step of another thread. Hooks are called
    with the stand-in as their module. Compiled parts run as they were written.
    """

    def __init__(self):
        self._made: dict[nn.Module, nn.Module] = {}
        self._before: dict[nn.Module, dict] = {}

    def of(self, module: nn.Module) -> nn.Module:
        """The stand-in of a module, with those of all modules within."""
        if module not in self._made:
            if type(module).__module__ == "torch._dynamo.eval_frame":
                # What torch.compile(module) gives is bound to the module itself.
                self._made[module] = self.of(module._orig_mod)
            elif isinstance(module, torch.jit.ScriptModule):
                # A traced module cannot be copied, and needs not: its mode is that in which it was traced.
                scripted = hasattr(type(module), "__copy__")
                self._made[module] = copy.copy(module).eval() if scripted else module
            else:
                self._make(module)
        return self._made[module]

    def _make(self, module: nn.Module) -> None:
        other = self._made[module] = object.__new__(type(module))
        state = vars(other)
        state.update(vars(module))
        for name, value in state.items():
            if isinstance(value, types.MethodType) and value.__self__ is module:
                state[name] = types.MethodType(value.__func__, other)
        state["training"] = False
        state["_compiled_call_impl"] = None
        state["_modules"] = {n: None if child is None else self.of(child) for n, child in module._modules.items()}
        self._before[module] = dict(state)

    def give_back(self) -> None:
        """What the call has put into attributes of modules of the user's own, into those: a count, a feature map."""
        for module, before in self._before.items():
            if type(module).__module__.partition(".")[0] not in KNOWN:
                now = vars(self._made[module])
                changed = [n for n in now if n not in before or now[n] is not before[n]]
                vars(module).update({name: now[name] for name in changed if name not in OWN_NAMES})
