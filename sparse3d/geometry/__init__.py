"""Pure numpy geometry: rigid motions, projection with occlusion, correspondence, overlap, gravity, resizing."""

from sparse3d.geometry.correspondence import match_pixels
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
    "depth_edges",
    "estimate_up",
    "inside_image",
    "invert_rigid",
    "is_rigid",
    "match_pixels",
    "project_points",
    "resize_color",
    "resize_depth",
    "rotation_about_z",
    "rotation_between",
    "rotation_from_quaternion",
    "select_pairs",
    "surface_normals",
    "transform_points",
    "unproject_depth",
    "up_to_z",
    "view_overlaps",
    "visible_points",
]
