"""What all commands share: the group, the project in force, the console and the selectors."""
