"""What was found in a scan as one picture: from above and from two corners, over a legend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparse3d.data.box_files import EDGES
from sparse3d.prediction.scan_input import Scan
from sparse3d.types import Boxes
from sparse3d.visualize.box_lines import draw_segments
from sparse3d.visualize.class_colors import legend
from sparse3d.visualize.layout import side_by_side, stacked
from sparse3d.visualize.scene_views import SeenPoints, around, from_above, see_points
from sparse3d.visualize.surfaces import point_normals, point_spacing, vertex_normals

SIZE = (480, 640)  # of a view, pixels
TURNS = (-125.0, 55.0)  # degrees: corners that lie opposite
CEILING = 2.1  # metres above the lowest point: what is higher hides the room from above
ROOM_HEIGHT = 1.6  # metres; a lower scan has no walls to look through
PALE = 0.6  # how far the scan's colours go towards white below boxes


def labels_picture(scan: Scan, labels: np.ndarray, names: Sequence[str], colors: np.ndarray) -> np.ndarray:
    """Colour and classes from above and from two corners, over the classes that occur; (H, W, 3) uint8."""
    above, *corners = _views(scan)
    plain = _as_bytes(scan.rgb)
    painted = colors[labels]
    rows = [
        side_by_side([above.painted(plain), above.painted(painted)], ["colour, from above", "classes, from above"]),
        side_by_side([view.painted(painted) for view in corners], [f"classes, {v.view.name}" for v in corners]),
    ]
    there = np.unique(labels)
    return stacked([*rows, legend([names[k] for k in there], colors[there], rows[0].shape[1])])


def boxes_picture(scan: Scan, boxes: Boxes, names: Sequence[str], colors: np.ndarray) -> np.ndarray:
    """Boxes from above and from two corners in their classes' colours, over the classes that occur; (H, W, 3) uint8."""
    views = _views(scan)
    pale = _as_bytes(scan.rgb * (1 - PALE) + PALE)
    panels = [_with_boxes(view, pale, boxes, colors) for view in views]
    rows = [
        side_by_side([views[0].painted(_as_bytes(scan.rgb)), panels[0]], ["colour, from above", f"{len(boxes)} boxes"]),
        side_by_side(panels[1:], [f"boxes, {view.view.name}" for view in views[1:]]),
    ]
    there = np.unique(boxes.label)
    return stacked([*rows, legend([names[k] for k in there], colors[there], rows[0].shape[1])])


def _with_boxes(seen: SeenPoints, rgb: np.ndarray, boxes: Boxes, colors: np.ndarray) -> np.ndarray:
    picture = seen.painted(rgb)
    for corners, label in zip(boxes.corners()[::-1], boxes.label[::-1], strict=True):  # the best are drawn last
        ends = corners[np.array(EDGES)]
        picture = draw_segments(picture, seen, ends, np.repeat(colors[label][None], len(EDGES), axis=0))
    return picture


def _views(scan: Scan) -> list[SeenPoints]:
    """From above without what hangs high, then from corners without the walls and the ceiling in between."""
    low, high = (np.percentile(scan.xyz, q, axis=0).astype(np.float64) for q in (0.2, 99.8))  # a stray point is no room
    spacing = 1.3 * point_spacing(scan.xyz)
    if scan.faces is not None and len(scan.faces):
        normals = vertex_normals(scan.xyz, scan.faces)
    else:
        normals = point_normals(scan.xyz, (low + high) / 2)
    walls, ceiling = _shell(scan.xyz, normals, low, high)
    shown = scan.xyz[:, 2] <= low[2] + CEILING
    above = see_points(scan.xyz, from_above(low, high, SIZE), spacing, normals, shown=shown)
    inwards = _turned_inwards(scan.xyz, normals, walls, ceiling, (low + high) / 2)
    corners = around(low, high, TURNS, SIZE)
    return [above, *(see_points(scan.xyz, view, spacing, inwards, walls | ceiling) for view in corners)]


def _shell(xyz: np.ndarray, normals: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which points belong to walls and to the ceiling, (N,) bool each, by their shape alone; none in a low scan."""
    none = np.zeros(len(xyz), dtype=bool)
    if high[2] - low[2] < ROOM_HEIGHT:
        return none, none
    cells = np.floor((xyz - low.astype(np.float32)) / np.array([0.15, 0.15, 0.3], np.float32)).astype(np.int64)
    occupied, cell = np.unique(cells, axis=0, return_inverse=True)
    _, column, levels = np.unique(occupied[:, :2], axis=0, return_inverse=True, return_counts=True)
    tall = (levels >= 0.6 * (high[2] - low[2]) / 0.3)[column.reshape(-1)][cell.reshape(-1)]
    steep = np.abs(normals[:, 2])
    return tall & (steep < 0.6), (steep > 0.7) & (xyz[:, 2] > low[2] + 0.8 * (high[2] - low[2]))


def _turned_inwards(
    xyz: np.ndarray, normals: np.ndarray, walls: np.ndarray, ceiling: np.ndarray, middle: np.ndarray
) -> np.ndarray:
    """``normals`` with those of walls and ceiling turned into the room: scans differ in how triangles are wound."""
    turned = normals.copy()
    to_middle = (middle - xyz)[:, :2]
    away = walls & ((normals[:, :2] * to_middle).sum(axis=1) < 0)
    turned[away | (ceiling & (normals[:, 2] > 0))] *= -1
    return turned


def _as_bytes(rgb: np.ndarray) -> np.ndarray:
    return np.round(rgb * 255).astype(np.uint8)
