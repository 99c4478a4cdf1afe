"""Programs of the kind that tutorials show: translation, letters, styles, pairs, words, pruning."""

import math

import versant as torch
import versant.nn.functional as F
from tests.compiler.programs.table import program
from versant import nn
from versant.nn.utils import parametrizations, prune


class Positions(nn.Module):
    def __init__(self, width, longest=20):
        super().__init__()
        rates = torch.exp(-torch.arange(0, width, 2) * math.log(10000) / width)
        places = torch.arange(0, longest).reshape(longest, 1)
        table = torch.zeros((longest, width))
        table[:, 0::2], table[:, 1::2] = torch.sin(places * rates), torch.cos(places * rates)
        self.register_buffer("table", table.unsqueeze(-2))

    def forward(self, x):
        return x + self.table[: x.size(0), :]


class Translator(nn.Module):
    def __init__(self, words=11, width=8):
        super().__init__()
        self.embedding, self.positions = nn.Embedding(words, width, padding_idx=1), Positions(width)
        self.transformer = nn.Transformer(width, 2, 1, 1, 16, dropout=0.0)
        self.generator = nn.Linear(width, words)

    def embed(self, tokens):
        return self.positions(self.embedding(tokens) * math.sqrt(8))

    def forward(self, source, target):
        future = torch.triu(torch.ones(len(target), len(target), dtype=torch.bool), diagonal=1)
        absent, also = (source == 1).transpose(0, 1), (target == 1).transpose(0, 1)
        out = self.transformer(
            self.embed(source), self.embed(target), None, future, None, absent, also, absent
        )
        return self.generator(out)


@program()
def translation():
    """nn.Transformer with masks of the future and of padding."""
    model = Translator()
    for p in model.parameters():
        if p.dim() > 1:
            nn.init.xavier_uniform_(p)
    criterion = nn.CrossEntropyLoss(ignore_index=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.9, 0.98), eps=1e-9)

    def step(source, target):
        logits = model(source, target[:-1, :])
        optimizer.zero_grad()
        loss = criterion(logits.reshape(-1, logits.shape[-1]), target[1:, :].reshape(-1))
        loss.backward()
        optimizer.step()
        return loss.detach()

    def arguments(i):
        source, target = torch.randint(2, 11, (6, 3)), torch.randint(2, 11, (5, 3))
        source[4:, 1] = 1
        target[3:, 2] = 1
        return source, target

    return step, arguments, [model, optimizer]


class Letters(nn.Module):
    def __init__(self, letters, hidden, classes):
        super().__init__()
        self.hidden = hidden
        self.to_hidden = nn.Linear(letters + hidden, hidden)
        self.to_output = nn.Linear(letters + hidden, classes)

    def forward(self, letter, hidden):
        both = torch.cat((letter, hidden), 1)
        return F.log_softmax(self.to_output(both), dim=1), self.to_hidden(both)


@program()
def names_letter_by_letter():
    """A recurrent network by hand, and parameters that are moved through .data."""
    model = Letters(7, 9, 4)

    def step(line, category):
        hidden = torch.zeros(1, model.hidden)
        model.zero_grad()
        for i in range(line.size(0)):
            output, hidden = model(line[i], hidden)
        loss = F.nll_loss(output, category)
        loss.backward()
        for p in model.parameters():
            p.data.add_(p.grad.data, alpha=-0.05)
        return output.detach(), loss.detach()

    def arguments(i):
        line = torch.zeros(5, 1, 7)
        for place, letter in enumerate(torch.randint(0, 7, (5,)).tolist()):
            line[place][0][letter] = 1
        return line, torch.tensor([i % 4])

    return step, arguments, [model]


class Style(nn.Module):
    def __init__(self, target):
        super().__init__()
        self.target = self.gram(target).detach()

    @staticmethod
    def gram(x):
        a, b, c, d = x.size()
        features = x.view(a * b, c * d)
        return torch.mm(features, features.t()).div(a * b * c * d)

    def forward(self, x):
        self.loss = F.mse_loss(self.gram(x), self.target)
        return x


@program(traces=2)
def style_of_an_image():
    """An image is learned, by losses that layers keep as attributes."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))
    network.requires_grad_(False)
    style = torch.sigmoid(torch.randn(1, 3, 8, 8))
    layers, x = [], style
    for layer in network:
        x = layer(x)
        layers += [layer, Style(x)] if isinstance(layer, nn.Conv2d) else [layer]
    model = nn.Sequential(*layers)
    image = torch.rand(1, 3, 8, 8).requires_grad_()
    optimizer = torch.optim.Adam([image], lr=0.1)

    def step():
        with torch.no_grad():
            image.clamp_(0, 1)
        optimizer.zero_grad()
        model(image)
        loss = 1e3 * sum(layer.loss for layer in model if isinstance(layer, Style))
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda i: (), [image, optimizer]


@program()
def pairs_of_images():
    """One network for both images, and a contrastive loss."""
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.ReflectionPad2d(1),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 4),
    )
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3, momentum=0.9)

    def step(first, second, differs):
        distance = F.pairwise_distance(model(first), model(second), keepdim=True)
        far = torch.clamp(2.0 - distance, min=0.0)
        loss = torch.mean((1 - differs) * distance.pow(2) + differs * far.pow(2))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def arguments(i):
        differs = torch.tensor([[1.0], [0.0], [1.0], [0.0]])
        return torch.randn(4, 1, 8, 8), torch.randn(4, 1, 8, 8), differs

    return step, arguments, [model, optimizer]


@program()
def words_by_their_neighbours():
    """Skip-grams with negative samples."""
    centre, context = nn.Embedding(15, 4), nn.Embedding(15, 4)
    optimizer = torch.optim.Adagrad([*centre.parameters(), *context.parameters()], lr=0.1)

    def step(words, near, random):
        u = centre(words)
        good = F.logsigmoid((u * context(near)).sum(1).clamp(-10, 10))
        bad = F.logsigmoid(-torch.bmm(context(random), u.unsqueeze(2)).squeeze(2).clamp(-10, 10)).sum(1)
        loss = -(good + bad).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def arguments(i):
        return tuple(torch.randint(0, 15, shape) for shape in ((5,), (5,), (5, 3)))

    return step, arguments, [centre, context, optimizer]


@program()
def pruned_and_orthogonal():
    """A pruned layer and an orthogonal one go on training."""
    pruned, free = nn.Linear(6, 8), nn.Linear(8, 2)
    prune.l1_unstructured(pruned, "weight", amount=0.5)
    middle = parametrizations.orthogonal(nn.Linear(8, 8, bias=False))
    model = nn.Sequential(pruned, nn.Tanh(), middle, free)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x, y):
        loss = F.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), pruned.weight.detach().clone()

    return step, lambda i: (torch.randn(4, 6), torch.randn(4, 2)), [free, optimizer]
