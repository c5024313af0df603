"""Frozen features measured: linear probe and k nearest neighbours on labelled points (``tools/probe.py``)."""
