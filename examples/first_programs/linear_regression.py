"""Linear regression: one step of a PyTorch program, with another import line."""

import versant as torch

x = torch.tensor([[1.0], [2.0], [3.0]], requires_grad=True)
y = torch.tensor([[2.0], [4.0], [6.0]])
w = torch.randn([1, 1], requires_grad=True)
b = torch.zeros([1], requires_grad=True)

y_pred = torch.matmul(x, w) + b
loss = torch.mean((y_pred - y)**2)
loss.backward()

optimizer = torch.optim.SGD([w, b], lr=0.01)
optimizer.step()
optimizer.zero_grad()
