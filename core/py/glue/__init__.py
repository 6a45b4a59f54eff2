"""Python sources that are embedded in cgunicorn."""
