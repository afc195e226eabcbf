"""From a pair of frames to detections: alignment, kernel fit, the engines, the difference, significance, detection.

The difference is new minus reference in the new image's counts.
"""
