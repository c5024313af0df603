"""The command line tools, installed as ``sparse3d.tools``: argument parsing and one call each."""
