"""Other temporal models on the same backbone, ablations of ours, and one harness for all."""
