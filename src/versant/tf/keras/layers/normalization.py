"""Batch and layer normalization."""

from typing import Any

import versant
from versant import _core
from versant.nn import functional as F
from versant.tf.arrays import reshape
from versant.tf.keras import initializers
from versant.tf.keras.layers.layer import Layer
from versant.tf.neural import batch_normalization, moments
from versant.tf.tensors import brand, convert

__all__ = ["BatchNormalization", "GroupNormalization", "LayerNormalization", "UnitNormalization"]


class BatchNormalization(Layer):
    """Each channel less its mean, divided by its deviation, times gamma plus beta.

    With training=True mean and variance are those of the batch, and the moving ones follow:
    moving = momentum * moving + (1 - momentum) * batch's. (Ioffe and Szegedy, 2015)
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis, self.momentum, self.epsilon = axis, momentum, epsilon
        self.center, self.scale = center, scale
        self._initial = [
            initializers.get(i)
            for i in (
                gamma_initializer,
                beta_initializer,
                moving_mean_initializer,
                moving_variance_initializer,
            )
        ]

    def build(self, input_shape: Any) -> None:
        """Make gamma, beta and the moving mean and variance."""
        shape = (input_shape[self.axis],)
        gamma, beta, mean, variance = self._initial
        self.gamma = self.add_weight(shape, gamma, name="gamma") if self.scale else None
        self.beta = self.add_weight(shape, beta, name="beta") if self.center else None
        self.moving_mean = self.add_weight(shape, mean, trainable=False, name="moving_mean")
        self.moving_variance = self.add_weight(shape, variance, trainable=False, name="moving_variance")
        self.built = True

    def call(self, inputs: Any, training: Any = False) -> Any:
        """The normalized inputs."""
        x = convert(inputs)
        axis = self.axis % x.dim()
        shape = [1] * x.dim()
        shape[axis] = x.shape[axis]
        if training and self.trainable:
            mean, variance = moments(x, tuple(a for a in range(x.dim()) if a != axis))
            rest = 1 - self.momentum
            self.moving_mean.assign_add((mean - self.moving_mean) * rest)
            self.moving_variance.assign_add((variance - self.moving_variance) * rest)
        else:
            mean, variance = self.moving_mean, self.moving_variance
        mean, variance, beta, gamma = (
            None if part is None else reshape(part, shape) for part in (mean, variance, self.beta, self.gamma)
        )
        return batch_normalization(x, mean, variance, beta, gamma, self.epsilon)


class LayerNormalization(Layer):
    """Each sample less its mean over axis, divided by its deviation, times gamma plus beta.

    Ba et al., 2016.
    """

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis, self.epsilon, self.center, self.scale = axis, epsilon, center, scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)

    def build(self, input_shape: Any) -> None:
        """Make gamma and beta."""
        axes = (self.axis,) if isinstance(self.axis, int) else tuple(self.axis)
        self._axes = sorted(a % len(input_shape) for a in axes)
        if self._axes != list(range(len(input_shape) - len(axes), len(input_shape))):
            raise ValueError(f"[LayerNormalization] axis must name the last axes, got {self.axis}")
        shape = tuple(input_shape[a] for a in self._axes)
        self.gamma = self.add_weight(shape, self.gamma_initializer, name="gamma") if self.scale else None
        self.beta = self.add_weight(shape, self.beta_initializer, name="beta") if self.center else None
        self.built = True

    def call(self, inputs: Any) -> Any:
        """The normalized inputs."""
        x = _core.plain(convert(inputs))
        sizes = [tuple(x.shape)[a] for a in self._axes]
        gamma, beta = (None if w is None else _core.plain(w) for w in (self.gamma, self.beta))
        return brand(F.layer_norm(x, sizes, gamma, beta, self.epsilon))


class GroupNormalization(Layer):
    """Channels in groups, each less its mean, divided by its deviation. (Wu and He, 2018)"""

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if axis != -1:
            raise ValueError("[GroupNormalization] axis must be -1")
        self.groups, self.epsilon, self.center, self.scale = groups, epsilon, center, scale

    def build(self, input_shape: Any) -> None:
        """Make gamma and beta."""
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(shape, "ones", name="gamma") if self.scale else None
        self.beta = self.add_weight(shape, "zeros", name="beta") if self.center else None
        self.built = True

    def call(self, inputs: Any) -> Any:
        """The normalized inputs."""
        x = versant.movedim(_core.plain(convert(inputs)), -1, 1)
        c = tuple(x.shape)[1]
        gamma, beta = (None if w is None else _core.plain(w) for w in (self.gamma, self.beta))
        groups = c if self.groups == -1 else self.groups
        return brand(versant.movedim(F.group_norm(x, groups, gamma, beta, self.epsilon), 1, -1).contiguous())


class UnitNormalization(Layer):
    """Each sample divided by its Euclidean norm over axis."""

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.built = True
        self.axis = axis

    def call(self, inputs: Any) -> Any:
        """The normalized inputs."""
        from versant.tf.products import l2_normalize

        return l2_normalize(inputs, self.axis)
