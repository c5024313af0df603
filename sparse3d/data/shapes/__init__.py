"""Single shapes with a class each, and perhaps parts: readers, one file a format, and the data set of both tasks."""
