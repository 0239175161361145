"""The processes of the pipeline: capture, inference, sink, monitor, and the supervisor that runs them."""
