"""Long work on the terminal: what is selected, how far it is, how it ended."""
