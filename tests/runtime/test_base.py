import numpy as np

from pipeline.runtime.open_torch import open_torch
from pipeline.runtime.runtime_options import Options
from tests.model.small import small
from tests.runtime.test_torch_engine import pictures


def test_known_and_new_pictures_keep_their_places_in_any_mix() -> None:
    runtime = open_torch(small(), Options(device="cpu"))
    images, empty = pictures(4), [[None, None]] * 4
    alone = [runtime.infer([image], empty[:1]).results[0].probabilities for image in images]
    memories = runtime.infer(images, empty).remember()
    known = [memories[0], None, memories[2], None]
    step = runtime.infer(images, empty, known=known)
    for result, expected in zip(step.results, alone, strict=True):
        np.testing.assert_allclose(result.probabilities, expected, atol=1e-5)
    assert len({probabilities.tobytes() for probabilities in alone}) == 4, "each has an answer of its own"
    found = step.remember()
    assert (found[0], found[2]) == (memories[0], memories[2])
    for new in (1, 3):
        np.testing.assert_allclose(found[new].entry.keys, memories[new].entry.keys, atol=1e-4)
