"""Where frames come from: webcams, network streams, files, image folders, the demo tour."""
