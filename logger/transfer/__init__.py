"""Points out of the buffer as files, and files of points into it."""
