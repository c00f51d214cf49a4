-- Dagster's own runs and events, apart from the product's tables: either can be restored alone.
create database dagster;
