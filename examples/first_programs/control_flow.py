"""Control flow on values: a PyTorch program, with another import line."""

import versant as torch


def complex_model_pt(x):
    if torch.sum(x) > 5:
        y = x**2
    else:
        y = torch.sqrt(x)
    return y

x = torch.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
y = complex_model_pt(x)
loss = torch.sum(y)
loss.backward()
