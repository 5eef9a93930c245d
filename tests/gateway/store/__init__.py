"""The store: nothing accepted is lost, nothing is delivered twice, nothing is silent."""
