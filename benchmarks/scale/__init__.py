"""Many streams in one batch: time and memory by the number of streams, beside a plain ResNet."""
