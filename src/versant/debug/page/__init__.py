"""The page that shows a recording, served on this machine alone."""
