"""Boxes: the overlap of turned ones is that of clipped polygons, whatever the frame they are looked at from.

For boxes a, b and a rigid motion T about z: iou(a, b) = iou(b, a) = iou(T a, T b), iou(a, a) = 1, and the volume of
the common part is the area of a's floor clipped by b's (Sutherland-Hodgman, corner by corner) times the common height.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse3d.geometry import (
    box_intersection,
    box_iou,
    count_points_in_boxes,
    nms,
    points_in_boxes,
    rotation_about_z,
    score_order,
)
from sparse3d.types import IGNORE, Boxes

seeds = st.integers(0, 2**32 - 1)


def random_boxes(
    rng: np.random.Generator, count: int, room: float = 2.0, turned: bool = True, classes: int = 3
) -> Boxes:
    yaw = rng.uniform(-7, 7, count) if turned else np.zeros(count)
    score = np.round(rng.random(count), 1)  # with ties
    return Boxes(
        rng.uniform(0, room, (count, 3)), rng.uniform(0.1, 2, (count, 3)), yaw, rng.integers(0, classes, count), score
    )


def box(center: tuple[float, ...] = (0, 0, 0), size: tuple[float, ...] = (1, 1, 1), yaw: float = 0.0) -> Boxes:
    return Boxes(np.array([center]), np.array([size]), np.array([yaw]), np.array([0]))


def floor_corners(boxes: Boxes, k: int) -> list[tuple[float, float]]:
    (x, y, _), (a, b, _), yaw = boxes.center[k].tolist(), boxes.size[k].tolist(), float(boxes.yaw[k])
    c, s = np.cos(yaw), np.sin(yaw)
    return [
        (x + c * u - s * v, y + s * u + c * v)
        for u, v in ((-a / 2, -b / 2), (a / 2, -b / 2), (a / 2, b / 2), (-a / 2, b / 2))
    ]


def clipped_area(subject: list[tuple[float, float]], clip: list[tuple[float, float]]) -> float:
    """Sutherland-Hodgman with lists, then the shoelace formula."""
    for (ax, ay), (bx, by) in zip(clip, clip[1:] + clip[:1], strict=True):
        kept: list[tuple[float, float]] = []
        for (px, py), (qx, qy) in zip(subject, subject[1:] + subject[:1], strict=True):
            p = (bx - ax) * (py - ay) - (by - ay) * (px - ax)
            q = (bx - ax) * (qy - ay) - (by - ay) * (qx - ax)
            if p >= 0:
                kept.append((px, py))
            if p * q < 0:
                share = p / (p - q)
                kept.append((px + share * (qx - px), py + share * (qy - py)))
        subject = kept
        if not subject:
            return 0.0
    pairs = zip(subject, subject[1:] + subject[:1], strict=True)
    return sum(px * qy - qx * py for (px, py), (qx, qy) in pairs) / 2


def brute_iou(a: Boxes, b: Boxes) -> np.ndarray:
    result = np.zeros((len(a), len(b)))
    for i in range(len(a)):
        for j in range(len(b)):
            low = max(float(box.center[k, 2]) - float(box.size[k, 2]) / 2 for box, k in ((a, i), (b, j)))
            high = min(float(box.center[k, 2]) + float(box.size[k, 2]) / 2 for box, k in ((a, i), (b, j)))
            common = clipped_area(floor_corners(a, i), floor_corners(b, j)) * max(high - low, 0)
            volumes = [float(np.prod(box.size[k].astype(float))) for box, k in ((a, i), (b, j))]
            result[i, j] = common / (sum(volumes) - common)
    return result


@settings(max_examples=40, deadline=None)
@given(seeds, st.booleans())
def test_overlap_is_that_of_clipped_polygons(seed: int, turned: bool) -> None:
    rng = np.random.default_rng(seed)
    a, b = random_boxes(rng, 6, turned=turned), random_boxes(rng, 5, turned=turned)
    np.testing.assert_allclose(box_iou(a, b), brute_iou(a, b), rtol=0, atol=1e-9)


@pytest.mark.parametrize("turn", [0.0, 1e-12, 1e-7, 1e-3, np.pi / 2, np.pi, np.pi / 4, -3 * np.pi / 2, 0.3])
def test_edges_that_nearly_lie_on_one_another_are_no_special_case(turn: float) -> None:
    """Same centre, same or doubled edges, nearly the same direction: every edge runs along one of the other box."""
    shapes = [(1, 1, 1), (2, 1, 1), (2, 2, 1), (1, 2, 1), (1e-3, 5, 1)]
    a = Boxes.concatenate([box(size=size, yaw=0.7) for size in shapes])
    b = Boxes.concatenate([box(size=size, yaw=0.7 + turn) for size in shapes])
    np.testing.assert_allclose(box_iou(a, b), brute_iou(a, b), rtol=0, atol=1e-9)


@pytest.mark.parametrize("shift", [0.5, 1.0, 1.0 + 1e-6, 0.999999])
def test_boxes_that_touch_share_nothing_and_shifted_ones_what_is_left(shift: float) -> None:
    for yaw in (0.0, 1.1):
        away = rotation_about_z(yaw)[:3, :3] @ (shift, 0, 0)
        found = float(box_iou(box(yaw=yaw), box(tuple(away), yaw=yaw))[0, 0])
        left = max(1 - shift, 0)
        assert found == pytest.approx(left / (2 - left), abs=2e-7)  # centres are float32


@settings(max_examples=30, deadline=None)
@given(seeds, st.booleans())
def test_overlap_is_symmetric_within_one_and_one_with_itself(seed: int, turned: bool) -> None:
    rng = np.random.default_rng(seed)
    a, b = random_boxes(rng, 20, turned=turned), random_boxes(rng, 30, turned=turned)
    forward = box_iou(a, b)
    np.testing.assert_allclose(forward, box_iou(b, a).T, rtol=0, atol=1e-12)
    assert forward.min() >= 0 and forward.max() <= 1
    np.testing.assert_allclose(box_iou(a, a).diagonal(), 1, rtol=0, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(seeds, st.floats(-6, 6), st.tuples(*[st.floats(-20, 20)] * 3))
def test_turning_and_moving_both_leaves_the_overlap(seed: int, angle: float, shift: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(seed)
    a, b = random_boxes(rng, 8), random_boxes(rng, 8)
    R = rotation_about_z(angle)[:3, :3]
    moved = [replace(boxes, center=boxes.center @ R.T + shift, yaw=boxes.yaw + angle) for boxes in (a, b)]
    np.testing.assert_allclose(box_iou(*moved), box_iou(a, b), atol=2e-4)  # float32 coordinates, thin boxes


def test_a_box_turned_by_half_a_turn_or_with_its_edges_exchanged_is_the_same_box() -> None:
    a = random_boxes(np.random.default_rng(0), 30)
    half = replace(a, yaw=(a.yaw.astype(float) + np.pi))
    quarter = replace(a, size=a.size[:, [1, 0, 2]], yaw=a.yaw.astype(float) + np.pi / 2)
    for same in (half, quarter):
        np.testing.assert_allclose(box_iou(a, same).diagonal(), 1, atol=1e-5)


def test_overlap_agrees_with_counted_points() -> None:
    """A count of points in both boxes: no geometry in common with the formula but `points_in_boxes` itself."""
    rng = np.random.default_rng(3)
    a, b = random_boxes(rng, 5, room=1.0), random_boxes(rng, 5, room=1.0)
    points = rng.uniform(-2, 3, (400_000, 3))
    in_a, in_b = points_in_boxes(points, a).astype(np.float32), points_in_boxes(points, b).astype(np.float32)
    both = in_a.T @ in_b
    counted = both / (in_a.sum(axis=0)[:, None] + in_b.sum(axis=0) - both)
    np.testing.assert_allclose(box_iou(a, b), counted, atol=0.03)
    np.testing.assert_allclose(box_intersection(a, b), both / 400_000 * 125, atol=0.03)


def test_the_path_of_axis_aligned_boxes_gives_what_the_general_one_gives() -> None:
    rng = np.random.default_rng(1)
    a, b = random_boxes(rng, 40, turned=False), random_boxes(rng, 40, turned=False)
    turned = replace(b, yaw=np.append(np.zeros(39), 1.0))  # one turned box sends all through the general path
    np.testing.assert_allclose(box_iou(a, b)[:, :39], box_iou(a, turned)[:, :39], rtol=0, atol=1e-12)


@pytest.mark.parametrize("yaw", [0.0, 0.4])
def test_boxes_without_volume_or_with_numbers_that_are_none_overlap_nothing(yaw: float) -> None:
    bad = Boxes.concatenate(
        [box(size=(0, 1, 1), yaw=yaw), box(size=(-1, -1, 1), yaw=yaw), box(size=(1, 1, np.nan), yaw=yaw)]
        + [box(center=(np.inf, 0, 0), yaw=yaw), box(size=(np.inf, 1, 1), yaw=yaw), box(yaw=np.nan)]
    )
    everything = Boxes.concatenate([bad, box(yaw=yaw)])
    expected = np.zeros((7, 7))
    expected[6, 6] = 1
    np.testing.assert_allclose(box_iou(everything, everything), expected, atol=1e-12)


def test_no_boxes_overlap_no_boxes() -> None:
    some = random_boxes(np.random.default_rng(0), 3)
    none = Boxes.empty(scored=True)
    assert box_iou(none, some).shape == (0, 3) and box_iou(some, none).shape == (3, 0)
    assert nms(none).shape == (0,) and points_in_boxes(np.zeros((4, 3)), none).shape == (4, 0)
    assert points_in_boxes(np.zeros((0, 3)), some).shape == (0, 3)


def test_overlaps_of_a_scene_take_milliseconds() -> None:
    rng = np.random.default_rng(0)
    a, b = random_boxes(rng, 256, room=3.0), random_boxes(rng, 64, room=3.0)
    best = min(_seconds(a, b) for _ in range(5))
    assert best < 0.25  # 50 ms on an idle core; this machine may be busy


def _seconds(a: Boxes, b: Boxes) -> float:
    start = time.perf_counter()
    box_iou(a, b)
    return time.perf_counter() - start


def brute_nms(boxes: Boxes, iou: float, per_class: bool) -> list[int]:
    assert boxes.score is not None
    keys = [
        (
            -float(boxes.score[k]),
            int(boxes.label[k]),
            *boxes.center[k].tolist(),
            *boxes.size[k].tolist(),
            float(boxes.yaw[k]),
        )
        for k in range(len(boxes))
    ]
    overlap = brute_iou(boxes, boxes)
    kept: list[int] = []
    for k in sorted(range(len(boxes)), key=lambda k: keys[k]):
        rivals = [j for j in kept if not per_class or boxes.label[j] == boxes.label[k]]
        if all(overlap[j, k] <= iou for j in rivals):
            kept.append(k)
    return kept


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from([0.1, 0.25, 0.5]), st.booleans(), st.booleans())
def test_suppression_is_the_quadratic_loop(seed: int, iou: float, per_class: bool, turned: bool) -> None:
    boxes = random_boxes(np.random.default_rng(seed), 20, turned=turned)
    assert nms(boxes, iou, per_class).tolist() == brute_nms(boxes, iou, per_class)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_the_order_of_the_rows_does_not_choose_among_equal_scores(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes = random_boxes(rng, 30)
    order = rng.permutation(30)
    kept, kept_too = boxes.select(nms(boxes)), boxes.select(order).select(nms(boxes.select(order)))
    for name in ("center", "size", "yaw", "label", "score"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(kept_too, name))


@pytest.mark.parametrize("per_class", [True, False])
def test_suppression_of_many_boxes_is_the_loop_too(per_class: bool) -> None:
    """More boxes than are looked at together, half of them close to one another."""
    rng = np.random.default_rng(4)
    boxes = random_boxes(rng, 400, room=6.0)
    boxes = replace(boxes, center=np.where(np.arange(400)[:, None] < 200, boxes.center, boxes.center / 6))
    overlap = box_iou(boxes, boxes)
    kept: list[int] = []
    for k in score_order(boxes).tolist():
        if all(overlap[j, k] <= 0.25 for j in kept if not per_class or boxes.label[j] == boxes.label[k]):
            kept.append(k)
    assert nms(boxes, 0.25, per_class).tolist() == kept and 50 < len(kept) < 350


def test_suppression_at_exactly_the_threshold_keeps_both() -> None:
    """Boxes of 1 x 1 x 1 and 1 x 1 x 0.5 inside: exactly one half."""
    pair = Boxes.concatenate([box(), box(center=(0, 0, 0.25), size=(1, 1, 0.5))])
    pair = replace(pair, score=np.array([0.9, 0.8]))
    assert nms(pair, 0.5).tolist() == [0, 1] and nms(pair, 0.499).tolist() == [0]


def test_doubles_of_other_classes_stay_unless_told_otherwise() -> None:
    pair = replace(Boxes.concatenate([box(), box()]), label=np.array([0, 1]), score=np.array([0.5, 0.9]))
    assert nms(pair).tolist() == [1, 0] and nms(pair, per_class=False).tolist() == [1]


def test_suppression_without_scores_is_refused_and_a_score_that_is_none_comes_last() -> None:
    with pytest.raises(ValueError, match="score"):
        nms(box())
    three = replace(Boxes.concatenate([box(), box(), box()]), score=np.array([np.nan, -np.inf, 0.1]))
    assert score_order(three)[0] == 2


@settings(max_examples=25, deadline=None)
@given(seeds, st.booleans())
def test_points_in_boxes_are_those_within_the_edges_of_each(seed: int, turned: bool) -> None:
    rng = np.random.default_rng(seed)
    boxes, points = random_boxes(rng, 6, turned=turned), rng.uniform(-1, 3, (60, 3)).astype(np.float32)
    for k in range(6):
        back = rotation_about_z(-float(boxes.yaw[k]))[:3, :3]
        local = (points.astype(float) - boxes.center[k]) @ back.T
        expected = (np.abs(local) <= boxes.size[k].astype(float) / 2).all(axis=1)
        np.testing.assert_array_equal(points_in_boxes(points, boxes)[:, k], expected)
        assert count_points_in_boxes(points, boxes)[k] == expected.sum()


def test_corners_are_inside_and_span_the_box() -> None:
    boxes = random_boxes(np.random.default_rng(2), 12)
    corners = boxes.corners()
    assert corners.shape == (12, 8, 3) and corners.dtype == np.float32
    np.testing.assert_allclose(corners.mean(axis=1), boxes.center, atol=1e-5)
    for bit, axis in ((1, 0), (2, 1), (4, 2)):
        edge = corners[:, bit] - corners[:, 0]
        np.testing.assert_allclose(np.linalg.norm(edge, axis=1), boxes.size[:, axis], atol=1e-5)
    along = corners[:, 1] - corners[:, 0]
    np.testing.assert_allclose(np.arctan2(along[:, 1], along[:, 0]), np.angle(np.exp(1j * boxes.yaw)), atol=1e-4)
    shrunk = boxes.center[:, None] + (corners - boxes.center[:, None]) * 0.999
    assert points_in_boxes(shrunk.reshape(-1, 3), boxes)[np.arange(96), np.repeat(np.arange(12), 8)].all()


def test_boxes_check_their_shapes_and_take_lists_and_other_kinds() -> None:
    made = Boxes(np.zeros((2, 3), dtype=int), np.ones((2, 3)), np.zeros(2), np.array([1, IGNORE]))  # type: ignore[arg-type]
    assert (made.center.dtype, made.label.dtype, len(made), made.score) == (np.float32, np.int64, 2, None)
    assert made.volume().tolist() == [1, 1]
    for wrong in ({"size": np.ones((2, 2))}, {"yaw": np.zeros(3)}, {"label": np.zeros((2, 1))}, {"score": np.zeros(1)}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} has shape"):
            replace(made, **wrong)


def test_selecting_and_concatenating_are_rows() -> None:
    boxes = random_boxes(np.random.default_rng(5), 9)
    parts = [boxes.select(np.arange(4)), boxes.select(np.arange(9) >= 4), Boxes.empty(scored=True)]
    for name in ("center", "size", "yaw", "label", "score"):
        np.testing.assert_array_equal(getattr(Boxes.concatenate(parts), name), getattr(boxes, name))
    for mixed in ([boxes, box()], []):
        with pytest.raises(ValueError, match="scores"):
            Boxes.concatenate(mixed)
