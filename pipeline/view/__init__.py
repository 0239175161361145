"""What people see: overlays, terminal, window, video files, web page."""
