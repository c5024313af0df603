"""Does a sparse backend compute what it should? One convolution, held against torch's dense one, and timed.

Run as a process of its own (``python -m sparse3d.installation.selftest torch``), because an extension built for another
torch may end its process instead of raising.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

TOLERANCE = 1e-4  # of the largest value, float32
_SIDE, _C_IN, _C_OUT = 12, 3, 5  # the small cube that is checked
_TIMED_VOXELS, _TIMED_CHANNELS = 20_000, 32


@dataclass(frozen=True)
class SelfTest:
    """What came of one backend's test; ``error`` is empty when it is usable."""

    backend: str
    device: str
    usable: bool
    milliseconds: float  # forward and backward of a 3^3 convolution, 32 channels, 20,000 voxels of a surface
    error: str


def run_isolated(backend: str, timeout: float = 300.0) -> SelfTest:
    """:func:`run` in a fresh process, so that even a crash of the backend is only a result."""
    command = [sys.executable, "-m", "sparse3d.installation.selftest", backend]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return SelfTest(backend, "", False, 0.0, f"no result within {timeout:.0f} s")
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        return SelfTest(**json.loads(lines[-1]))
    said = (done.stderr.strip().splitlines() or [f"process ended with code {done.returncode}"])[-1]
    return SelfTest(backend, "", False, 0.0, said)


def run(backend: str) -> SelfTest:
    """Test ``backend`` here and now, on the GPU where torch can use one, else on the CPU.

    A wrong result, and every exception that a missing or broken backend raises, is reported and not raised.
    """
    device = ""
    try:
        import torch

        from sparse3d.sparse import BACKENDS, minkowski_import, native

        if backend not in BACKENDS:
            raise ValueError(f"no backend is named {backend!r}: choose one of {', '.join(BACKENDS)}")
        if backend == "minkowski" and not minkowski_import.available():
            raise ImportError(minkowski_import.why_not())
        if backend == "native" and not native.available():
            raise ImportError(native.why_not())
        device = "cuda" if torch.cuda.is_available() and backend != "native" else "cpu"
        error = check_against_dense(backend, device)
        milliseconds = 0.0 if error else time_convolution(backend, device)
    except (ImportError, OSError, RuntimeError, ValueError, AttributeError, TypeError) as caught:
        error, milliseconds = (str(caught).splitlines() or [type(caught).__name__])[0], 0.0
    return SelfTest(backend, device, not error, round(milliseconds, 1), error)


def check_against_dense(backend: str, device: str) -> str:
    """Compare values and the kernel's gradient with ``conv3d`` on a half-empty cube; what is wrong, or nothing."""
    import torch

    from sparse3d.sparse import Convolution, SparseTensor

    generator = torch.Generator().manual_seed(0)
    occupied = torch.rand(_SIDE, _SIDE, _SIDE, generator=generator) < 0.5
    xyz = occupied.nonzero().to(torch.int32)
    coords = torch.cat([torch.zeros_like(xyz[:, :1]), xyz], dim=1)
    feats = torch.randn(len(xyz), _C_IN, generator=generator)
    layer = Convolution(_C_IN, _C_OUT, kernel_size=3).to(device)
    x = SparseTensor.from_coords(coords.to(device), feats.to(device), batch_size=1, backend=backend)
    sparse = layer(x).feats
    sparse.square().sum().backward()

    # The judge is the CPU's conv3d: a GPU's may compute in shorter floats.
    kernel = layer.kernel.detach().cpu().clone().requires_grad_()
    cube = torch.zeros(_C_IN, _SIDE, _SIDE, _SIDE)
    cube[:, occupied] = feats.T
    # The kernel's rows count with x fastest, conv3d's last axis is our z.
    weight = kernel.reshape(3, 3, 3, _C_IN, _C_OUT).permute(4, 3, 2, 1, 0)
    dense = torch.nn.functional.conv3d(cube[None], weight, padding=1)[0][:, occupied].T
    dense.square().sum().backward()
    if layer.kernel.grad is None or kernel.grad is None:
        return "no gradient reached the kernel"
    pairs = {"values": (sparse, dense), "gradients": (layer.kernel.grad, kernel.grad)}
    for what, (ours, true) in pairs.items():
        worst = float((ours.detach().cpu() - true.detach()).abs().max() / true.detach().abs().max())
        if not worst <= TOLERANCE:
            return f"wrong {what}: off by {worst:.1e} of the largest"
    return ""


def time_convolution(backend: str, device: str, repeats: int = 5) -> float:
    """Milliseconds of a forward and backward pass on a wavy surface, the best of ``repeats``, kernel map included."""
    import torch

    from sparse3d.sparse import Convolution, SparseTensor

    side = int(_TIMED_VOXELS**0.5)
    x, y = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    z = (8 * torch.sin(x / 9.0) * torch.cos(y / 7.0)).round().long()
    coords = torch.stack([torch.zeros_like(x), x, y, z], dim=-1).reshape(-1, 4).to(device, torch.int32)
    feats = torch.ones(len(coords), _TIMED_CHANNELS, device=device, requires_grad=True)
    layer = Convolution(_TIMED_CHANNELS, _TIMED_CHANNELS, kernel_size=3).to(device)
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        layer(SparseTensor.from_coords(coords, feats, batch_size=1, backend=backend)).feats.sum().backward()
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 1000 * best


if __name__ == "__main__":
    print(json.dumps(asdict(run(sys.argv[1]))))
