"""Line protocol: records to points and lines, and lines back to points. Pure."""
