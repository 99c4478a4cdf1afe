"""Making tensors: a PyTorch program, with another import line."""

import versant as torch

x = torch.rand(5, 3)
y = torch.rand(5, 3)
z = x + y
