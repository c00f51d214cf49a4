"""Pixels of a scene: opening, headers, windows, samples and inspection."""
