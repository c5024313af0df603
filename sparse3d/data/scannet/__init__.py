"""ScanNet's annotations as they lie on disk: classes, label table, segments, instances, alignment, split lists.

One file a format, none of which knows what the labels are used for; frames are read by :mod:`sparse3d.data.readers`.
Furnished rooms (:mod:`sparse3d.rooms`) are written in the same files.
"""
