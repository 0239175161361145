"""Makes checkpoints: rendered motion, fitting, evaluation."""
