"""Reports: what the stored points say about energy, quality and events."""
