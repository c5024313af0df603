"""Where the package's own gin files lie, in a clone as well as in an installed package."""

from __future__ import annotations

from pathlib import Path


def packaged_gin_dir() -> Path:
    """The folder that holds ``base/``, ``pretrain/`` and so on.

    A wheel carries the top-level ``gin/`` as ``sparse3d/configs``; in a clone, and so in an editable install, it lies
    beside the package.

    Raises FileNotFoundError when neither is there, which means a broken installation.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "configs", package.parent / "gin"):
        if folder.is_dir():
            return folder
    places = f"{package / 'configs'} nor in {package.parent / 'gin'}"
    raise FileNotFoundError(f"no gin files in {places}: install sparse3d anew")
