"""Trained networks put to use: a checkpoint loaded without its data, asked for points and colours; results as files."""
