import torch

from pipeline.model.motion.moving import EVIDENCE_CHANNELS, MovingHead, evidence


def test_evidence_is_the_residual_measured_in_expected_errors() -> None:
    residual = torch.tensor([3.0, -4.0]).view(1, 2, 1, 1)
    for error_px in (0.5, 5.0):
        log_error = torch.full((1, 1, 1), error_px).log()
        found = evidence(residual, log_error, torch.full((1, 1, 1, 1), 0.7)).flatten()
        assert len(found) == EVIDENCE_CHANNELS
        x, y, length, in_errors, error, along = found
        torch.testing.assert_close(torch.stack((x, y, length)).sinh(), torch.tensor([3.0, -4.0, 5.0]))
        torch.testing.assert_close(in_errors.expm1(), torch.tensor(5 / error_px))
        torch.testing.assert_close((4 * error).exp(), torch.tensor(error_px))
        assert float(along) == torch.tensor(0.7)


def test_the_mask_sees_far_around_a_place() -> None:
    torch.manual_seed(0)
    head = MovingHead(2, 4, 8, 6)
    seen = torch.zeros(1, 2 * (4 + EVIDENCE_CHANNELS + 1), 64, 64, requires_grad=True)
    logits = head(seen, torch.randn(1, 8, 64, 64), torch.randn(1, 6, 32, 32))
    assert logits.shape == (1, 64, 64)
    logits[0, 32, 32].backward()
    rows = seen.grad.abs().sum(dim=(0, 1, 3)).nonzero()
    assert int(rows.max() - rows.min()) > 24
