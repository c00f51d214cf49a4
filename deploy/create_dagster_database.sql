-- Dagster's runs and events, separate from the product's tables so that either can be restored alone.
create database dagster;
