"""Setting up: the bootstrap, the registry of beds and devices, and later the commissioning flow."""
