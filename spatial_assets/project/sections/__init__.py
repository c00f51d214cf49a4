"""Tables of project.toml as frozen models, one file each."""
