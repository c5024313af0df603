"""A convolution and its norm as one call: the two layers' values, whatever was known or changed before.

conv_norm(x, convolution, norm, ...) = concatenate(norm(convolution(x), relu=..., residual=...), beside).
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparse3d.models.resunet import BasicBlock, SRUNet
from sparse3d.sparse import (
    BatchNorm,
    Convolution,
    ConvolutionTranspose,
    GenerativeConvolutionTranspose,
    SparseTensor,
    concatenate,
    conv_norm,
    native,
)
from sparse3d.sparse.native import convolution as native_convolution

Coords = Callable[..., Tensor]
needs_native = pytest.mark.skipif(not native.available(), reason=native.why_not())


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every fused pass."""
    counted: list[int] = []
    finish = native_convolution._finish

    def count(*given: Any) -> None:
        counted.append(1)
        finish(*given)

    monkeypatch.setattr(native_convolution, "_finish", count)
    return counted


def layers(
    c_in: int, c_out: int, kernel: int = 3, bias: bool = False, stride: int = 1
) -> tuple[Convolution, BatchNorm]:
    """In evaluation, with statistics and parameters that are none of the starting ones."""
    torch.manual_seed(1)
    convolution, norm = Convolution(c_in, c_out, kernel, stride=stride, bias=bias), BatchNorm(c_out)
    for tensor in (norm.bn.running_mean, norm.bn.weight, norm.bn.bias):
        nn.init.normal_(tensor)  # type: ignore[arg-type]
    nn.init.uniform_(norm.bn.running_var, 0.1, 3.0)  # type: ignore[arg-type]
    return convolution.eval(), norm.eval()


def cloud(coords: Tensor, channels: int, backend: str = "native", dtype: torch.dtype = torch.float32) -> SparseTensor:
    torch.manual_seed(2)
    return SparseTensor.from_coords(coords, torch.randn(len(coords), channels, dtype=dtype), backend=backend)


def apart(
    x: SparseTensor,
    convolution: Convolution,
    norm: BatchNorm,
    relu: bool = False,
    residual: SparseTensor | None = None,
    beside: SparseTensor | None = None,
) -> Tensor:
    out = norm(convolution(x), relu=relu, residual=residual)
    return (out if beside is None else concatenate(out, beside)).feats.detach()


@needs_native
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize(
    ("rows", "c_in", "c_out", "kernel", "bias"),
    [
        (1, 1, 1, 3, False),
        (200, 3, 24, 3, True),  # few input channels
        (200, 2, 5, 5, False),
        (300, 17, 100, 3, False),  # few rows, channels that fill no vector
        (300, 64, 96, 1, True),
        (1500, 10, 31, 3, True),  # many rows
        (1500, 16, 48, 3, False),
        (1500, 33, 7, 1, False),
    ],
)
def test_one_pass_gives_what_the_layers_give(
    random_coords: Coords,
    passes: list[int],
    rows: int,
    c_in: int,
    c_out: int,
    kernel: int,
    bias: bool,
    add: bool,
    relu: bool,
) -> None:
    convolution, norm = layers(c_in, c_out, kernel, bias)
    x = cloud(random_coords(rows), c_in)
    residual = x.with_feats(torch.randn(rows, c_out)) if add else None
    expected = apart(x, convolution, norm, relu, residual)
    with torch.no_grad():
        out = conv_norm(x, convolution, norm, relu=relu, residual=residual)
        assert len(passes) == 1
        torch.testing.assert_close(out.feats, expected, rtol=1e-6, atol=1e-6)
        beside = x.with_feats(torch.randn(rows, 3))
        wide = conv_norm(x, convolution, norm, relu=relu, residual=residual, beside=beside)
        assert torch.equal(wide.feats, torch.cat([out.feats, beside.feats], dim=1)) and wide.feats.is_contiguous()
        if residual is not None:
            over = conv_norm(x, convolution, norm, relu=relu, residual=residual, over_residual=True)
            assert over.feats.data_ptr() == residual.feats.data_ptr() and torch.equal(over.feats, out.feats)
    assert len(passes) == (3 if add else 2)


