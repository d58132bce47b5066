"""Where new sounds come from: moments of all codes, or a bank of the recordings' own codes."""
