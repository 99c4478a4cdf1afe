"""Agents and their memories: delayed updates, priorities, recurrent policies, sequences of returns."""

import copy

import versant as torch
import versant.nn.functional as F
from tests.compiler.programs.table import program
from versant import nn
from versant.distributions import Categorical


def mlp(*sizes, last=nn.Identity):
    layers = []
    for a, b in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1], last())


@program(traces=2)
def delayed_policy():
    """Fujimoto et al. 2018: two critics, a smoothed target, a policy that learns every second step."""
    actor, critics = mlp(3, 16, 1, last=nn.Tanh), nn.ModuleList(mlp(4, 16, 1) for _ in range(2))
    actor_target, critics_target = copy.deepcopy(actor), copy.deepcopy(critics).requires_grad_(False)
    actor_optimizer = torch.optim.Adam(actor.parameters(), lr=1e-3)
    critic_optimizer = torch.optim.Adam(critics.parameters(), lr=1e-3)

    def soft_update(target, source, tau):
        for t, s in zip(target.parameters(), source.parameters(), strict=True):
            t.data.mul_(1.0 - tau)
            torch.add(t.data, s.data, alpha=tau, out=t.data)

    def step(state, action, reward, next_state, done, learn):
        with torch.no_grad():
            noise = (torch.randn_like(action) * 0.2).clamp(-0.5, 0.5)
            next_action = (actor_target(next_state) + noise).clamp(-1, 1)
            joined = torch.cat([next_state, next_action], 1)
            target = torch.min(*[c(joined) for c in critics_target])
            target = reward + (1 - done) * 0.99 * target
        values = [c(torch.cat([state, action], 1)) for c in critics]
        critic_loss = sum(F.mse_loss(v, target) for v in values)
        critic_optimizer.zero_grad()
        critic_loss.backward()
        critic_optimizer.step()
        if learn:
            actor_loss = -critics[0](torch.cat([state, actor(state)], 1)).mean()
            actor_optimizer.zero_grad()
            actor_loss.backward()
            actor_optimizer.step()
            soft_update(actor_target, actor, 0.005)
            soft_update(critics_target, critics, 0.005)
        return critic_loss.detach()

    def arguments(i):
        done = (torch.rand(5, 1) > 0.8).to(torch.get_default_dtype())
        return torch.randn(5, 3), torch.randn(5, 1), torch.randn(5, 1), torch.randn(5, 3), done, i % 2 == 1

    return step, arguments, [actor, critics, actor_target, critics_target]


@program()
def priorities_in_replay():
    """Schaul et al. 2016, Wang et al. 2016: duelling streams, samples weighted by their priorities."""

    class Duelling(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(4, 12)
            self.value = nn.Linear(12, 1)
            self.advantage = nn.Linear(12, 3)

        def forward(self, x):
            h = F.relu(self.body(x))
            a = self.advantage(h)
            return self.value(h) + a - a.mean(-1, keepdim=True)

    online, target = Duelling(), Duelling()
    target.load_state_dict(online.state_dict())
    optimizer = torch.optim.Adam(online.parameters(), lr=1e-2, eps=1.5e-4)
    memory = {name: torch.randn(16, 4) for name in ("state", "next")}
    memory["action"] = torch.randint(0, 3, (16,))
    memory["reward"] = torch.randn(16)
    priorities = torch.ones(16)

    def step(index):
        probabilities = priorities**0.6
        probabilities /= probabilities.sum()
        weights = (16 * probabilities[index]) ** -0.4
        weights = weights / weights.max()
        q = online(memory["state"][index]).gather(1, memory["action"][index].view(-1, 1)).squeeze(1)
        with torch.no_grad():
            best = online(memory["next"][index]).argmax(1, keepdim=True)
            after = torch.take_along_dim(target(memory["next"][index]), best, dim=1).squeeze(1)
            wanted = memory["reward"][index] + 0.9 * after
        error = F.smooth_l1_loss(q, wanted, reduction="none", beta=0.5)
        loss = (weights * error).mean()
        optimizer.zero_grad()
        loss.backward()
        for p in online.parameters():
            p.grad.data.clamp_(-1, 1)
        optimizer.step()
        priorities.index_copy_(0, index, (q - wanted).detach().abs() + 1e-5)
        with torch.no_grad():
            for t, s in zip(target.parameters(), online.parameters(), strict=True):
                t.lerp_(s, 0.01)
        return loss.detach()

    return step, lambda i: (torch.randperm(16)[:6],), [online, target, priorities, optimizer]


@program()
def recurrent_actor_critic():
    """Mnih et al. 2016 with generalised advantages: a recurrent policy, reset where an episode ends."""

    class Agent(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.LSTMCell(4, 8)
            self.policy = nn.Linear(8, 3)
            self.value = nn.Linear(8, 1)

        def forward(self, x, state):
            h, c = self.cell(x, state)
            return Categorical(logits=self.policy(h)), self.value(h).squeeze(-1), (h, c)

    agent = Agent()
    optimizer = torch.optim.RMSprop(agent.parameters(), lr=7e-4, alpha=0.99, eps=1e-5)

    def step(observations, actions, rewards, dones):
        state = (torch.zeros(2, 8), torch.zeros(2, 8))
        log_probs, values, entropies = [], [], []
        for t in range(observations.shape[0]):
            keep = (1 - dones[t]).unsqueeze(-1)
            state = tuple(s * keep for s in state)
            policy, value, state = agent(observations[t], state)
            log_probs.append(policy.log_prob(actions[t]))
            entropies.append(policy.entropy())
            values.append(value)
        values = torch.stack(values)
        advantages, gae = torch.zeros_like(rewards), 0
        for t in reversed(range(len(rewards) - 1)):
            delta = rewards[t] + 0.99 * values[t + 1].detach() * (1 - dones[t + 1]) - values[t].detach()
            gae = delta + 0.99 * 0.95 * (1 - dones[t + 1]) * gae
            advantages[t] = gae
        returns = advantages + values.detach()
        normal = (advantages - advantages.mean()) / (advantages.std(unbiased=False) + 1e-8)
        policy_loss = -(torch.stack(log_probs) * normal).mean()
        loss = policy_loss + 0.5 * (returns - values).pow(2).mean() - 0.01 * torch.stack(entropies).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(agent.parameters(), max_norm=0.5)
        optimizer.step()
        return loss.detach(), returns

    def arguments(i):
        dones = (torch.rand(5, 2) > 0.7).to(torch.get_default_dtype())
        return torch.randn(5, 2, 4), torch.randint(0, 3, (5, 2)), torch.randn(5, 2), dones

    return step, arguments, [agent, optimizer]


@program()
def sequence_of_returns():
    """Chen et al. 2021: returns, states and actions as one sequence of tokens for a causal transformer."""

    class Decisions(nn.Module):
        def __init__(self, width=12):
            super().__init__()
            self.embed_return = nn.Linear(1, width)
            self.embed_state = nn.Linear(3, width)
            self.embed_action = nn.Linear(2, width)
            self.embed_time = nn.Embedding(10, width)
            layer = nn.TransformerEncoderLayer(
                width, nhead=3, dim_feedforward=24, dropout=0.0, activation="gelu", batch_first=True
            )
            self.encoder = nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False)
            self.norm = nn.LayerNorm(width)
            self.head = nn.Sequential(nn.Linear(width, 2), nn.Tanh())

        def forward(self, returns, states, actions, times):
            b, t = states.shape[:2]
            time = self.embed_time(times)
            tokens = torch.stack(
                (
                    self.embed_return(returns) + time,
                    self.embed_state(states) + time,
                    self.embed_action(actions) + time,
                ),
                dim=1,
            )
            tokens = tokens.permute(0, 2, 1, 3).reshape(b, 3 * t, -1)
            mask = torch.triu(torch.full((3 * t, 3 * t), float("-inf")), diagonal=1)
            h = self.encoder(self.norm(tokens), mask=mask)
            h = h.reshape(b, t, 3, -1).permute(0, 2, 1, 3)
            return self.head(h[:, 1])

    model = Decisions()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: min((n + 1) / 4, 1))

    def step(returns, states, actions, times, mask):
        predicted = model(returns, states, actions, times)
        chosen = mask.reshape(-1, 1).expand(-1, 2)
        difference = (predicted.reshape(-1, 2) - actions.reshape(-1, 2)) * chosen
        loss = difference.square().sum() / chosen.sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()
        scheduler.step()
        return loss.detach()

    def arguments(i):
        times = torch.arange(4).repeat(2, 1) + i % 3
        mask = (times < 5).to(torch.get_default_dtype())
        return torch.randn(2, 4, 1), torch.randn(2, 4, 3), torch.rand(2, 4, 2), times, mask

    return step, arguments, [model, optimizer]


