"""sparse3d: pre-train sparse 3D networks on RGB-D scans and carry them to other tasks."""

__version__ = "0.1.0"
