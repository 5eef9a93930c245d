"""Mirrors the tree: each test names the promise it keeps."""
