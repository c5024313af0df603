"""Matching recall: a loop as oracle, and the ends of its scale."""

from __future__ import annotations

import math

import pytest
import torch

from sparse3d.metrics.matching import MatchingRecall, matching_recall, unit_rows


def scene(seed: int = 0, count: int = 60) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    xyz = torch.rand(count, 3, generator=generator) * 2
    return xyz, torch.randn(count, 8, generator=generator), torch.randperm(count, generator=generator)


def test_perfect_features_find_everything() -> None:
    xyz, feats, order = scene()
    query = torch.arange(60)
    assert matching_recall(feats, feats[order], xyz[order], query, xyz[query]).all()


def test_constant_features_find_what_chance_finds() -> None:
    xyz, feats, _ = scene()
    hits = matching_recall(torch.ones_like(feats), torch.ones_like(feats), xyz, torch.arange(60), xyz)
    assert int(hits.sum()) == int(((xyz - xyz[0]).norm(dim=1) < 0.1).sum())


def test_recall_equals_a_loop() -> None:
    xyz, feats, order = scene(3)
    target, target_xyz = feats[order] + 0.8 * scene(4)[1], xyz[order]
    query = torch.randint(0, 60, (200,), generator=torch.Generator().manual_seed(1))
    truth = xyz[query] + 0.02
    hits = matching_recall(feats, target, target_xyz, query, truth, tolerance=0.3)
    for m in range(200):
        nearest = min(range(60), key=lambda k: float((feats[query[m]] - target[k]).norm()))
        assert bool(hits[m]) == (float((target_xyz[nearest] - truth[m]).norm()) < 0.3)
    assert 0 < hits.float().mean() < 1


def test_unique_colours_are_a_perfect_baseline_and_two_colours_a_poor_one() -> None:
    xyz, _, _ = scene()
    unique, two = torch.rand(60, 3), (torch.arange(60) % 2)[:, None].float().expand(60, 3)
    assert matching_recall(unique, unique, xyz, torch.arange(60), xyz).all()
    assert matching_recall(two, two, xyz, torch.arange(60), xyz).float().mean() < 0.2


def test_the_tolerance_is_in_metres() -> None:
    xyz, feats, _ = scene()
    moved = xyz + torch.tensor([0.09, 0.0, 0.0])
    assert matching_recall(feats, feats, xyz, torch.arange(60), moved, 0.1).all()
    assert not matching_recall(feats, feats, xyz, torch.arange(60), moved, 0.08).any()


def test_pairs_weigh_the_same_and_one_without_matches_is_only_counted() -> None:
    """Pitfall: a pair without matches gave NaN for the whole set."""
    recall = MatchingRecall.empty()
    assert math.isnan(recall.compute())
    recall.update(torch.tensor([True] * 100))
    recall.update(torch.tensor([False]))
    recall.update(torch.zeros(0, dtype=torch.bool))
    assert recall.compute() == pytest.approx(0.5) and recall.without_matches == 1


def test_unit_rows_keep_zero_rows() -> None:
    rows = unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    assert torch.allclose(rows, torch.tensor([[0.6, 0.8], [0.0, 0.0]]))
