"""The page and /api/v1 over ASGI, and the server over real sockets."""
