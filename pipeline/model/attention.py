"""Attention of the newest frame (queries) over past frames (keys and values).

There are two kinds. ``match`` starts as a comparison of appearance: the query and key projections are
initialised identically and compared by cosine, and the values carry the position of the match. ``plain`` uses
scaled dot products, with position embeddings added to both keys and values. Both cache the bare projection
of a frame; position and slot embeddings are added on use, which is exact because the projection is linear.
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.model.architecture import AttentionKind

_START_TEMPERATURE = 10.0
_LARGEST_TEMPERATURE = 100.0
# Finite even in float16: a row with only absent keys yields no NaN, forward or backward.
_ABSENT = -3e4


class CrossAttention(nn.Module):
    """Multi-head attention without projections of its own.

    Args:
        dim: ``D``.
        num_heads: ``H``; must divide ``dim``.
        kind: ``match`` compares L2-normalised heads, times a learned temperature for each head;
            ``plain`` is the scaled dot product (Vaswani et al., arXiv 1706.03762).
    """

    def __init__(self, dim: int, num_heads: int, kind: AttentionKind = "match") -> None:
        super().__init__()
        self.num_heads = num_heads
        self.scale = 1.0 / math.sqrt(dim // num_heads)
        self.log_temperature: nn.Parameter | None = None
        if kind == "match":
            self.log_temperature = nn.Parameter(torch.full((num_heads, 1, 1), math.log(_START_TEMPERATURE)))

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, present: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Averages ``value``, weighted by how well ``key`` matches ``query``.

        Args:
            query: ``(B, S, D)``.
            key: ``(B, K, D)``.
            value: ``(B, K, D)``.
            present: ``(B, K)`` bool, False for keys to ignore; None if all are present.

        Returns:
            The output ``(B, S, D)``, and the weights, mean over heads, ``(B, S, K)`` in float32. A row
            without a present key has zero output and zero weights.
        """
        q, k, v = (x.view(*x.shape[:2], self.num_heads, -1).transpose(1, 2) for x in (query, key, value))
        with full_precision(query.device.type):
            scores = self._scores(q.float(), k.float())
            if present is None:
                weights = scores.softmax(dim=-1)
            else:
                mask = present[:, None, None, :]
                weights = scores.masked_fill(~mask, _ABSENT).softmax(dim=-1) * mask
        found = (weights.to(v.dtype) @ v).transpose(1, 2).flatten(2)
        return found, weights.mean(dim=1)

    def _scores(self, q: Tensor, k: Tensor) -> Tensor:
        if self.log_temperature is None:
            return q @ k.transpose(-2, -1) * self.scale
        # the default eps of 1e-12 becomes zero in runtimes that compute this in float16
        q, k = F.normalize(q, dim=-1, eps=1e-6), F.normalize(k, dim=-1, eps=1e-6)
        temperature = self.log_temperature.float().exp().clamp(max=_LARGEST_TEMPERATURE)
        return q @ k.transpose(-2, -1) * temperature


def full_precision(device: str) -> AbstractContextManager[object]:
    """Disables autocast: scores reach 100, where bfloat16 has steps of 0.5."""
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


class DynamicQueryGenerator(nn.Module):
    """Projects the input to queries, one for each position.

    Args:
        input_dim: Width of the input.
        d_model: ``D``.
    """

    def __init__(self, input_dim: int, d_model: int) -> None:
        super().__init__()
        self.query_proj = nn.Linear(input_dim, d_model)

    def forward(self, input_features: Tensor) -> Tensor:
        """Queries ``(B, S, D)`` of features ``(B, S, C)``."""
        queries: Tensor = self.query_proj(input_features)
        return queries


class AttentionLayer(nn.Module):
    """One layer: projections of the new and the past frames, attention, and refinement of the tokens.

    Args:
        query_channels: ``C``.
        key_channels: Channels of each scale that provides keys.
        dim: ``D``.
        num_heads: ``H``.
        num_past: ``T``.
        kind: See ``CrossAttention``.
        tied_values: Use the keys as values instead of a separate projection.
        first: Whether this is the first layer; later ones add a projection of the previous layer's tokens to
            the query.
    """

    def __init__(
        self,
        query_channels: int,
        key_channels: Sequence[int],
        dim: int,
        num_heads: int,
        num_past: int,
        *,
        kind: AttentionKind,
        tied_values: bool,
        first: bool,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.query = DynamicQueryGenerator(query_channels, dim)
        self.key = nn.ModuleList(nn.Linear(channels, dim) for channels in key_channels)
        self.value = None if tied_values else nn.ModuleList(nn.Linear(width, dim) for width in key_channels)
        self.refine = None if first else nn.Linear(dim, dim, bias=False)
        self.attention = CrossAttention(dim, num_heads, kind)
        self.slots = nn.Parameter(torch.randn(num_past, dim) * 0.02)
        self.no_past = nn.Parameter(torch.zeros(dim))
        self.out = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim)
        self.feed_forward = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))
        if kind == "match":
            for key in self.key:
                if key.weight.shape == self.query.query_proj.weight.shape:
                    key.load_state_dict(self.query.query_proj.state_dict())
        if self.refine is not None:
            nn.init.zeros_(self.refine.weight)

    def refine_query(self, query: Tensor, tokens: Tensor) -> Tensor:
        """``Q`` from the projected features and the previous layer's tokens, all ``(B, S, D)``."""
        return query if self.refine is None else query + self.refine(tokens)

    def project(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Keys and values of one past frame.

        Args:
            features: ``(B, positions, channels)`` of each scale.

        Returns:
            Two tensors ``(B, S_k, D)``, without position and slot embeddings; with tied values the same
            tensor twice.
        """
        keys = torch.cat([key(x) for key, x in zip(self.key, features, strict=True)], dim=1)
        if self.value is None:
            return keys, keys
        return keys, torch.cat([value(x) for value, x in zip(self.value, features, strict=True)], dim=1)

    def attend(
        self, query: Tensor, keys: Tensor, values: Tensor, valid: Tensor, here: Tensor, there: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Attention over the past slots.

        Args:
            query: ``(B, S, D)``.
            keys: ``(B, T, S_k, D)``, as returned by ``project``.
            values: Of the same shape.
            valid: ``(B, T)`` bool: which slots hold a frame.
            here: Position embeddings of the queries, ``(S, D)``.
            there: Position embeddings of the keys, ``(S_k, D)``.

        Returns:
            The attention output ``(B, S, D)``, projected after the query's own position is subtracted; the
            weights, mean over heads, ``(B, S, T * S_k)``, which sum to 1 unless no slot is valid.
        """
        marks = there + self.slots[:, None, :]
        if self.kind == "plain":
            keys = keys + marks
        present = valid.repeat_interleave(there.shape[0], dim=1)
        found, weights = self.attention(query, keys.flatten(1, 2), (values + marks).flatten(1, 2), present)
        nothing = ~valid.any(dim=1)[:, None, None]
        # the position of the match minus the query's own position is the displacement
        found = torch.where(nothing, self.no_past, found - here)
        return self.out(found), weights

    def update(self, tokens: Tensor, found: Tensor) -> Tensor:
        """The next tokens ``(B, S, D)``: residual, norm and feed-forward."""
        tokens = self.norm(tokens + found)
        refined: Tensor = tokens + self.feed_forward(tokens)
        return refined
