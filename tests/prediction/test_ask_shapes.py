"""A checkpoint of a task on single shapes is asked for a class or for parts, without its data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from shape_files import points_of

import sparse3d
from sparse3d import config, run
from sparse3d.errors import InputError
from sparse3d.prediction.model import Model
from sparse3d.training.checkpoint import load_checkpoint


def shuffled(xyz: np.ndarray) -> np.ndarray:
    return xyz[np.random.default_rng(0).permutation(len(xyz))]


def test_a_classifier_knows_new_shapes_in_any_order(classifier: Path) -> None:
    model = sparse3d.load(classifier, "cpu")
    assert (model.task, model.classes, model.kinds, model.voxel_size) == ("classification", ("plate", "stick"), (), 0.1)
    for label, kind in enumerate(model.classes):
        xyz = points_of(kind, 77)
        found = model.classify(xyz)
        assert found.label == label and found.probabilities.shape == (2,)
        assert found.probabilities.sum() == pytest.approx(1, abs=1e-6)
        np.testing.assert_array_equal(model.classify(shuffled(xyz)).probabilities, found.probabilities)
        assert model.classify(xyz * 1000 + 5000).label == label, "neither size nor place matters"
    with pytest.raises(InputError, match="the shapes that the network was trained on have none: leave them out"):
        model.classify(xyz, np.zeros_like(xyz))
    for bad, text in (([[1, 2], [3]], "no array of numbers"), (np.full((4, 3), np.nan), "4 of 4 points have")):
        with pytest.raises(InputError, match=text):
            model.classify(bad)


def test_parts_are_those_of_the_tasks_own_evaluation(part_segmenter: tuple[Path, Path]) -> None:
    checkpoint, root = part_segmenter
    state = load_checkpoint(checkpoint)
    config.load_config_text(state["config"], [f"DATA_ROOT = {str(root)!r}"])
    task = run.build_task()
    network = task.build_model()
    network.load_state_dict(state["model"])
    shape = task.val_shapes.load(0)
    wanted = task.probabilities(network.eval(), torch.device("cpu"), [shape])[0]

    model = sparse3d.load(checkpoint, "cpu")
    assert model.kinds == tuple(task.val_shapes.classes) and model.classes == task.val_shapes.parts
    assert len(model.colors) == 50
    order = np.random.default_rng(0).permutation(len(shape))
    found = model.segment_parts(shape.xyz[order], "Table")
    among = wanted[:, 47:50] / wanted[:, 47:50].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.probabilities[:, 47:50], among[order], atol=1e-5)
    assert (found.probabilities.argmax(axis=1) == found.labels).all() and set(found.labels.tolist()) <= {47, 48, 49}
    assert set(model.segment_parts(shape.xyz, "Cap").labels.tolist()) <= {6, 7}
    with pytest.raises(InputError, match="kind = 'Spoon' is none of the network's classes: Airplane, Bag"):
        model.segment_parts(shape.xyz, "Spoon")


def test_what_a_network_does_not_answer_names_what_it_does(classifier: Path, part_segmenter: tuple[Path, Path]) -> None:
    xyz = points_of("stick", 1)
    whole, parts = sparse3d.load(classifier, "cpu"), sparse3d.load(part_segmenter[0], "cpu")

    def refused(text: str, model: Model, method: str, *arguments: object) -> None:
        with pytest.raises(InputError, match=text):
            getattr(model, method)(xyz, *arguments)

    refused(r"'classification': use classify\(\)", whole, "predict", xyz)
    refused(r"'parts': use segment_parts\(\)", parts, "predict", xyz)
    refused(r"'classification': segment_parts\(\) is for 'parts'", whole, "segment_parts", "stick")
    refused(r"'parts': classify\(\) is for 'classification'", parts, "classify")
    refused(r"features\(\) is for pre-trained", whole, "features", xyz)
    with pytest.raises(InputError, match="all its points are in one place"):
        whole.classify(np.ones((5, 3)))
