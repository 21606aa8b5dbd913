"""Prices of the market: files of them read, and the file in which they are kept."""