@needs_native
def test_what_the_convolution_reads_is_not_written_over(random_coords: Coords) -> None:
    convolution, norm = layers(8, 8)
    x = cloud(random_coords(300), 8)
    before, expected = x.feats.clone(), apart(x, convolution, norm, True, x)
    with torch.no_grad():
        out = conv_norm(x, convolution, norm, relu=True, residual=x, over_residual=True).feats
    torch.testing.assert_close(out, expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(x.feats, before)


@needs_native
def test_inference_mode_is_as_without_gradients(random_coords: Coords) -> None:
    convolution, norm = layers(8, 8)
    coords = random_coords(300)
    results = []
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            x = cloud(coords, 8)
            residual = conv_norm(x, convolution, norm)
            given = {"relu": True, "residual": residual, "over_residual": True}
            results.append(conv_norm(x, convolution, norm, **given).feats.clone())  # type: ignore[arg-type]
    assert torch.equal(*results)


@needs_native
@pytest.mark.parametrize(("c_in", "rows"), [(20, 1700), (20, 500), (3, 1700)])  # the three ways to convolve
def test_bits_do_not_depend_on_the_number_of_threads(random_coords: Coords, c_in: int, rows: int) -> None:
    before, runs = torch.get_num_threads(), []
    convolution, norm = layers(c_in, 50)
    x = cloud(random_coords(rows), c_in)
    residual = x.with_feats(torch.randn(rows, 50))
    try:
        for threads in (1, 2, 3, 1):
            torch.set_num_threads(threads)
            with torch.no_grad():
                runs.append(conv_norm(x, convolution, norm, relu=True, residual=residual).feats)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(run, runs[0]) for run in runs)


@needs_native
def test_the_output_may_live_on_other_voxels(random_coords: Coords, passes: list[int]) -> None:
    fine = cloud(random_coords(900), 8)
    down, norm = layers(8, 12, 2, stride=2)
    up, up_norm = ConvolutionTranspose(12, 6, 2, stride=2), layers(1, 6)[1]
    with torch.no_grad():
        coarse = conv_norm(fine, down, norm, relu=True)
        back = conv_norm(coarse, up, up_norm, beside=fine)
        assert len(passes) == 2 and coarse.tensor_stride == (2, 2, 2) and back.key == fine.key
        torch.testing.assert_close(coarse.feats, norm(down(fine), relu=True).feats)
        torch.testing.assert_close(back.feats, concatenate(up_norm(up(coarse)), fine).feats)
        for wrong in ({"residual": fine}, {"beside": fine}):
            with pytest.raises(ValueError, match="same voxels"):
                conv_norm(fine, down, norm, **wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="other coordinate manager"):
            conv_norm(fine, down, norm, residual=cloud(random_coords(900), 12))


def test_every_backend_gives_what_its_layers_give(random_coords: Coords, backend: str) -> None:
    convolution, norm = layers(5, 9)
    x = cloud(random_coords(400), 5, backend)
    residual, beside = (x.with_feats(torch.randn(400, channels)) for channels in (9, 4))
    with torch.no_grad():
        expected = apart(x, convolution, norm, True, residual, beside)
        out = conv_norm(x, convolution, norm, relu=True, residual=residual, beside=beside).feats
        assert torch.equal(out, expected) if backend != "native" else torch.allclose(out, expected, atol=1e-6)


@needs_native
def test_training_and_gradients_take_the_layers(random_coords: Coords, passes: list[int]) -> None:
    """The same values, statistics and gradients, to the bit."""
    found = []
    for fused in (False, True):
        convolution, norm = layers(6, 11)
        x = cloud(random_coords(500), 6)
        for training in (True, False):
            norm.train(training)
            feats = x.feats.clone().requires_grad_()
            given = x.with_feats(feats)
            out = conv_norm(given, convolution, norm, relu=True) if fused else norm(convolution(given), relu=True)
            out.feats.square().sum().backward()
            found.append([out.feats, feats.grad, convolution.kernel.grad, norm.bn.running_var, norm.bn.weight.grad])
        with torch.no_grad():
            norm.train()
            conv_norm(x, convolution, norm)
    for one, other in zip(found[:2], found[2:], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))  # type: ignore[arg-type]
    assert passes == []
    for parameter in (*convolution.parameters(), *norm.parameters()):
        parameter.requires_grad_(False)
    assert not conv_norm(x, convolution, norm.eval()).feats.requires_grad and len(passes) == 1
    with torch.no_grad():
        trained = norm.bn.running_mean.clone()  # type: ignore[operator]
        conv_norm(x, convolution, norm)
        assert torch.equal(norm.bn.running_mean, trained)  # type: ignore[arg-type]


