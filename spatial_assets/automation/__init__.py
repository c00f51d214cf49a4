"""Automation: the conditions, sensors, schedules and jobs that request materializations.

The decisions are pure functions in pipeline/; the modules here gather the facts for them and
return requests to Dagster.
"""
