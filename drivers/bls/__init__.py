"""Blood Pressure Service (0x1810): cuffs that store their readings and hand them over when they are heard."""