@needs_native
def test_weights_changed_in_place_count_at_once(random_coords: Coords, passes: list[int]) -> None:
    convolution, norm = layers(8, 32)
    x = cloud(random_coords(900), 8)

    def check() -> Tensor:
        expected = apart(x, convolution, norm)
        with torch.no_grad():
            out = conv_norm(x, convolution, norm).feats
        torch.testing.assert_close(out, expected, rtol=1e-6, atol=1e-6)
        return out

    outputs = [check()]
    optimizer = torch.optim.SGD([*convolution.parameters(), *norm.parameters()], lr=0.1)
    norm(convolution(x)).feats.square().sum().backward()
    optimizer.step()
    outputs.append(check())
    convolution.load_state_dict({"kernel": torch.randn(27, 8, 32)})
    outputs.append(check())
    norm.bn.running_var.data.mul_(2)  # type: ignore[union-attr]
    outputs.append(check())
    assert len(passes) == 4 and all(not torch.equal(a, b) for a, b in zip(outputs, outputs[1:], strict=False))


@needs_native
def test_what_the_pass_does_not_do_takes_the_layers(random_coords: Coords, passes: list[int]) -> None:
    convolution, norm = layers(6, 10)
    coords = random_coords(300)
    with torch.no_grad():
        double = cloud(coords, 6, dtype=torch.float64)
        out = conv_norm(double, convolution.double(), norm.double(), relu=True).feats
        assert out.dtype == torch.float64 and torch.equal(out, apart(double, convolution, norm, True))
        convolution.float(), norm.float()
        x = cloud(coords, 6)
        narrow = x.with_feats(torch.randn(300, 1))
        with pytest.raises(ValueError, match="residual's shape"):
            conv_norm(x, convolution, norm, residual=narrow)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(conv_norm(x, convolution, norm).feats, apart(x, convolution, norm))
        empty = cloud(coords[:0], 6)
        assert conv_norm(empty, convolution, norm).feats.shape == (0, 10)
        own = BatchNorm(10).eval()
        own.bn = type(own.bn)(10, track_running_stats=False).eval()
        assert torch.equal(conv_norm(x, convolution, own).feats, apart(x, convolution, own))
        seen = []
        hook = convolution.register_forward_hook(lambda *given: seen.append(given[2]))
        conv_norm(x, convolution, norm)
        assert len(seen) == 1 and passes == []
        hook.remove()
        conv_norm(x, convolution, norm)
    assert len(passes) == 1


