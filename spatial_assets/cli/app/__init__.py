"""Parts that all commands share: the group, the open project, the console and common options."""
