"""Hub teachers on small random configurations: maps lie where ``cell_centers`` says, nothing is loaded loosely.

Nothing here reaches for the network.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sparse3d.errors import InputError
from sparse3d.models.teachers import hub
from sparse3d.models.teachers.base import Teacher
from sparse3d.models.teachers.hub import CLIPTeacher, Dinov2Teacher, ResNetTeacher, SamTeacher

transformers = pytest.importorskip("transformers")

DINO = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "mlp_ratio": 2,
    "image_size": 56,
    "patch_size": 14,
}
CLIP = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 64,
    "patch_size": 16,
}
SAM = {
    "hidden_size": 32,
    "output_channels": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 128,
    "patch_size": 16,
    "window_size": 2,
    "global_attn_indexes": [1],
    "mlp_dim": 64,
    "num_pos_feats": 8,
}
RESNET = {"embedding_size": 8, "hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 2, 1], "layer_type": "basic"}
SMALL: dict[str, tuple[Callable[..., Teacher], dict[str, Any]]] = {
    "dinov2": (Dinov2Teacher, DINO),
    "clip": (CLIPTeacher, CLIP),
    "sam": (SamTeacher, SAM),
    "resnet": (ResNetTeacher, RESNET),
}


def small(kind: str, **options: Any) -> Teacher:
    build, config = SMALL[kind]
    return build(config=config, **options)


def random_images(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (*shape, 3), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize(("height", "width"), [(56, 84), (50, 131), (97, 40), (9, 5)])
def test_maps_have_the_promised_channels_and_one_center_a_cell_inside_the_image(
    kind: str, height: int, width: int
) -> None:
    teacher = small(kind)
    maps = teacher(random_images(2, height, width))
    assert len(maps) == len(teacher.strides) == len(teacher.channels)
    for level, channels, (rows, cols) in zip(maps, teacher.channels, teacher.cell_centers(height, width), strict=True):
        assert level.shape == (2, channels, len(rows), len(cols)) and level.dtype == torch.float32
        assert not level.requires_grad and level.isfinite().all()
        step = max(teacher.strides) * max(1, height / 14, width / 14)
        assert rows[0] > -0.5 - step and rows[-1] < height - 0.5 + step and cols[-1] < width - 0.5 + step


@pytest.mark.parametrize("kind", SMALL)
def test_a_changed_spot_changes_the_cells_centered_around_it_most(kind: str) -> None:
    teacher = small(kind)
    image = random_images(1, 70, 118)
    before = teacher(image)[0]
    rows, cols = teacher.cell_centers(70, 118)[0]
    for row, col in ((20, 30), (44, 90), (28, 52)):
        changed = image.clone()
        changed[0, row - 3 : row + 4, col - 3 : col + 4] = 255 - changed[0, row - 3 : row + 4, col - 3 : col + 4]
        weight = (teacher(changed)[0] - before)[0].square().sum(0).square()  # squared twice: what spread far is weak
        found_row = float((weight.sum(1) * rows).sum() / weight.sum())
        found_col = float((weight.sum(0) * cols).sum() / weight.sum())
        assert abs(found_row - row) < rows[1] - rows[0]
        assert abs(found_col - col) < cols[1] - cols[0]


@pytest.mark.parametrize("kind", SMALL)
def test_a_hub_teacher_is_frozen_named_by_its_weights_and_leaves_the_random_stream_alone(kind: str) -> None:
    state = torch.random.get_rng_state()
    first, again, other = small(kind), small(kind), small(kind, seed=1)
    assert torch.equal(state, torch.random.get_rng_state())
    assert first.name == again.name != other.name
    with pytest.raises(RuntimeError, match="frozen"):
        first.train()
    assert not any(parameter.requires_grad for parameter in first.parameters())
    before = {key: value.clone() for key, value in first.state_dict().items()}
    first(random_images(1, 42, 56))
    assert all(torch.equal(value, before[key]) for key, value in first.state_dict().items())


@pytest.mark.parametrize(("kind", "taps"), [("dinov2", (4, 1)), ("clip", (3, 1)), ("resnet", (4, 2))])
def test_maps_come_in_the_order_of_the_taps(kind: str, taps: tuple[int, int]) -> None:
    images = random_images(1, 56, 70)
    forth, back = small(kind, taps=taps), small(kind, taps=taps[::-1])
    assert forth.name != back.name
    assert all(torch.equal(a, b) for a, b in zip(forth(images), back(images)[::-1], strict=True))
    assert forth.channels == back.channels[::-1] and forth.strides == back.strides[::-1]
    for wrong in ((), (0,), (1, 1), (9,)):
        with pytest.raises(InputError, match="from 1 to"):
            small(kind, taps=wrong)


def test_dinov2_and_clip_tokens_equal_the_models_own_at_their_own_size() -> None:
    dino, clip = small("dinov2", taps=(4,)), small("clip", taps=(2,))
    images = random_images(1, 56, 56)
    pixels = images.permute(0, 3, 1, 2).float() / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    model = transformers.Dinov2Model(dino.network.config).eval()
    model.load_state_dict(dino.network.state_dict())
    with torch.no_grad():
        tokens = model((pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1)).last_hidden_state[0, 1:]
    torch.testing.assert_close(dino(images)[0][0].flatten(1).T, tokens, rtol=1e-4, atol=1e-4)
    images = random_images(1, 64, 64)
    pixels = images.permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (hub.CLIP_MEAN, hub.CLIP_STD))
    with torch.no_grad():
        states = clip.network((pixels - mean) / std, output_hidden_states=True).hidden_states
    torch.testing.assert_close(clip(images)[0][0].flatten(1).T, states[2][0, 1:], rtol=1e-4, atol=1e-4)


def test_weights_of_whole_models_are_read_from_a_directory(tmp_path: Path) -> None:
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    whole = {
        "dinov2": transformers.Dinov2Model(transformers.Dinov2Config(**DINO)),
        "clip": transformers.CLIPModel(transformers.CLIPConfig(vision_config=CLIP, text_config=text)),
        "resnet": transformers.ResNetForImageClassification(transformers.ResNetConfig(**RESNET)),
    }
    for kind, model in whole.items():
        model.save_pretrained(tmp_path / kind)
        teacher = SMALL[kind][0](weights=str(tmp_path / kind))
        assert teacher(random_images(1, 56, 70))[0].isfinite().all()
        saved = {tuple(value.flatten()[:4].tolist()) for value in model.state_dict().values() if value.numel() > 3}
        assert all(tuple(value.flatten()[:4].tolist()) in saved for value in teacher.parameters())
    with pytest.raises(InputError, match="type 'clip'.*EfficientNetLite0Teacher"):
        Dinov2Teacher(weights=str(tmp_path / "clip"))


def test_weights_with_missing_tensors_are_refused(tmp_path: Path) -> None:
    model = transformers.Dinov2Model(transformers.Dinov2Config(**DINO))
    state = {key: value for key, value in model.state_dict().items() if "layer.2." not in key}
    model.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(InputError, match="missing.*EfficientNetLite0Teacher"):
        Dinov2Teacher(weights=str(tmp_path))


def test_no_weights_or_no_transformers_name_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="EfficientNetLite0Teacher"):
        Dinov2Teacher(weights="nobody/has-this", local_files_only=True)
    with pytest.raises(InputError, match="EfficientNetLite0Teacher"):
        CLIPTeacher(weights=str(tmp_path))
    with pytest.raises(InputError, match="either weights"):
        SamTeacher()
    with pytest.raises(InputError, match="config"):
        ResNetTeacher(config={**RESNET, "layer_type": "unheard-of"})
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match="pip install"):
        small("sam")


def test_a_name_tells_configurations_apart_that_share_their_weights() -> None:
    """The cache of features goes by the name."""
    others: tuple[dict[str, Any], ...] = ({}, {"hidden_act": "relu"}, {"num_attention_heads": 4})
    names = {Dinov2Teacher(config={**DINO, **other}).name for other in others}
    assert len(names) == 3 and small("dinov2").name in names
