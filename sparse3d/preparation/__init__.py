"""Preparing scans for training: `tools/prepare.py`. What it writes is read by :mod:`sparse3d.data.prepared`."""
