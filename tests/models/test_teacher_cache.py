"""The feature cache: a hit and a miss give the same bits, nothing foreign is ever returned, damage is survived."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sparse3d.errors import InputError
from sparse3d.models.teachers.base import Centers, Teacher
from sparse3d.models.teachers.cache import TEMPORARY_PREFIX, TeacherCache
from sparse3d.models.teachers.efficientnet_lite import EfficientNetLite0Teacher


class CountingTeacher(Teacher):
    """Two taps of plain pooling, remembering how many images it was asked for."""

    strides, channels = (2, 4), (3, 3)

    def __init__(self, name: str = "pooling", scale: float = 1 / 7) -> None:
        super().__init__()
        self.name, self.scale, self.asked = name, scale, 0
        self.freeze()

    def extract(self, images: Tensor) -> list[Tensor]:
        self.asked += len(images)
        x = images.permute(0, 3, 1, 2).float() * self.scale
        return [torch.nn.functional.avg_pool2d(x, stride, ceil_mode=True) for stride in self.strides]

    def cell_centers(self, height: int, width: int) -> list[Centers]:
        raise NotImplementedError


def random_images(count: int, height: int = 10, width: int = 14, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8, generator=generator)


def files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_hits_from_memory_and_disk_equal_the_miss_bit_for_bit_and_the_teacher_up_to_float16(tmp_path: Path) -> None:
    teacher = EfficientNetLite0Teacher((8, 16), pretrained=False)
    images = random_images(3, 40, 56)
    cache = TeacherCache(tmp_path, teacher)
    missed = cache.features(images)
    assert same(missed, cache.features(images))
    again = TeacherCache(tmp_path, teacher)
    assert same(missed, again.features(images))
    assert (cache.statistics.computed, cache.statistics.memory_hits) == (3, 3)
    assert (again.statistics.computed, again.statistics.disk_hits) == (0, 3)
    for level, direct in zip(missed, teacher(images), strict=True):
        assert level.dtype == torch.float32 and level.shape == direct.shape
        torch.testing.assert_close(level, direct, rtol=2e-3, atol=2e-3)


def test_features_do_not_depend_on_what_else_is_in_the_batch() -> None:
    teacher = EfficientNetLite0Teacher((8,), pretrained=False)
    images = random_images(3, 40, 56)
    together = TeacherCache(None, teacher).features(images)[0]
    alone = [TeacherCache(None, teacher).features(image[None])[0] for image in images]
    assert torch.equal(together, torch.cat(alone))


def test_only_what_is_missing_is_computed(tmp_path: Path) -> None:
    teacher = CountingTeacher()
    cache = TeacherCache(tmp_path, teacher)
    images = random_images(4)
    cache.features(images[:2])
    out = cache.features(images[[1, 3, 0, 3]])
    assert teacher.asked == 3
    assert same(out, TeacherCache(None, CountingTeacher()).features(images[[1, 3, 0, 3]]))


def test_an_augmented_image_never_meets_the_features_of_the_original(tmp_path: Path) -> None:
    teacher = CountingTeacher()
    cache = TeacherCache(tmp_path, teacher)
    image = random_images(1, 12, 12)
    flipped, brighter = image.flip(2), image.clone()
    brighter[0, 0, 0, 0] ^= 1
    for variant in (image, flipped, brighter, image.transpose(1, 2)):
        assert same(cache.features(variant), TeacherCache(None, CountingTeacher()).features(variant))
    assert teacher.asked == 4
    reshaped = image.reshape(1, 6, 24, 3)  # the same bytes in another shape
    assert cache.features(reshaped)[0].shape[-2:] == (3, 12)


def test_teachers_share_a_directory_without_sharing_features(tmp_path: Path) -> None:
    images = random_images(1)
    first = TeacherCache(tmp_path, CountingTeacher("a/b", 1.0)).features(images)
    second = TeacherCache(tmp_path, CountingTeacher("a_b", 2.0)).features(images)
    assert torch.equal(2 * first[0], second[0])


def test_given_keys_stand_for_the_content_and_are_kept_apart_from_images_and_sizes(tmp_path: Path) -> None:
    teacher = CountingTeacher()
    cache = TeacherCache(tmp_path, teacher)
    one, other = random_images(1), random_images(1, seed=1)
    assert same(cache.features(one, ["frame-7"]), cache.features(other, ["frame-7"]))
    assert not same(cache.features(one, ["frame-7"]), cache.features(other))
    small = random_images(1, 4, 4)
    assert cache.features(small, ["frame-7"])[1].shape[-2:] == (1, 1)
    with pytest.raises(ValueError, match="2 keys for 1 images"):
        cache.features(one, ["a", "b"])


@pytest.mark.parametrize("damage", ["empty", "cut", "bit", "text", "foreign"])
def test_a_damaged_file_is_computed_again_counted_and_replaced(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    images = random_images(1)
    expected = TeacherCache(tmp_path, CountingTeacher()).features(images)
    (path,) = files(tmp_path)
    content = path.read_bytes()
    middle = content.index(b"NUMPY") + 130  # inside the first array's numbers
    damaged = {
        "empty": b"",
        "cut": content[: len(content) // 2],
        "bit": content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :],
        "text": b"not an archive at all",
        "foreign": content.replace(b"tap1", b"tapX"),
    }[damage]
    path.write_bytes(damaged)
    cache = TeacherCache(tmp_path, CountingTeacher())
    with caplog.at_level(logging.WARNING):
        assert same(cache.features(images), expected)
    assert cache.statistics.damaged == cache.statistics.computed == 1
    assert path.name in caplog.text
    mended = TeacherCache(tmp_path, CountingTeacher())
    assert same(mended.features(images), expected) and mended.statistics.disk_hits == 1
    assert mended.statistics.bytes_on_disk == path.stat().st_size == cache.statistics.bytes_on_disk


def test_files_never_exceed_the_limit_and_what_is_not_kept_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    TeacherCache(tmp_path, CountingTeacher()).features(random_images(1))
    one = files(tmp_path)[0].stat().st_size
    cache = TeacherCache(tmp_path, CountingTeacher(), max_bytes=int(2.5 * one), max_items=0)
    with caplog.at_level(logging.WARNING):
        cache.features(random_images(5))
    assert len(files(tmp_path)) == 2 and cache.statistics.bytes_on_disk == 2 * one
    assert (cache.statistics.computed, cache.statistics.disk_hits, cache.statistics.unwritten) == (4, 1, 3)
    assert caplog.text.count("no longer added") == 1


def test_memory_holds_the_most_recently_used(tmp_path: Path) -> None:
    teacher = CountingTeacher()
    cache = TeacherCache(None, teacher, max_items=2)
    images = random_images(3)
    for index in (0, 1, 0, 2, 0):  # 1 is the one that goes
        cache.features(images[[index]])
    assert teacher.asked == 3
    cache.features(images[[1]])
    assert teacher.asked == 4 and len(cache._memory) == 2


def test_changing_what_was_returned_changes_nothing_that_is_kept() -> None:
    cache = TeacherCache(None, CountingTeacher())
    images = random_images(1)
    kept = cache.features(images)[0].clone()
    cache.features(images)[0].zero_()
    assert torch.equal(cache.features(images)[0], kept)


def test_unfinished_files_are_no_features_and_old_ones_are_removed(tmp_path: Path) -> None:
    cache = TeacherCache(tmp_path, CountingTeacher())
    cache.features(random_images(1))
    (path,) = files(tmp_path)
    assert not path.name.startswith(TEMPORARY_PREFIX)
    fresh, old = (path.with_name(f"{TEMPORARY_PREFIX}{name}") for name in ("fresh", "old"))
    for partial in (fresh, old):
        partial.write_bytes(b"half")
    os.utime(old, (0, 0))
    reopened = TeacherCache(tmp_path, CountingTeacher())
    assert files(tmp_path) == sorted([path, fresh])
    assert reopened.statistics.bytes_on_disk == path.stat().st_size


def test_a_directory_that_cannot_be_made_is_an_input_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(InputError, match="cannot be used"):
        TeacherCache(blocked, CountingTeacher())


def test_a_failing_disk_does_not_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    cache = TeacherCache(tmp_path, CountingTeacher())
    monkeypatch.setattr(Path, "write_bytes", full)
    images = random_images(2)
    assert same(cache.features(images), TeacherCache(None, CountingTeacher()).features(images))
    assert cache.statistics.unwritten == 2 and files(tmp_path) == []


def test_features_too_large_for_float16_are_refused() -> None:
    with pytest.raises(FloatingPointError, match="float16"):
        TeacherCache(None, CountingTeacher(scale=1e4)).features(random_images(1))


def test_a_file_that_cannot_be_opened_does_not_end_the_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = random_images(1)
    expected = TeacherCache(tmp_path, CountingTeacher()).features(images)
    (path,) = files(tmp_path)
    path.unlink()
    path.mkdir()  # permissions do not stop root, a folder does
    cache = TeacherCache(tmp_path, CountingTeacher())
    assert same(cache.features(images), expected) and cache.statistics.damaged == 1
    assert "unreadable file" in caplog.text
