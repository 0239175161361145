import numpy as np
import pytest
import torch

from pipeline.runtime.step import Part
from pipeline.runtime.tensors import fetched, floats, part_of, tensor_of


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_a_tensor_comes_back_from_its_part(kind: torch.dtype) -> None:
    tensor = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0)).to(kind).transpose(0, 2)
    part = part_of(tensor)
    assert (part.number, part.shape) == (str(kind).removeprefix("torch."), (5, 3, 2))
    assert torch.equal(tensor_of(part), tensor)


def test_numbers_of_a_part_are_little_endian_row_by_row() -> None:
    assert part_of(torch.tensor([[1.0, 0.0], [-2.0, 0.5]])) == Part(
        "float32", (2, 2), np.array([1, 0, -2, 0.5], "<f4").tobytes()
    )


def test_an_answer_has_the_types_that_all_engines_give() -> None:
    chances, weights = torch.rand(2, 9), torch.rand(2, 4, 8)
    fields = [torch.rand(2, 2, 2, 4, 4, dtype=torch.bfloat16), *(torch.rand(2, 4, 4) for _ in range(3))]
    answer = fetched(chances, weights, fields)
    np.testing.assert_array_equal(answer.probabilities, chances.numpy())
    np.testing.assert_array_equal(answer.attention, weights.half().numpy())
    assert answer.motion is not None
    assert {field.dtype for field in answer.motion} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(answer.motion.flow, floats(fields[0]))
    bare = fetched(chances, None, [])
    assert (bare.attention, bare.motion) == (None, None)
