"""The pipeline's processes: capture, inference, sink, monitor, and the supervisor that runs them."""
