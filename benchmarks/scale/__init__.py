"""Many streams in one batch: time and memory by number of streams, compared with a plain ResNet."""
