"""The platform contract over MQTT 5: topics, envelope, lanes and pull verbs. Reads through the read model."""
