"""The nonin family: vectors, properties of its decoders, and its driver against its peer."""
