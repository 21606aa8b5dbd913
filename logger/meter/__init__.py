"""One meter on its bus: planning around what it refuses, asking, checking, remembering."""
