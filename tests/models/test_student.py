"""The 2D student respects the mask."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from sparse3d.errors import InputError
from sparse3d.models.student import MaskedConv2d, Student2D, masked_pool, masked_pools


def inputs(h: int = 7, w: int = 9, channels: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, channels, h, w, generator=generator), torch.rand(2, h, w, generator=generator) > 0.4


def test_values_outside_the_mask_never_leak() -> None:
    x, mask = inputs()
    other = torch.where(mask[:, None], x, torch.full_like(x, 1e6))
    conv, student = MaskedConv2d(4, 6), Student2D(4, (5, 3), (8, 16), 4, hidden=8)
    assert torch.equal(conv(x, mask), conv(other, mask))
    assert not conv(x, mask).movedim(1, -1)[~mask].any()
    for (a, mask_a), (b, mask_b) in zip(student(x, mask), student(other, mask), strict=True):
        assert torch.equal(a, b) and torch.equal(mask_a, mask_b)
    for factor in (2, 4):
        assert torch.equal(masked_pool(x, mask, factor)[0], masked_pool(other, mask, factor)[0])


def test_a_full_mask_gives_the_plain_convolution_in_the_interior() -> None:
    x, _ = inputs()
    conv = MaskedConv2d(4, 6)
    plain = F.conv2d(x, conv.conv.weight, conv.bias, padding=1)
    out = conv(x, torch.ones(2, 7, 9, dtype=torch.bool))
    assert torch.allclose(out[:, :, 1:-1, 1:-1], plain[:, :, 1:-1, 1:-1], atol=1e-5)
    scaled = F.conv2d(x, conv.conv.weight, padding=1)[:, :, 0, 0] * 9 / 4 + conv.bias
    assert torch.allclose(out[:, :, 0, 0], scaled, atol=1e-5)  # beyond the border nothing exists


def test_a_lonely_cell_sees_itself_ninefold() -> None:
    x, _ = inputs()
    mask = torch.zeros(2, 7, 9, dtype=torch.bool)
    mask[:, 3, 4] = True
    conv = MaskedConv2d(4, 6)
    expected = 9 * x[:, :, 3, 4] @ conv.conv.weight[:, :, 1, 1].t() + conv.bias
    assert torch.allclose(conv(x, mask)[:, :, 3, 4], expected, atol=1e-4)


@pytest.mark.parametrize(("h", "w", "factor"), [(60, 80, 8), (60, 80, 4), (7, 9, 2), (5, 3, 4)])
def test_pooling_is_the_mean_over_existing_cells_at_any_size(h: int, w: int, factor: int) -> None:
    """240 x 320 pixels with stride 32 are 8 x 10 cells, the last row half full."""
    x, mask = inputs(h, w, channels=2)
    mask[0, :factor, :factor] = False
    pooled, pooled_mask = masked_pool(x, mask, factor)
    assert pooled.shape[-2:] == pooled_mask.shape[-2:] == (-(-h // factor), -(-w // factor))
    for n in range(2):
        for r in range(pooled.shape[2]):
            for c in range(pooled.shape[3]):
                window = (slice(r * factor, (r + 1) * factor), slice(c * factor, (c + 1) * factor))
                known = mask[n][window]
                assert bool(pooled_mask[n, r, c]) == bool(known.any())
                oracle = x[n][:, window[0], window[1]][:, known].mean(1) if known.any() else torch.zeros(2)
                assert torch.allclose(pooled[n, :, r, c], oracle, atol=1e-5)


@pytest.mark.parametrize("factors", [(4, 8), (8, 4), (2, 3, 6, 6), (1, 5)])
def test_pools_of_several_factors_are_those_of_each(factors: tuple[int, ...]) -> None:
    x, mask = inputs(13, 17)
    for factor, (pooled, known) in zip(factors, masked_pools(x, mask, factors), strict=True):
        alone, alone_known = masked_pool(x, mask, factor)
        assert torch.equal(known, alone_known)
        assert torch.allclose(pooled, alone, atol=1e-6)
        assert not pooled.movedim(1, -1)[~known].any()


def test_predictions_have_the_taps_shapes() -> None:
    student = Student2D(4, (5, 3), (16, 32), 4, hidden=8)
    taps = student(torch.randn(1, 4, 60, 80), torch.ones(1, 60, 80, dtype=torch.bool))
    assert [tuple(p.shape) for p, _ in taps] == [(1, 5, 15, 20), (1, 3, 8, 10)]
    assert [tuple(m.shape) for _, m in taps] == [(1, 15, 20), (1, 8, 10)]


def test_an_empty_mask_gives_finite_gradients() -> None:
    x = torch.randn(1, 4, 8, 8, requires_grad=True)
    student = Student2D(4, (5,), (16,), 4, hidden=8)
    prediction, mask = student(x, torch.zeros(1, 8, 8, dtype=torch.bool))[0]
    prediction.sum().backward()
    assert not mask.any() and x.grad is not None and not x.grad.any()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in student.parameters())


def test_strides_that_do_not_fit_name_what_to_change() -> None:
    with pytest.raises(InputError, match="map_stride = 4"):
        Student2D(4, (5,), (14,), 4)
