"""A network learns: layers, loss, tape and optimizer in one go."""

import versant as vs
from versant import nn


def test_a_small_network_learns_exclusive_or() -> None:
    vs.manual_seed(0)
    points = vs.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    labels = vs.tensor([0, 1, 1, 0])
    model = nn.Sequential(nn.Linear(2, 16), nn.GELU(), nn.Linear(16, 2))
    optimizer = vs.optim.Adam(model.parameters(), lr=0.05)
    losses = []
    for _ in range(100):
        loss = nn.functional.cross_entropy(model(points), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.01 < losses[0]
    assert model(points).argmax(dim=1).tolist() == labels.tolist()
