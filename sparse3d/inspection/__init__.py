"""Pages that show what a recording, or a scan, holds: `tools/inspect_pairs.py` and `tools/inspect_scene.py`."""
