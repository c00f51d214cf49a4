"""Parts of a Dagster instance that `dagster.yaml` names, and our use of Dagster's internals."""
