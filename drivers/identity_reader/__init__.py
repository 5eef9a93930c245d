"""Readers that say who stands at a shared kiosk, on serial ports: card readers, scanners of bar codes and QR codes."""
