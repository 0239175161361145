"""Other ways to read motion from the same backbone, ablations of ours, and one harness for all of them."""
