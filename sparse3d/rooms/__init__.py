"""Furnished rooms, scanned by a simulated RGB-D camera and written as ScanNet writes its scans.

style -> pieces of furniture -> a room (plan and placement) -> a scene of triangles -> frames along a walk -> files
"""
