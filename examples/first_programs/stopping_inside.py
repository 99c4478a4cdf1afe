"""Stopping inside a network: a PyTorch program, with another import line and a small network."""

import versant as torch

model = torch.nn.Sequential(
    torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
)
x = torch.rand(10, 3, 32, 32)
import pdb; pdb.set_trace()
y = model(x)
