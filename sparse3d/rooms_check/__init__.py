"""How good made rooms are: what `tools/check_rooms.py` measures on a folder of rooms and on what was prepared of it."""
