"""Teachers from the Hugging Face hub through ``transformers``, an optional extra: DINOv2, CLIP, SAM, ResNet.

Each takes ``weights``, a directory made by ``save_pretrained`` or a name on the hub, or ``config``, the arguments
of its transformers configuration, for a model with random weights drawn from ``seed`` (a control, and tests).
The images are resized and normalised as each network was trained; its tokens are turned into maps, and
``cell_centers`` speaks of the pixels of the images as they were given, before any resizing.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gin
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparse3d.errors import InputError
from sparse3d.models.teachers.base import CellAxis, Centers, Teacher

INSTALL_COMMAND = "pip install 'transformers>=5'"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class HubTeacher(Teacher):
    """What the hub's networks share: loading, resizing, normalising.

    Raises:
        InputError: transformers is not installed; the weights are neither on the machine nor to be had, or do not
            belong to this architecture; ``config`` or ``taps`` do not fit.
    """

    architecture: str  # the class in transformers
    configuration: str  # its configuration's class
    model_types: tuple[str, ...]  # of checkpoints that hold such a network
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    network: nn.Module

    def _configure(self, weights: str | None, config: Mapping[str, Any] | None, local_files_only: bool) -> Any:
        """The network's configuration: of ``weights``, or made of ``config``."""
        if (weights is None) == (config is None):
            raise InputError(f"{type(self).__name__}: give either weights (a directory or hub name) or config")
        self._weights, self._local = weights, local_files_only
        configuration_class = getattr(_import_transformers(), self.configuration)
        refusal = importlib.import_module("huggingface_hub.errors").StrictDataclassError
        if weights is not None:
            found, _ = _load(configuration_class.get_config_dict, weights, local_files_only)
            if found.get("model_type") not in self.model_types:
                raise InputError(
                    f"{weights}: holds a model of type {found.get('model_type')!r}, {type(self).__name__} reads "
                    f"{' or '.join(self.model_types)}; use the teacher of that type, or EfficientNetLite0Teacher"
                )
            return _load(configuration_class.from_pretrained, weights, local_files_only)
        try:
            return configuration_class(**dict(config or {}))
        except (TypeError, ValueError, refusal) as error:
            raise InputError(f"{type(self).__name__}.config: {_one_line(error)}") from error

    def idle_options(self) -> dict[str, str]:
        """Options without effect beside the others, and why."""
        return {} if self._weights is None else {"seed": f"{type(self).__name__}.weights are given"}

    def _build(self, settings: Any, seed: int) -> nn.Module:
        """The network, with its weights or with random ones."""
        network_class = getattr(_import_transformers(), self.architecture)
        with torch.random.fork_rng(devices=[]):  # the caller's random stream stays as it is
            torch.manual_seed(seed)
            if self._weights is None:
                return network_class(settings)
            options = {"config": settings, "output_loading_info": True, "dtype": torch.float32}
            network, report = _load(network_class.from_pretrained, self._weights, self._local, **options)
        _refuse_missing(self._weights, self.architecture, report)
        return network

    def _finish(self, taps: Sequence[int]) -> None:
        """Name the teacher after its architecture, taps and the very values of its weights, and freeze it."""
        self.name = f"{self.architecture}-{_fingerprint(self.network)}-taps{'+'.join(map(str, taps))}"
        self.freeze()

    def _prepare(self, images: Tensor, height: int, width: int) -> Tensor:
        """(N, H, W, 3) uint8 -> (N, 3, height, width) float32, resized and normalised."""
        x = images.permute(0, 3, 1, 2).float() / 255
        if x.shape[-2:] != (height, width):
            x = F.interpolate(x, size=(height, width), mode="bilinear", align_corners=False, antialias=True)
        mean, std = (torch.tensor(values, device=x.device).view(3, 1, 1) for values in (self.mean, self.std))
        return (x - mean) / std

    def _check_taps(self, taps: Sequence[int], count: int) -> None:
        if not taps or len(set(taps)) != len(taps) or not all(1 <= tap <= count for tap in taps):
            raise InputError(f"{type(self).__name__}.taps = {tuple(taps)}: give different numbers from 1 to {count}")


