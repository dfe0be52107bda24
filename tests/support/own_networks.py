"""Networks as users write them: attention, batch normalisation, tied and frozen weights, several floating types."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossatlas.core.randomness import generator


class Transformer(nn.Module):
    """A small transformer of torch's own layers: attention, layer normalisation, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.position = nn.Parameter(0.1 * torch.randn(6, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(8, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.encoder(self.embedding(tokens) + self.position).mean(1))


class CausalAttention(nn.Module):
    """Attention through the fused function, in the type of half the field's code: softmax in float32, then back."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.norm = nn.RMSNorm(8)
        self.mix = nn.Linear(8, 24)
        self.head = nn.Linear(8, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.embedding(tokens)
        parts = self.mix(self.norm(hidden)).view(len(tokens), -1, 3, 2, 4).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*parts, is_causal=True)
        hidden = hidden + mixed.transpose(1, 2).flatten(2)
        gate = torch.softmax(hidden, -1, dtype=torch.float32).type_as(hidden)
        return self.head((hidden * gate).mean(1))


class BasicBlock(nn.Module):
    """The block of the usual image networks, with activations in place."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class ImageNet(nn.Module):
    """Stem with pooling, two stages, adaptive pooling, a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = nn.Sequential(BasicBlock(4, 4, 1))
        self.layer2 = nn.Sequential(BasicBlock(4, 6, 2), BasicBlock(6, 6, 1))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.layer2(self.layer1(x))), 1))


class Mixed(nn.Module):
    """A frozen embedding in bfloat16, a body in float32 with a tied weight and dropout, a head in float64."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8, dtype=torch.bfloat16).requires_grad_(False)
        self.inp = nn.Linear(8, 8)
        self.body = nn.Linear(8, 8)
        self.again = nn.Linear(8, 8)
        self.again.weight = self.body.weight
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, 3, dtype=torch.float64)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = torch.tanh(self.inp(self.embedding(tokens).float().mean(1)))
        hidden = torch.tanh(self.again(self.drop(torch.tanh(self.body(hidden)))))
        return self.head(hidden.double())


def token_data(n: int = 40) -> tuple[Tensor, Tensor]:
    tokens = torch.randint(0, 11, (n, 6), generator=generator("own tokens"))
    return tokens, tokens.sum(1) % 3


def image_data(n: int = 30) -> tuple[Tensor, Tensor]:
    g = generator("own images")
    return torch.randn(n, 3, 16, 16, generator=g), torch.randint(0, 3, (n,), generator=g)


OWN = {
    "transformer": (Transformer, token_data),
    "causal attention": (CausalAttention, token_data),
    "image network": (ImageNet, image_data),
    "mixed types": (Mixed, token_data),
}
