"""Parts of pictures; they need OpenCV, the extra `parts`."""
