"""What ``tools/bench.py`` measures: the sparse engine beside its rivals, and where a pre-training step's time goes.

This file and ``sparse3d/__init__.py`` import nothing of torch: a worker process sets its environment before that.
"""
