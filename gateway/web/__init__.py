"""The local page and /api/v1. Reads through the read model, asks through commands, imports no driver."""