@pytest.mark.parametrize("backend", ["torch", pytest.param("native", marks=needs_native)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_generating_layers_make_their_voxels_once(random_coords: Coords, backend: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    coarser = Convolution(4, 4, 2, stride=2).to(dtype)
    layer, norm = GenerativeConvolutionTranspose(4, 6, 2, stride=2).to(dtype), BatchNorm(6).eval().to(dtype)
    coords = random_coords(200)
    results = []
    for together in (False, True):
        with torch.no_grad():
            x = coarser(SparseTensor.from_coords(coords, torch.ones(len(coords), 4, dtype=dtype), backend=backend))
            results.append(conv_norm(x, layer, norm) if together else norm(layer(x)))
    assert results[0].key == results[1].key
    torch.testing.assert_close(results[0].feats, results[1].feats)


@needs_native
def test_a_kernel_that_does_not_fit_is_refused_without_gradients_too(random_coords: Coords) -> None:
    convolution, norm = layers(4, 6)
    convolution.kernel = nn.Parameter(torch.randn(8, 4, 6))  # of 27 slots
    with torch.no_grad(), pytest.raises(ValueError, match="does not fit"):
        conv_norm(cloud(random_coords(50), 4), convolution, norm)
    convolution, norm = layers(4, 6, bias=True)
    convolution.bias = nn.Parameter(torch.randn(1, 5))
    with torch.no_grad(), pytest.raises(ValueError, match="bias .* does not fit 6"):
        conv_norm(cloud(random_coords(50), 4), convolution, norm)


@needs_native
@pytest.mark.parametrize("which", ["convolution", "norm", "norm.bn"])
@pytest.mark.parametrize("by_class", [False, True])
def test_a_forward_pass_of_ones_own_is_called_and_may_keep_what_it_has(
    random_coords: Coords, passes: list[int], which: str, by_class: bool
) -> None:
    convolution, norm = layers(4, 6)
    x, kept = cloud(random_coords(50), 4), []
    layer = {"convolution": convolution, "norm": norm, "norm.bn": norm.bn}[which]
    usual = type(layer).forward

    def own(self: nn.Module, given: Any, *rest: Any, **how: Any) -> Any:
        out = usual(self, given, *rest, **how)
        for one in (given, out):
            feats = one.feats if isinstance(one, SparseTensor) else one
            kept.append((feats, feats.clone()))
        return out

    with torch.no_grad():
        expected = conv_norm(x, convolution, norm, relu=True).feats
        if by_class:
            layer.__class__ = type("Own", (type(layer),), {"forward": own})
        else:
            layer.forward = MethodType(own, layer)  # type: ignore[method-assign]
        torch.testing.assert_close(conv_norm(x, convolution, norm, relu=True).feats, expected, rtol=1e-5, atol=1e-6)
    assert len(passes) == 1 and len(kept) == 2
    assert torch.equal(*kept[0])  # what it was given may be written over by itself alone
    if which == "convolution":
        assert torch.equal(*kept[1])


@needs_native
def test_a_shortcut_that_is_kept_by_a_forward_pass_of_ones_own_is_not_written_over(random_coords: Coords) -> None:
    block, x, kept = BasicBlock(4, 6, 0.1).eval(), cloud(random_coords(300), 4), []
    assert block.downsample is not None
    usual = block.downsample[1].forward

    def own(*given: Any, **how: Any) -> SparseTensor:
        out: SparseTensor = usual(*given, **how)  # type: ignore[operator]
        kept.append((out.feats, out.feats.clone()))
        return out

    block.downsample[1].forward = own  # type: ignore[assignment]
    with torch.no_grad():
        block(x)
    assert len(kept) == 1 and torch.equal(*kept[0])


@needs_native
def test_what_a_hook_keeps_is_not_written_over(random_coords: Coords) -> None:
    torch.manual_seed(0)
    block, x = BasicBlock(4, 6, 0.1).eval(), cloud(random_coords(300), 4)
    assert block.downsample is not None
    with torch.no_grad():
        expected, out = block.downsample(x).feats.clone(), block(x).feats.clone()
    watched = [block.downsample, block.downsample[0], block.downsample[1], block.conv1, block.conv2]
    kept: dict[int, tuple[Tensor, Tensor]] = {}

    def keep(module: nn.Module, _: Any, result: SparseTensor) -> None:
        kept[watched.index(module)] = result.feats, result.feats.clone()

    for module in watched:
        hook = module.register_forward_hook(keep)
        with torch.no_grad():
            torch.testing.assert_close(block(x).feats, out)
        hook.remove()
    assert set(kept) == set(range(len(watched)))
    assert all(torch.equal(now, then) for now, then in kept.values())
    torch.testing.assert_close(kept[0][0], expected)


@needs_native
@pytest.mark.parametrize("products", ["float32", "bfloat16"])
def test_a_whole_network_gives_the_same_with_and_without_gradients(surface_coords: Tensor, products: str) -> None:
    torch.manual_seed(0)
    net = SRUNet(3, "Res16UNet14A", 5)
    feats = torch.rand(len(surface_coords), 3)

    def run() -> Tensor:
        x = SparseTensor.from_coords(surface_coords, feats, backend="native")
        x.manager.products = products
        return net(x).feats.detach()

    run()  # statistics other than those of the start
    net.eval()
    expected = run()
    with torch.no_grad():
        found = run()
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
