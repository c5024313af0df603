"""Average precision against loops over detections: each takes the true box it overlaps most, or is a false positive.

Boxes of equal score have no order of their own, so the reference is given the one that is promised: scenes by name,
then the boxes' numbers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse3d.geometry import box_iou
from sparse3d.metrics.average_precision import precision_recall
from sparse3d.metrics.detection import DetectionAP
from sparse3d.types import IGNORE, Boxes

CLASSES = ("bed", "chair", "sofa", "table", "toilet")
Scenes = dict[str, tuple[Boxes, Boxes]]


def boxes(rng: np.random.Generator, count: int, labels: list[int], turned: bool, scored: bool) -> Boxes:
    return Boxes(
        rng.uniform(0, 2, (count, 3)),
        rng.uniform(0.4, 1.5, (count, 3)),
        rng.uniform(-4, 4, count) if turned else np.zeros(count),
        rng.choice(labels, count),
        np.round(rng.random(count), 1) if scored else None,
    )


def random_scenes(seed: int) -> Scenes:
    """Class 3 has no predictions, class 4 no truth; some predictions are the truth, shaken; scores have ties."""
    rng = np.random.default_rng(seed)
    turned = bool(rng.integers(2))
    scenes = {}
    for k in range(int(rng.integers(1, 4))):
        truth = boxes(rng, int(rng.integers(0, 8)), [0, 1, 2, 3, IGNORE], turned, scored=False)
        near = truth.select(np.isin(truth.label, (0, 1, 2)))
        near = near.select(rng.integers(0, len(near), 2 * len(near)) if len(near) else np.zeros(0, dtype=int))
        near = replace(
            near, center=near.center + rng.normal(0, 0.12, near.center.shape), score=np.round(rng.random(len(near)), 1)
        )
        far = boxes(rng, int(rng.integers(0, 6)), [0, 1, 2, 4], turned, scored=True)
        scenes[f"scene{k}"] = (Boxes.concatenate([near, far]), truth)
    return scenes


def gathered(scenes: Scenes) -> DetectionAP:
    metric = DetectionAP(CLASSES)
    for scene, (predicted, truth) in scenes.items():
        metric.update(scene, predicted, truth)
    return metric


def numbers(found: Boxes, k: int) -> tuple[float, ...]:
    return (*found.center[k].tolist(), *found.size[k].tolist(), float(found.yaw[k]))


def brute_force(scenes: Scenes, threshold: float) -> dict[int, tuple[float, float]]:
    """(AP, recall) of each class with truth."""
    result = {}
    for c in range(len(CLASSES)):
        true = {s: [k for k in range(len(t)) if t.label[k] == c] for s, (_, t) in scenes.items()}
        total = sum(map(len, true.values()))
        if total == 0:
            continue
        listed = [
            (-float(p.score[k]), s, numbers(p, k), k)  # type: ignore[index]
            for s, (p, _) in scenes.items()
            for k in range(len(p))
            if p.label[k] == c
        ]
        taken: set[tuple[str, int]] = set()
        hits: list[bool] = []
        for _, s, _, k in sorted(listed):
            predicted, truth = scenes[s]
            overlaps = [(float(box_iou(predicted.select([k]), truth.select([j]))[0, 0]), j) for j in true[s]]  # type: ignore[arg-type]
            best, j = max(overlaps, default=(0.0, -1))
            hit = best > threshold and (s, j) not in taken
            if hit:
                taken.add((s, j))
            hits.append(hit)
        area, points = 0.0, []
        for n in range(1, len(hits) + 1):
            points.append((sum(hits[:n]) / total, sum(hits[:n]) / n))
        for level in range(1, total + 1):
            area += max([p for r, p in points if r >= level / total - 1e-12], default=0.0) / total
        result[c] = (area, sum(hits) / total)
    return result


@pytest.mark.parametrize("block", range(10))
def test_figures_of_random_scenes_are_those_of_the_loops(block: int) -> None:
    for seed in range(20 * block, 20 * block + 20):
        scenes = random_scenes(seed)
        figures = gathered(scenes).compute().figures()
        for threshold, mark in ((0.25, "25"), (0.5, "50")):
            expected = brute_force(scenes, threshold)
            for c, (ap, recall) in expected.items():
                assert figures[f"ap{mark}/{CLASSES[c]}"] == pytest.approx(ap, abs=1e-9), seed
                assert figures[f"recall{mark}/{CLASSES[c]}"] == pytest.approx(recall, abs=1e-9), seed
            assert sum(name.startswith(f"ap{mark}/") for name in figures) == len(expected)
            mean = np.mean([ap for ap, _ in expected.values()]) if expected else np.nan
            assert figures[f"map{mark}"] == pytest.approx(mean, abs=1e-9, nan_ok=True), seed


def cubes(*places: float, label: int = 0, scores: tuple[float, ...] | None = None, size: float = 1.0) -> Boxes:
    """Cubes along x."""
    count = len(places)
    center = np.stack([np.array(places), np.zeros(count), np.zeros(count)], axis=1)
    score = None if scores is None else np.array(scores)
    return Boxes(center, np.full((count, 3), size), np.zeros(count), np.full(count, label), score)


def figures_of(predicted: Boxes, truth: Boxes) -> dict[str, float]:
    return gathered({"a": (predicted, truth)}).compute().figures()


def test_perfect_boxes_are_worth_one() -> None:
    truth = Boxes.concatenate([cubes(0, 3), cubes(6, label=2)])
    figures = figures_of(replace(truth, score=np.array([0.1, 0.9, 0.5])), truth)
    assert figures["map25"] == figures["map50"] == figures["recall50"] == 1


def test_by_hand() -> None:
    """Hit, false, hit of three true boxes: precision 1 up to a third, 2/3 up to two thirds, then 0."""
    figures = figures_of(cubes(0, 50, 3, scores=(0.9, 0.8, 0.7)), cubes(0, 3, 6))
    assert figures["ap25/bed"] == pytest.approx((1 + 2 / 3) / 3)
    assert figures["recall25/bed"] == pytest.approx(2 / 3)


def test_a_second_hit_is_false_even_where_another_true_box_is_near() -> None:
    """Both detections overlap the first true box most, the second true box by more than .25 too."""
    truth = cubes(0, 0.5)
    figures = figures_of(cubes(0.0, 0.1, scores=(0.9, 0.8)), truth)
    assert figures["recall25/bed"] == 0.5 and figures["ap25/bed"] == 0.5


def test_an_overlap_of_exactly_the_threshold_is_no_hit() -> None:
    """A cube of a quarter, or half, of the volume inside a true box."""
    whole = cubes(0.0)
    for share, mark in ((0.25, "25"), (0.5, "50")):
        part = Boxes(np.array([[0, 0, 0.0]]), np.array([[1, 1, share]]), np.zeros(1), np.zeros(1), np.ones(1))
        assert box_iou(part, whole)[0, 0] == share
        assert figures_of(part, whole)[f"ap{mark}/bed"] == 0
        more = replace(part, size=np.array([[1, 1, share + 1e-4]]))
        assert figures_of(more, whole)[f"ap{mark}/bed"] == 1


def test_a_class_without_predictions_is_zero_and_shifts_no_other() -> None:
    truth = Boxes.concatenate([cubes(0, label=k) for k in (0, 1, 2)])
    predicted = Boxes.concatenate([cubes(0, label=0, scores=(0.5,)), cubes(0, label=2, scores=(0.5,))])
    result = gathered({"a": (predicted, truth)}).compute()
    np.testing.assert_array_equal(result.average_precision[0], [1, 0, 1, np.nan, np.nan])
    assert result.figures()["map25"] == pytest.approx(2 / 3)


def test_a_class_without_truth_is_left_out_of_the_means() -> None:
    predicted = Boxes.concatenate([cubes(0, scores=(0.5,)), cubes(0, label=4, scores=(0.9,))])
    figures = figures_of(predicted, cubes(0))
    assert figures["map25"] == 1 and "ap25/toilet" not in figures


def test_boxes_of_another_scene_or_class_are_no_hit() -> None:
    metric = gathered({"a": (cubes(0, scores=(0.5,)), cubes(5)), "b": (cubes(5, scores=(0.5,)), cubes(0, label=1))})
    assert metric.compute().figures()["map25"] == 0


def test_true_boxes_of_no_class_are_skipped_and_counted() -> None:
    truth = Boxes.concatenate([cubes(0), cubes(3, label=IGNORE), cubes(6, label=5)])
    metric = gathered({"a": (cubes(0, scores=(0.5,)), truth)})
    assert metric.compute().figures()["recall25"] == 1 and metric.skipped == 2


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_order_of_boxes_scenes_and_merging_changes_no_digit(seed: int) -> None:
    scenes = random_scenes(seed)
    whole = gathered(scenes).compute().figures()
    rng = np.random.default_rng(seed)
    merged = DetectionAP(CLASSES)
    for scene in rng.permutation(sorted(scenes)):
        predicted, truth = scenes[scene]
        shuffled = (predicted.select(rng.permutation(len(predicted))), truth.select(rng.permutation(len(truth))))
        merged.merge(gathered({str(scene): shuffled}))
    np.testing.assert_equal(merged.compute().figures(), whole)


def test_a_scene_padded_into_two_processes_counts_once_and_stale_boxes_are_refused() -> None:
    truth, predicted = cubes(0), cubes(0, scores=(0.5,))
    metric = gathered({"a": (predicted, truth)})
    metric.merge(gathered({"a": (predicted, truth)}))
    assert metric.compute().predictions[0] == 1 and metric.scenes == ["a"]
    with pytest.raises(ValueError, match="stale"):
        metric.merge(gathered({"a": (cubes(0.1, scores=(0.5,)), truth)}))
    with pytest.raises(ValueError, match="scene a has been counted already"):
        metric.update("a", predicted, truth)
    with pytest.raises(ValueError, match="cannot be merged"):
        metric.merge(DetectionAP(CLASSES, (0.5,)))


def test_curves_start_at_the_best_score_and_recall_never_falls() -> None:
    result = gathered(random_scenes(3)).compute()
    for curve in result.curves[0.25][:3]:
        assert (np.diff(curve.score) <= 0).all() and (np.diff(curve.recall) >= 0).all()
        assert len(curve.precision) == len(curve.recall) == len(curve.score)


def test_the_best_precision_of_a_larger_recall_counts() -> None:
    """False, hit, hit: precisions 0, 1/2, 2/3 become 2/3 throughout."""
    curve = precision_recall(np.array([False, True, True]), np.array([0.9, 0.8, 0.7]), 2)
    assert curve.average_precision == pytest.approx(2 / 3)


def test_nothing_at_all_has_no_figure() -> None:
    figures = DetectionAP(CLASSES).compute().figures()
    assert set(figures) == {"map25", "recall25", "map50", "recall50"} and all(np.isnan(v) for v in figures.values())


def test_the_table_has_a_row_a_class() -> None:
    header, rows = gathered({"a": (cubes(0, scores=(0.5,)), cubes(0, 3))}).compute().table()
    assert header == ["class", "true", "predicted", "AP25", "recall 25", "AP50", "recall 50"]
    assert rows[0] == ["bed", "2", "1", "50.0", "50.0", "50.0", "50.0"]
    assert rows[1] == ["chair", "0", "0", "-", "-", "-", "-"]


def test_bad_input_is_refused() -> None:
    metric, truth = DetectionAP(CLASSES), cubes(0)
    for predicted in (cubes(0), cubes(0, scores=(np.nan,))):
        with pytest.raises(ValueError, match="scores that are numbers"):
            metric.update("a", predicted, truth)
    with pytest.raises(ValueError, match="label 5 is none of the 5 classes"):
        metric.update("a", cubes(0, label=5, scores=(1,)), truth)
    for bad in ((), (1.0,), (0.25, 0.25)):
        with pytest.raises(ValueError, match="thresholds"):
            DetectionAP(CLASSES, bad)
