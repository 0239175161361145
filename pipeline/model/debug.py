"""Debugging output: every intermediate result, by its name in the reference implementation."""

from collections.abc import Sequence

from torch import Tensor


def kqv_info(
    maps: Sequence[Tensor],
    keys: Tensor,
    values: Tensor,
    query: Tensor,
    attended_output: Tensor,
    attention_weights: Tensor,
) -> dict[str, Tensor]:
    """The dictionary ``kqv_info``; for ``T`` = 2, its keys are ``feat_t_minus_2`` ... ``feat_t`` and so on.

    With several attention layers these are the tensors of the last one. Keys and values are the bare
    projections, without position and slot embeddings.

    Args:
        maps: The last feature map of each frame, oldest first, ``(B, C, rows, columns)``.
        keys: ``(B, T, S_k, D)``.
        values: Of the same shape.
        query: ``(B, S, D)``.
        attended_output: ``(B, S, D)``.
        attention_weights: ``(B, S, T * S_k)``.

    Returns:
        15 tensors for ``T`` = 2, four more for each further past frame.
    """
    past = [f"t_minus_{i}" for i in range(keys.shape[1], 0, -1)]
    named = dict(zip([*past, "t"], maps, strict=True))
    return {
        **{f"feat_{name}": x for name, x in named.items()},
        **{f"feat_flat_{name}": x.flatten(2).transpose(1, 2) for name, x in named.items()},
        "K": keys.flatten(1, 2),
        "V": values.flatten(1, 2),
        "Q": query,
        **{f"k_{name}": keys[:, i] for i, name in enumerate(past)},
        **{f"v_{name}": values[:, i] for i, name in enumerate(past)},
        "attended_output": attended_output,
        "attention_weights": attention_weights,
    }