class PatchTeacher(HubTeacher):
    """A vision transformer whose tokens are patches; images are resized to whole patches, rounding to the nearest."""

    patch: int

    def patches(self, size: int) -> int:
        """Patches along an axis of ``size`` pixels, at least one."""
        return max(1, round(size / self.patch))

    def cell_centers(self, height: int, width: int) -> list[Centers]:
        rows, cols = (
            _patch_axis(size, self.patches(size) * self.patch, self.patch).centers() for size in (height, width)
        )
        return [(rows, cols) for _ in self.strides]

    def _set_taps(self, taps: Sequence[int] | None, layers: int, hidden: int) -> tuple[int, ...]:
        """Layers are counted from 1; None takes the middle one and the last."""
        chosen = tuple(taps) if taps is not None else tuple(sorted({max(1, layers // 2), layers}))
        self._check_taps(chosen, layers)
        self.strides = (self.patch,) * len(chosen)
        self.channels = (hidden,) * len(chosen)
        return chosen


@gin.configurable
class Dinov2Teacher(PatchTeacher):
    """DINOv2 (Oquab et al. 2023), for instance ``weights="facebook/dinov2-small"``.

    Args:
        weights: a directory of ``save_pretrained``, or a hub name.
        taps: transformer layers, from 1; None takes the middle one and the last. Layer-normed, as its authors do.
        config: arguments of ``Dinov2Config``, for random weights from ``seed`` instead of ``weights``.
        seed: of the random weights.
        local_files_only: never ask the network.
    """

    architecture, configuration = "Dinov2Backbone", "Dinov2Config"
    model_types = ("dinov2",)

    def __init__(
        self,
        weights: str | None = None,
        taps: Sequence[int] | None = None,
        config: Mapping[str, Any] | None = None,
        seed: int = 0,
        local_files_only: bool = False,
    ) -> None:
        super().__init__()
        settings = self._configure(weights, config, local_files_only)
        self.patch = _single(settings.patch_size)
        chosen = self._set_taps(taps, settings.num_hidden_layers, settings.hidden_size)
        settings.out_indices, settings.reshape_hidden_states = sorted(chosen), True
        self._order = [sorted(chosen).index(tap) for tap in chosen]
        self.network = self._build(settings, seed)
        self._finish(chosen)

    def extract(self, images: Tensor) -> list[Tensor]:
        rows, cols = (self.patches(size) for size in images.shape[1:3])
        maps = self.network(self._prepare(images, rows * self.patch, cols * self.patch)).feature_maps
        return [maps[index].contiguous() for index in self._order]


@gin.configurable
class CLIPTeacher(PatchTeacher):
    """The image tower of CLIP (Radford et al. 2021), for instance ``weights="openai/clip-vit-base-patch16"``.

    Args: as of :class:`Dinov2Teacher`, with ``CLIPVisionConfig``. The class token is dropped, and the position
    encodings are interpolated to the image's size.
    """

    architecture, configuration = "CLIPVisionModel", "CLIPVisionConfig"
    model_types = ("clip", "clip_vision_model")
    mean, std = CLIP_MEAN, CLIP_STD

    def __init__(
        self,
        weights: str | None = None,
        taps: Sequence[int] | None = None,
        config: Mapping[str, Any] | None = None,
        seed: int = 0,
        local_files_only: bool = False,
    ) -> None:
        super().__init__()
        settings = self._configure(weights, config, local_files_only)
        self.patch = _single(settings.patch_size)
        self._layers = self._set_taps(taps, settings.num_hidden_layers, settings.hidden_size)
        self.network = self._build(settings, seed)
        self._finish(self._layers)

    def extract(self, images: Tensor) -> list[Tensor]:
        rows, cols = (self.patches(size) for size in images.shape[1:3])
        pixels = self._prepare(images, rows * self.patch, cols * self.patch)
        states = self.network(pixels, output_hidden_states=True, interpolate_pos_encoding=True).hidden_states
        # states[0] is the embedding; the first token is the class token, the others run row by row
        tokens = [states[layer][:, 1:].transpose(1, 2) for layer in self._layers]
        return [level.reshape(len(images), -1, rows, cols) for level in tokens]


@gin.configurable
class SamTeacher(HubTeacher):
    """The image encoder of SAM (Kirillov et al. 2023), for instance ``weights="facebook/sam-vit-base"``.

    Its input has one size (1024 pixels): the image's longer side is brought to it, the rest is filled with zeros
    after normalising, and the cells that see nothing but filling are cut off. The one tap is the neck's output.

    Args: as of :class:`Dinov2Teacher`, with ``SamVisionConfig``, without ``taps``.
    """

    architecture, configuration = "SamVisionModel", "SamVisionConfig"
    model_types = ("sam", "sam_vision_model")

    def __init__(
        self,
        weights: str | None = None,
        config: Mapping[str, Any] | None = None,
        seed: int = 0,
        local_files_only: bool = False,
    ) -> None:
        super().__init__()
        if config is not None:  # transformers' own default, 1e-10, would leave features without content
            config = {"initializer_range": 0.02, **config}
        settings = self._configure(weights, config, local_files_only)
        self.patch, self.input_size = _single(settings.patch_size), _single(settings.image_size)
        self.longer_side = self.input_size
        self.strides, self.channels = (self.patch,), (settings.output_channels,)
        self.network = self._build(settings, seed)
        self._finish((1,))

    def extract(self, images: Tensor) -> list[Tensor]:
        height, width = self._resized(*images.shape[1:3])
        pixels = self._prepare(images, height, width)
        pixels = F.pad(pixels, (0, self.input_size - width, 0, self.input_size - height))
        level = self.network(pixels).last_hidden_state
        return [level[..., : -(-height // self.patch), : -(-width // self.patch)].contiguous()]

    def cell_centers(self, height: int, width: int) -> list[Centers]:
        sizes = zip((height, width), self._resized(height, width), strict=True)
        rows, cols = (_patch_axis(size, new, self.patch).centers() for size, new in sizes)
        return [(rows, cols)]

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        scale = self.input_size / max(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))


@gin.configurable
class ResNetTeacher(HubTeacher):
    """A ResNet (He et al. 2016), for instance ``weights="microsoft/resnet-50"``; images keep their size.

    Its convolutions are padded alike on both sides, so the cell ``o`` of a tap of stride s is centred at pixel
    ``s o``, half a block *before* the middle of its block.

    Args: as of :class:`Dinov2Teacher`, with ``ResNetConfig``; ``taps`` are stages, from 1 (strides 4, 8, 16, 32).
    """

    architecture, configuration = "ResNetBackbone", "ResNetConfig"
    model_types = ("resnet",)

    def __init__(
        self,
        weights: str | None = None,
        taps: Sequence[int] = (3, 4),
        config: Mapping[str, Any] | None = None,
        seed: int = 0,
        local_files_only: bool = False,
    ) -> None:
        super().__init__()
        settings = self._configure(weights, config, local_files_only)
        self._check_taps(taps, len(settings.depths))
        settings.out_indices = sorted(taps)
        first = 8 if settings.downsample_in_first_stage else 4
        self.strides = tuple(first * 2 ** (tap - 1) for tap in taps)
        self.channels = tuple(settings.hidden_sizes[tap - 1] for tap in taps)
        self._order = [sorted(taps).index(tap) for tap in taps]
        self.network = self._build(settings, seed)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        self._finish(taps)

    def extract(self, images: Tensor) -> list[Tensor]:
        maps = self.network(self._prepare(images, *images.shape[1:3])).feature_maps
        return [maps[index] for index in self._order]

    def cell_centers(self, height: int, width: int) -> list[Centers]:
        rows, cols = (
            [CellAxis(-(-size // stride), 0.0, stride).centers() for stride in self.strides] for size in (height, width)
        )
        return list(zip(rows, cols, strict=True))


def _import_transformers() -> Any:
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise InputError(
            f"this teacher needs transformers ({_one_line(error)}): {INSTALL_COMMAND}; "
            "EfficientNetLite0Teacher needs nothing"
        ) from error


def _load(load: Callable[..., Any], weights: str, local_files_only: bool, **options: Any) -> Any:
    """``load(weights)``; what it raises becomes one line that names the embedded teacher as the way out."""
    try:
        return load(weights, local_files_only=local_files_only or Path(weights).is_dir(), **options)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"cannot load {weights!r} through transformers ({_one_line(error)}); put the model on this machine "
            "(save_pretrained) and give its directory, or use EfficientNetLite0Teacher, whose weights are here"
        ) from error


def _refuse_missing(weights: str, architecture: str, report: Mapping[str, Any]) -> None:
    """transformers draws what it does not find at random and goes on; a teacher must have all of its weights."""
    missing = sorted(map(str, report["missing_keys"])) + sorted(map(str, report["mismatched_keys"]))
    if missing:
        raise InputError(
            f"{weights}: {len(missing)} tensors of {architecture} are missing or of another shape ({missing[0]}, ...); "
            "use the class that these weights belong to, or EfficientNetLite0Teacher"
        )


_NOT_COMPUTED_WITH = ("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version")


def _fingerprint(network: nn.Module) -> str:
    """Eight hex digits of all tensors and the configuration: a directory can change under the same name."""
    digest = hashlib.sha256()
    configuration: Any = network.config
    settings = {key: value for key, value in configuration.to_diff_dict().items() if key not in _NOT_COMPUTED_WITH}
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    for key, value in sorted(network.state_dict().items()):
        digest.update(key.encode())
        digest.update(np.ascontiguousarray(value.detach().cpu().numpy()).data)
    return digest.hexdigest()[:8]


def _patch_axis(size: int, resized: int, patch: int) -> CellAxis:
    """Patches, the last one perhaps filled up, of an axis of ``size`` pixels brought to ``resized``."""
    return CellAxis.of_resized(size, resized).convolved(-(-resized // patch), patch, patch, 0)


def _single(size: Any) -> int:
    """A configuration's size: a number, or a pair of equal ones."""
    values = {int(value) for value in size} if isinstance(size, Sequence) else {int(size)}
    if len(values) != 1:
        raise InputError(f"only square patches and inputs are supported, the configuration says {size}")
    return values.pop()


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
