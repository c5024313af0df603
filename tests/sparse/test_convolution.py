"""Convolutions against the dense ones of torch, and what must hold for any input.

The dense oracle: on a grid whose empty cells are zero, the sparse convolution is the dense one read at the output
voxels, with kernel slot ix + K iy + K^2 iz as weight [..., ix, iy, iz].
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparse3d.sparse import (
    BatchNorm,
    Convolution,
    ConvolutionTranspose,
    ReLU,
    SparseTensor,
    concatenate,
    functional,
    native,
)
from sparse3d.sparse.batch_norm import _sums_native
from sparse3d.sparse.kernel_map import spaced_offsets

Coords = Callable[..., Tensor]
EXTENT = 12  # a multiple of every stride here, so that grids start on a coarse voxel


@pytest.fixture(params=["gathered at once", "slot by slot"])
def torch_form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both forms of the torch backend, whatever the number of channels."""
    monkeypatch.setattr(functional, "_GATHER_ALL_CHANNELS", 1000 if request.param == "gathered at once" else 0)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def to_dense(coords: Tensor, feats: Tensor, stride: int, batch_size: int) -> Tensor:
    """(B, C, X, Y, Z) over [-EXTENT, EXTENT)."""
    side = 2 * EXTENT // stride
    b, x, y, z = (coords.long() + torch.tensor([0, EXTENT, EXTENT, EXTENT])).unbind(1)
    dense = feats.new_zeros(batch_size, side, side, side, feats.shape[1])
    return dense.index_put((b, x // stride, y // stride, z // stride), feats).permute(0, 4, 1, 2, 3)


def read_dense(dense: Tensor, coords: Tensor, stride: int, shift: int = 0) -> Tensor:
    b, x, y, z = (coords.long() + torch.tensor([0, EXTENT, EXTENT, EXTENT])).unbind(1)
    return dense.permute(0, 2, 3, 4, 1)[b, x // stride + shift, y // stride + shift, z // stride + shift]


def dense_weight(kernel: Tensor, kernel_size: int) -> Tensor:
    """(K^3, C_in, C_out) -> (C_in, C_out, Kx, Ky, Kz)."""
    cube = kernel.reshape(kernel_size, kernel_size, kernel_size, *kernel.shape[-2:])
    return cube.permute(3, 4, 2, 1, 0)


def reach(kernel_size: int, dilation: int) -> int:
    """How far the kernel reaches to the left."""
    return dilation * (kernel_size // 2) if kernel_size % 2 else 0


def grads(out: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    cotangent = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(5))
    return torch.autograd.grad(out, inputs, cotangent)


SHAPES = [(1, 1, 1), (3, 1, 1), (5, 1, 1), (3, 1, 2), (2, 1, 1), (2, 2, 1), (3, 2, 1), (1, 2, 1), (3, 3, 1), (4, 4, 1)]
SHAPES += [(5, 2, 2), (2, 3, 2)]


@pytest.mark.usefixtures("torch_form")
@pytest.mark.parametrize(("kernel_size", "stride", "dilation"), SHAPES)
def test_convolution_and_its_gradients_equal_the_dense_ones(
    random_coords: Coords, kernel_size: int, stride: int, dilation: int
) -> None:
    coords = random_coords(300)
    feats = torch.randn(300, 4, dtype=torch.float64, requires_grad=True)
    conv = Convolution(4, 3, kernel_size, stride=stride, dilation=dilation).double()
    out = conv(SparseTensor.from_coords(coords, feats, backend="torch"))
    left = reach(kernel_size, dilation)
    padded = F.pad(to_dense(coords, feats, 1, 2), (left, dilation * (kernel_size - 1)) * 3)
    weight = dense_weight(conv.kernel, kernel_size).transpose(0, 1)
    expected = read_dense(F.conv3d(padded, weight, stride=stride, dilation=dilation), out.coords, stride)
    assert out.tensor_stride == (stride,) * 3
    assert torch.allclose(out.feats, expected, atol=1e-12)
    for ours, oracle in zip(grads(out.feats, feats, conv.kernel), grads(expected, feats, conv.kernel), strict=True):
        assert torch.allclose(ours, oracle, atol=1e-11)


@pytest.mark.usefixtures("torch_form")
@pytest.mark.parametrize(("kernel_size", "stride", "dilation"), [(2, 2, 1), (3, 2, 1), (3, 1, 1), (2, 3, 1), (3, 2, 2)])
def test_transposed_convolution_and_its_gradients_equal_the_dense_ones(
    random_coords: Coords, kernel_size: int, stride: int, dilation: int
) -> None:
    coords = random_coords(300)
    fine = SparseTensor.from_coords(coords, torch.zeros(300, 1, dtype=torch.float64), backend="torch")
    coarse = Convolution(1, 1, 2, stride=stride).double()(fine) if stride > 1 else fine
    feats = torch.randn(len(coarse.feats), 4, dtype=torch.float64, requires_grad=True)
    conv = ConvolutionTranspose(4, 3, kernel_size, stride=stride, dilation=dilation).double()
    out = conv(coarse.with_feats(feats))
    dense = F.conv_transpose3d(
        to_dense(coarse.coords, feats, stride, 2),
        dense_weight(conv.kernel, kernel_size),
        stride=stride,
        dilation=dilation,
    )
    left = reach(kernel_size, dilation)
    expected = read_dense(F.pad(dense, (0, stride + left) * 3), coords, 1, shift=left)
    assert out.tensor_stride == (1, 1, 1) and torch.equal(out.coords, coords)
    assert torch.allclose(out.feats, expected, atol=1e-12)
    for ours, oracle in zip(grads(out.feats, feats, conv.kernel), grads(expected, feats, conv.kernel), strict=True):
        assert torch.allclose(ours, oracle, atol=1e-11)


@pytest.mark.usefixtures("torch_form")
@pytest.mark.parametrize(("kernel_size", "stride"), [(3, 1), (2, 2)])
def test_gradients_pass_gradcheck(random_coords: Coords, kernel_size: int, stride: int) -> None:
    coords = random_coords(12, extent=2)
    down = Convolution(2, 3, kernel_size, stride=stride).double()
    up = ConvolutionTranspose(3, 2, kernel_size, stride=stride).double()

    def there_and_back(feats: Tensor, *_: Tensor) -> Tensor:
        return up(down(SparseTensor.from_coords(coords, feats, backend="torch"))).feats

    feats = torch.randn(12, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(there_and_back, (feats, down.kernel, up.kernel))


def test_a_gradient_of_a_gradient_is_refused_rather_than_wrong(random_coords: Coords) -> None:
    feats = torch.randn(12, 2, requires_grad=True)
    out = Convolution(2, 3, 3)(SparseTensor.from_coords(random_coords(12), feats, backend="torch")).feats
    (grad,) = torch.autograd.grad((out**2).sum(), feats, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiat"):
        grad.sum().backward()


def small_unet(channels: int = 3) -> nn.Module:
    """Down, up and a skip connection."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(Convolution(channels, 12, 3), BatchNorm(12), ReLU())
            self.down = nn.Sequential(Convolution(12, 10, 2, stride=2), BatchNorm(10), ReLU(), Convolution(10, 10, 3))
            self.up = ConvolutionTranspose(10, 9, 2, stride=2)
            self.last = Convolution(21, 4, 3)

        def forward(self, x: SparseTensor) -> SparseTensor:
            fine = self.stem(x)
            return self.last(concatenate(self.up(self.down(fine)), fine))

    torch.manual_seed(0)
    return Net().double()


def test_output_rows_follow_the_input_rows_in_any_order(random_coords: Coords, backend: str) -> None:
    coords, net = random_coords(400), small_unet().eval()
    feats = torch.randn(400, 3, dtype=torch.float64)
    shuffle = torch.randperm(400)
    out = net(SparseTensor.from_coords(coords, feats, backend=backend))
    shuffled = net(SparseTensor.from_coords(coords[shuffle], feats[shuffle], backend=backend))
    assert torch.equal(out.coords, coords) and torch.equal(shuffled.coords, coords[shuffle])
    assert torch.allclose(shuffled.feats, out.feats[shuffle], atol=1e-12)


def test_batch_items_never_mix(random_coords: Coords, backend: str) -> None:
    coords, net = random_coords(500, batch_size=3), small_unet().eval()
    feats = torch.randn(500, 3, dtype=torch.float64)
    together = net(SparseTensor.from_coords(coords, feats, backend=backend)).feats
    for item in range(3):
        rows = coords[:, 0] == item
        alone = net(SparseTensor.from_coords(coords[rows], feats[rows], backend=backend)).feats
        assert torch.allclose(together[rows], alone, atol=1e-12)


def test_one_voxel_is_multiplied_by_the_middle_of_the_kernel(backend: str) -> None:
    feats = torch.randn(1, 3)
    conv = Convolution(3, 4, 3)
    out = conv(SparseTensor.from_coords(torch.tensor([[0, -5, 2, 9]], dtype=torch.int32), feats, backend=backend))
    assert torch.allclose(out.feats, feats @ conv.kernel[13], atol=1e-6)


def test_no_voxel_gives_no_row_and_zero_gradients(backend: str) -> None:
    net = small_unet().eval()
    empty = SparseTensor.from_coords(
        torch.zeros(0, 4, dtype=torch.int32), torch.zeros(0, 3).double(), batch_size=2, backend=backend
    )
    out = net(empty)
    assert out.feats.shape == (0, 4) and out.coords.shape == (0, 4)
    out.feats.sum().backward()
    assert all(p.grad is not None and not p.grad.any() for n, p in net.named_parameters() if n.endswith("kernel"))


def test_strided_convolutions_meet_on_the_same_coarse_voxels(random_coords: Coords, backend: str) -> None:
    coords = random_coords(200)
    x = SparseTensor.from_coords(coords, torch.randn(200, 9), backend=backend)
    a, b = Convolution(9, 9, 2, stride=2)(x), Convolution(9, 9, 3, stride=2)(x)
    assert len((a + b).feats) == len(concatenate(a, b).feats)
    floors = {(c[0], *(v // 2 * 2 for v in c[1:])) for c in coords.tolist()}
    assert {tuple(c) for c in a.coords.tolist()} == floors and len(a.coords) == len(floors)


def test_transposing_below_the_given_voxels_is_an_error(random_coords: Coords, backend: str) -> None:
    x = SparseTensor.from_coords(random_coords(20), torch.randn(20, 2), backend=backend)
    with pytest.raises(ValueError, match="tensor stride that it divides"):
        ConvolutionTranspose(2, 2, 2, stride=2)(x)


def test_tensors_of_other_voxels_do_not_add_or_concatenate(random_coords: Coords) -> None:
    coords, feats = random_coords(20), torch.randn(20, 2)
    a, b = (SparseTensor.from_coords(coords, feats, backend="torch") for _ in range(2))
    with pytest.raises(ValueError, match="same SparseTensor"):
        a + b
    with pytest.raises(ValueError, match="cannot be united"):
        a + Convolution(2, 2, 2, stride=2)(a)
    with pytest.raises(ValueError, match="same voxels"):
        concatenate(a, Convolution(2, 2, 2, stride=2)(a))


@pytest.mark.parametrize(
    ("coords", "batch_size", "message"),
    [
        (torch.tensor([[0, 0, 0, 1.5]]), None, "integers"),
        (torch.tensor([[0, 0, 0, 70000]]), None, "shift the cloud"),
        (torch.tensor([[0, 1, 1, 1], [0, 1, 1, 1]]), None, "voxelize"),
        (torch.tensor([[2, 1, 1, 1]]), 2, "batch index 2"),
        (torch.tensor([[1, 1, 1]]), None, r"\(N, 4\)"),
    ],
)
def test_bad_coordinates_are_refused_by_either_backend(
    coords: Tensor, batch_size: int | None, message: str, backend: str
) -> None:
    with pytest.raises(ValueError, match=message):
        SparseTensor.from_coords(coords, torch.zeros(len(coords), 1), batch_size, backend)


def test_features_of_another_number_of_channels_are_refused(random_coords: Coords) -> None:
    x = SparseTensor.from_coords(random_coords(20), torch.randn(20, 2), backend="torch")
    with pytest.raises(ValueError, match="channels"):
        Convolution(3, 4, 3)(x)


def test_maps_are_freed_with_the_last_tensor(random_coords: Coords, backend: str) -> None:
    net = small_unet()
    feats = torch.randn(300, 3, dtype=torch.float64)
    watched = []
    for _ in range(2):
        x = SparseTensor.from_coords(random_coords(300), feats, backend=backend)
        out = net(x)
        (out.feats**2).sum().backward()
        watched.append(weakref.ref(x.manager))
        if backend == "torch":
            assert len(x.manager._maps) == 3  # type: ignore[attr-defined]
            watched += [weakref.ref(m) for m in x.manager._maps.values()]  # type: ignore[attr-defined]
        del x, out
    # Without the garbage collector's help: nothing refers in a circle.
    assert all(ref() is None for ref in watched)


def torch_keeps_its_bits(c_in: int, c_out: int, threads: Callable[[int], None]) -> bool:
    """Whether torch's own product, of a gradient of weights, is the same on three threads as on one.

    On AMD's CPUs MKL's is not for a few widths, whatever ``MKL_CBWR`` says: it cuts the result by the threads.
    """
    rows, grads = torch.randn(500, c_in), torch.randn(500, c_out)
    products = []
    for count in (1, 3):
        threads(count)
        products.append(rows.t() @ grads)
    return torch.equal(*products)


@pytest.mark.parametrize(("c_in", "kernel_size", "stride"), [(3, 5, 1), (32, 3, 1), (24, 2, 2)])
def test_a_convolution_has_the_same_bits_on_one_thread_and_on_more(
    surface_coords: Tensor, threads: Callable[[int], None], c_in: int, kernel_size: int, stride: int
) -> None:
    torch.manual_seed(0)
    conv, feats = Convolution(c_in, 32, kernel_size, stride=stride), torch.randn(len(surface_coords), c_in)
    results = []
    for count in (1, 2, 2, *([3] if torch_keeps_its_bits(c_in, 32, threads) else [])):
        threads(count)
        x = feats.clone().requires_grad_()
        out = conv(SparseTensor.from_coords(surface_coords, x, backend="torch")).feats
        results.append([out.detach(), *grads(out, x, conv.kernel)])
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_training_step_has_the_same_bits_on_one_thread_and_on_more(
    surface_coords: Tensor, threads: Callable[[int], None]
) -> None:
    coords, feats = surface_coords[:1500], torch.randn(1500, 3)
    results = []
    for count in (1, 1, 2, 3):
        threads(count)
        net = small_unet().float()
        out = net(SparseTensor.from_coords(coords, feats, backend="torch")).feats
        results.append([out.detach(), *grads(out, *net.parameters())])
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_spatial_convolution_takes_what_autocast_left_of_a_linear_one(backend: str, random_coords: Coords) -> None:
    """A 1^3 convolution is a matrix product, which autocast runs in bfloat16: the next one meets two types."""
    coords = random_coords(150)
    torch.manual_seed(0)
    feats, layers = torch.randn(len(coords), 6), nn.Sequential(Convolution(6, 8, 1), Convolution(8, 4, 3))
    plain = layers(SparseTensor.from_coords(coords, feats, backend=backend)).feats
    with torch.autocast("cpu", torch.bfloat16):
        found = layers(SparseTensor.from_coords(coords, feats, backend=backend)).feats
    found.float().square().sum().backward()
    torch.testing.assert_close(found.float(), plain, rtol=0.05, atol=0.05)
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in layers.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("channels", [4, 20])
def test_a_network_in_a_half_type_rounds_its_sums_once(
    dtype: torch.dtype, channels: int, backend: str, random_coords: Coords
) -> None:
    """To within one rounding of every sum; one a slot would be several times as far off."""
    coords, layer = random_coords(400, extent=4), Convolution(channels, 5, 3).to(dtype)
    given, gradient = torch.randn(len(coords), channels).to(dtype), torch.randn(len(coords), 5).to(dtype)
    exact_layer, results = Convolution(channels, 5, 3).double(), []
    exact_layer.load_state_dict(layer.state_dict())
    for own in (layer, exact_layer):
        feats = given.to(own.kernel.dtype, copy=True).requires_grad_()
        out = own(SparseTensor.from_coords(coords, feats, backend=backend)).feats
        out.backward(gradient.to(out.dtype))
        results.append([out, feats.grad, own.kernel.grad])
    for found, exact in zip(*results, strict=True):
        assert found.dtype == dtype
        torch.testing.assert_close(found.double(), exact, rtol=torch.finfo(dtype).eps / 2 * 1.01, atol=2e-5)


def test_where_torchs_tensors_lie_by_default_does_not_matter(backend: str, random_coords: Coords) -> None:
    coords, net = random_coords(150), small_unet().float()
    feats, results = torch.randn(len(coords), 3), []
    for device in ("cpu", "meta"):
        spaced_offsets.cache_clear()
        with torch.device(device):
            out = net(SparseTensor.from_coords(coords, feats, backend=backend)).feats
            results.append([out.detach(), *torch.autograd.grad(out.square().sum(), list(net.parameters()))])
    for a, b in zip(*results, strict=True):
        if backend == "minkowski":  # whose threads add in an order of their own each time
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3 * float(a.abs().max()))
        else:
            assert torch.equal(a, b)
    if native.available():
        with torch.device("meta"):
            assert _sums_native(feats[:0]).device.type == _sums_native(feats).device.type == "cpu"


def test_features_are_not_made_again_from_what_was_written_to_since(random_coords: Coords) -> None:
    """A convolution keeps the way to make its features, not them: what was written before it read them must count."""
    if not native.available():
        pytest.skip(native.why_not())
    coords, gradients = random_coords(120), []
    torch.manual_seed(0)
    feats, first, second = torch.randn(len(coords), 4), Convolution(4, 8, 3), Convolution(4, 8, 3)
    norm, last = BatchNorm(8), Convolution(16, 4, 3)
    for backend in ("native", "torch"):
        x = SparseTensor.from_coords(coords, feats.clone(), backend=backend)
        skip = first(x)
        joined = concatenate(norm(second(x), relu=True), skip)
        torch.relu_(skip.feats)
        loss = last(joined).feats.square().sum()
        gradients.append(torch.autograd.grad(loss, [last.kernel])[0])
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)
