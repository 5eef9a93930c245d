"""Scales with a serial plug that print lines of ASCII text: kiosk columns, ward scales."""
