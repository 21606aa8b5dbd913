"""Wired M-Bus on paper: link frames (EN 13757-2) and data records (EN 13757-3). Pure."""
