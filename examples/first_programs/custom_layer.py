"""A custom layer: a PyTorch program, with another import line."""

import versant as torch


class MyCustomLayer(torch.nn.Module):
    def __init__(self):
        super(MyCustomLayer, self).__init__()

    def forward(self, inputs):
        return torch.log(inputs)

x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
layer = MyCustomLayer()
y = layer(x)
loss = torch.sum(y)
loss.backward()
