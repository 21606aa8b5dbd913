"""The buffer file: its format, every change of it, damage and recovery. The only SQL."""
