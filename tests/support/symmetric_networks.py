"""Networks whose permutation symmetry is known by hand."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two convolutions with batch normalisation around a skip, with a projection where the width changes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.skip = nn.Sequential()
        if inputs != outputs:
            self.skip = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.norm1(self.conv1(x)), inplace=True)
        out = self.norm2(self.conv2(inner))
        out += self.skip(x)
        return F.relu(out)


class SmallResNet(nn.Module):
    """A stem, three residual blocks of two widths, global pooling and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.blocks = nn.Sequential(ResidualBlock(4, 4), ResidualBlock(4, 6), ResidualBlock(6, 6))
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.blocks(F.relu(self.norm(self.stem(x))))
        return self.head(maps.mean((2, 3)))


class Gated(nn.Module):
    """Depthwise convolution, a squeeze-and-excitation gate, concatenation and group normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(1, 4, 3)
        self.depth = nn.Conv2d(4, 4, 3, groups=4, padding=1)
        self.norm = nn.GroupNorm(1, 4)
        self.squeeze = nn.Linear(4, 2)
        self.excite = nn.Linear(2, 4)
        self.other = nn.Conv2d(4, 3, 3, padding=1)
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, 7).view(7, 1, 1))
        self.head = nn.Linear(7 * 9, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.gelu(self.norm(self.depth(self.wide(x)))), 2)
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean(dim=(-2, -1))))))
        x = x * gate[:, :, None, None]
        both = torch.cat([x, torch.tanh(self.other(x))], dim=1) * self.scale
        return self.head(torch.flatten(both, 1))


class Normed(nn.Module):
    """A perceptron with a learned position, layer normalisation, PReLU, a tied weight and a sum over units."""

    def __init__(self) -> None:
        super().__init__()
        self.inp = nn.Linear(3, 5)
        self.position = nn.Parameter(torch.linspace(-1, 1, 20).view(4, 5))
        self.norm = nn.LayerNorm(5)
        self.act = nn.PReLU(1)
        self.again = nn.Linear(5, 5)
        self.matrix = nn.Parameter(torch.linspace(-1, 1, 30).cos().view(5, 6))

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.inp(x) + self.position))
        x = torch.tanh(self.again(torch.tanh(self.again(x))))
        return torch.softmax(x @ self.matrix, -1).square().sum(-1)


class Recurrent(nn.Module):
    """A two-layer LSTM in both directions, then a GRU that reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(8, 3)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        states, (hidden, _) = self.lstm(x)
        summary, last = self.gru(states.transpose(0, 1))
        return self.head(summary[-1] + last[0]) + hidden.mean(-1).sum(0)[:, None]


class Decoder(nn.Module):
    """An embedding, a reshape to maps and a transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 5)
        self.fc = nn.Linear(5, 12)
        self.up = nn.ConvTranspose2d(3, 4, 2, stride=2)
        self.out = nn.Conv2d(4, 1, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(F.silu(self.up(self.fc(self.embed(tokens).sum(1)).view(-1, 3, 2, 2))))


class Upsampler(nn.Module):
    """Convolution, padding, interpolation, transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(1, 5, 3)
        self.up = nn.ConvTranspose2d(5, 4, 2, stride=2)
        self.out = nn.Conv2d(4, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(F.pad(F.silu(self.down(x)), (1, 1, 0, 2)), scale_factor=2)
        return self.out(F.silu(self.up(x)))