@program()
def model_of_the_world():
    """Ha and Schmidhuber 2018: a recurrent model that predicts what comes, and a plan by cross entropy."""
    model = nn.GRUCell(5, 8)
    head = nn.Linear(8, 4)
    optimizer = torch.optim.Adam([*model.parameters(), *head.parameters()], lr=5e-3)

    def rollout(state, actions):
        h = torch.zeros(actions.shape[0], 8)
        rewards = []
        for t in range(actions.shape[1]):
            h = model(torch.cat([state, actions[:, t]], -1), h)
            out = head(h)
            state, reward = state + 0.1 * out[:, :3], out[:, 3]
            rewards.append(reward)
        return state, torch.stack(rewards, 1)

    def step(state, actions, wanted):
        reached, rewards = rollout(state, actions)
        loss = F.mse_loss(reached, wanted) + 1e-2 * rewards.pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mean, std = torch.zeros(3, 2), torch.ones(3, 2)
        with torch.no_grad():
            for _ in range(2):
                plans = mean + std * torch.randn(12, 3, 2)
                _, gained = rollout(state[:1].expand(12, -1), plans)
                elite = plans[gained.sum(1).topk(4).indices]
                mean, std = elite.mean(0), elite.std(0, unbiased=False) + 1e-3
        return loss.detach(), mean

    def arguments(i):
        return torch.randn(4, 3), torch.randn(4, 3, 2), torch.randn(4, 3)

    return step, arguments, [model, head, optimizer]


@program(traces=2)
def evolution_strategy():
    """Salimans et al. 2017: mirrored noise, ranks of what it earns, a vector of all parameters."""
    net = mlp(3, 6, 2)
    for p in net.parameters():
        p.requires_grad_(False)
    momentum = torch.zeros(sum(p.numel() for p in net.parameters()))

    def earned(vector, x, y):
        torch.nn.utils.vector_to_parameters(vector, net.parameters())
        return -F.mse_loss(net(x), y)

    def step(x, y):
        center = torch.nn.utils.parameters_to_vector(net.parameters()).clone()
        noise = torch.randn(4, center.numel())
        noise = torch.cat([noise, -noise])
        fitness = torch.stack([earned(center + 0.1 * e, x, y) for e in noise])
        ranks = fitness.argsort().argsort().to(center.dtype) / (len(noise) - 1) - 0.5
        gradient = (ranks @ noise) / (len(noise) * 0.1)
        momentum.mul_(0.9).add_(gradient)
        torch.nn.utils.vector_to_parameters(center + 0.02 * momentum, net.parameters())
        return fitness.max(), ranks

    return step, lambda i: (torch.randn(5, 3), torch.randn(5, 2)), [net, momentum]
