"""Wired M-Bus as bytes: link frames (EN 13757-2) and data records (EN 13757-3). Pure."""
