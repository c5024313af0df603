"""The native backend: the portable one's maps, with its products by a compiled CPU kernel."""

from sparse3d.sparse.native.convolution import NativeCoordinateManager
from sparse3d.sparse.native.library import NativeUnavailableError, available, variant, why_not

__all__ = ["NativeCoordinateManager", "NativeUnavailableError", "available", "variant", "why_not"]
