"""Pure numpy geometry: rigid motions, projection with occlusion, correspondence, overlap, gravity, resizing, boxes."""

from sparse3d.geometry.box_overlap import box_intersection, box_iou
from sparse3d.geometry.boxes import count_points_in_boxes, nms, points_in_boxes, score_order
from sparse3d.geometry.correspondence import match_pixels, usable_pixels
from sparse3d.geometry.gravity import estimate_up, up_to_z
from sparse3d.geometry.overlap import Overlap, select_pairs, view_overlaps
from sparse3d.geometry.projection import (
    depth_edges,
    inside_image,
    project_points,
    surface_normals,
    unproject_depth,
    visible_points,
)
from sparse3d.geometry.resize import resize_color, resize_depth
from sparse3d.geometry.rigid import (
    invert_rigid,
    is_rigid,
    rotation_about_z,
    rotation_between,
    rotation_from_quaternion,
    transform_points,
)

__all__ = [
    "Overlap",
    "box_intersection",
    "box_iou",
    "count_points_in_boxes",
    "depth_edges",
    "estimate_up",
    "inside_image",
    "invert_rigid",
    "is_rigid",
    "match_pixels",
    "nms",
    "points_in_boxes",
    "project_points",
    "resize_color",
    "resize_depth",
    "rotation_about_z",
    "rotation_between",
    "rotation_from_quaternion",
    "score_order",
    "select_pairs",
    "surface_normals",
    "transform_points",
    "unproject_depth",
    "up_to_z",
    "usable_pixels",
    "view_overlaps",
    "visible_points",
]
