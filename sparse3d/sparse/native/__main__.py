"""``python -m sparse3d.sparse.native``: builds the library for this machine now rather than on first use."""

from __future__ import annotations

from sparse3d.sparse import native

if __name__ == "__main__":  # modules are also imported to learn their configurables
    if native.available():
        print(f"native: compiled for this CPU ({native.variant()})")
    else:
        print(f"native: not available, the torch backend computes: {native.why_not()}")
