"""Weight Scale Service (0x181D) with Body Composition (0x181B): scales that need no user consent."""
