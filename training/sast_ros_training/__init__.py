"""Makes weights for ``sast_ros``: simulation of labelled event streams, and training."""
