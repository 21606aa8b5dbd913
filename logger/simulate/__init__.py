"""Virtual meters on a virtual line."""
