"""Tiny synthetic recordings: the same frames written in every format that there is a reader for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from sparse3d.data.sens_writer import SensWriter
from sparse3d.geometry import rotation_from_quaternion
from sparse3d.types import Camera, Frame

CAMERA = Camera(fx=50.0, fy=46.0, cx=19.0, cy=16.5, width=40, height=32)  # neither square nor centred
TUM_STEP = 1 / 30


def make_frames(count: int = 5, camera: Camera = CAMERA, seed: int = 0) -> list[Frame]:
    """Frames of noise, all different: whole millimetres of depth with holes, any pose."""
    rng = np.random.default_rng(seed)
    frames = []
    for k in range(count):
        size = (camera.height, camera.width)
        millimetres = rng.integers(300, 9000, size) * (rng.random(size) > 0.2)
        depth = millimetres.astype(np.float32) / np.float32(1000)
        pose = np.eye(4)
        pose[:3, :3] = rotation_from_quaternion(*rng.normal(size=4))
        pose[:3, 3] = rng.normal(size=3)
        color = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        frames.append(Frame(f"{k}", camera, color, depth, pose))
    return frames


def write_seven_scenes(folder: Path, frames: Sequence[Frame], numbers: Sequence[int] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.savetxt(folder / "camera-intrinsics.txt", frames[0].camera.K)
    for k, frame in zip(numbers or range(len(frames)), frames, strict=True):
        Image.fromarray(frame.color).save(folder / f"frame-{k:06d}.color.png")
        save_depth(folder / f"frame-{k:06d}.depth.png", frame.depth, 1000)
        np.savetxt(folder / f"frame-{k:06d}.pose.txt", frame.T_world_cam)
    return folder


def write_redwood(folder: Path, frames: Sequence[Frame], color: str = "color", first: int = 0) -> Path:
    (folder / color).mkdir(parents=True)
    (folder / "depth").mkdir()
    np.savetxt(folder / "camera-intrinsics.txt", frames[0].camera.K)
    with (folder / "trajectory.log").open("w") as log:
        for k, frame in enumerate(frames):
            Image.fromarray(frame.color).save(folder / color / f"{k + first:05d}.png")
            save_depth(folder / "depth" / f"{k + first:05d}.png", frame.depth, 1000)
            log.write(f"{k} {k} {k + 1}\n")
            np.savetxt(log, frame.T_world_cam)
    return folder


def write_tum(folder: Path, frames: Sequence[Frame], depth_lag: float = 0.004, pose_lag: float = -0.003) -> Path:
    (folder / "rgb").mkdir(parents=True)
    (folder / "depth").mkdir()
    np.savetxt(folder / "camera-intrinsics.txt", frames[0].camera.K)
    lines: dict[str, list[str]] = {"rgb": ["# colour"], "depth": ["# depth"], "groundtruth": ["# poses"]}
    for k, frame in enumerate(frames):
        time = 1305031102.0 + k * TUM_STEP
        rgb, depth = f"rgb/{time:.6f}.png", f"depth/{time + depth_lag:.6f}.png"
        Image.fromarray(frame.color).save(folder / rgb)
        save_depth(folder / depth, frame.depth, 5000)
        lines["rgb"].append(f"{time:.6f} {rgb}")
        lines["depth"].append(f"{time + depth_lag:.6f} {depth}")
        pose = (*frame.T_world_cam[:3, 3], *quaternion_of(frame.T_world_cam[:3, :3]))
        lines["groundtruth"].append(f"{time + depth_lag + pose_lag:.6f} " + " ".join(f"{v:.12f}" for v in pose))
    for name, text in lines.items():
        (folder / f"{name}.txt").write_text("\n".join(text) + "\n")
    return folder


def write_scannet_frames(folder: Path, frames: Sequence[Frame]) -> Path:
    for part in ("color", "depth", "pose", "intrinsic"):
        (folder / part).mkdir(parents=True)
    for name in ("intrinsic_color", "intrinsic_depth"):
        K = np.eye(4)
        K[:3, :3] = frames[0].camera.K
        np.savetxt(folder / "intrinsic" / f"{name}.txt", K)
    for k, frame in enumerate(frames):
        Image.fromarray(frame.color).save(folder / "color" / f"{k}.png")
        save_depth(folder / "depth" / f"{k}.png", frame.depth, 1000)
        np.savetxt(folder / "pose" / f"{k}.txt", frame.T_world_cam)
    return folder


def write_scannet_sens(folder: Path, frames: Sequence[Frame], color: str = "png", depth: str = "zlib") -> Path:
    camera = frames[0].camera
    path = folder / "scene0000_00.sens"
    with SensWriter(path, camera, camera, color_compression=color, depth_compression=depth) as writer:
        for frame in frames:
            writer.write(frame.color, frame.depth, frame.T_world_cam)
    return path


WRITERS: dict[str, Callable[[Path, Sequence[Frame]], Path]] = {
    "seven_scenes": write_seven_scenes,
    "redwood": write_redwood,
    "tum": write_tum,
    "scannet_frames": write_scannet_frames,
    "scannet_sens": write_scannet_sens,
}


def save_depth(path: Path, depth: np.ndarray, units: float) -> None:
    """Write metres as a 16-bit image of ``units`` a metre."""
    Image.fromarray(np.round(depth * units).astype(np.uint16)).save(path)


def quaternion_of(R: np.ndarray) -> np.ndarray:
    """(qx, qy, qz, qw) of a rotation, as the eigenvector of Bar-Itzhack's symmetric matrix."""
    K = np.array(
        [
            [R[0, 0] - R[1, 1] - R[2, 2], R[1, 0] + R[0, 1], R[2, 0] + R[0, 2], R[2, 1] - R[1, 2]],
            [R[1, 0] + R[0, 1], R[1, 1] - R[0, 0] - R[2, 2], R[2, 1] + R[1, 2], R[0, 2] - R[2, 0]],
            [R[2, 0] + R[0, 2], R[2, 1] + R[1, 2], R[2, 2] - R[0, 0] - R[1, 1], R[1, 0] - R[0, 1]],
            [R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1], R[0, 0] + R[1, 1] + R[2, 2]],
        ]
    )
    return np.linalg.eigh(K)[1][:, -1]


def assert_same(read: Frame, written: Frame, pose_tolerance: float = 1e-6) -> None:
    """The frame came back bit for bit, its pose to the format's digits."""
    np.testing.assert_array_equal(read.color, written.color)
    np.testing.assert_array_equal(read.depth, written.depth)
    np.testing.assert_allclose(read.T_world_cam, written.T_world_cam, atol=pose_tolerance)
    assert read.camera.width == written.camera.width and read.camera.height == written.camera.height
    np.testing.assert_allclose(read.camera.K, written.camera.K, rtol=1e-6)
