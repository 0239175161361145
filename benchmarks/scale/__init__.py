"""Many streams in one batch: time and memory by the number of streams, with a plain ResNet as the floor."""
