"""What gets a machine ready: the environment, MinkowskiEngine's wheel, and the doctor. Imports nothing heavy."""
