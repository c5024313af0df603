"""At what height things that hang on a wall are mounted."""

from __future__ import annotations

# Height of a piece's lowest point above the floor, metres. Pieces themselves begin at z = 0; the layout lifts them.
MOUNT_HEIGHT: dict[str, float] = {
    "wall_cabinet": 1.4,
    "shelf": 1.35,
    "wall_basin": 0.62,
    "toilet_paper": 0.65,
    "shower_curtain": 0.12,
}
