-- Creates the role of the pipeline and a role that reads. Run once, as an administrator, in the
-- product's database. Change both passwords. The pipeline's URL then ends in ?schema=product.
create extension if not exists postgis;
create role spatial_assets login password 'change-me' nosuperuser nocreatedb nocreaterole;
create role spatial_assets_reader login password 'change-me-too' nosuperuser nocreatedb nocreaterole;

-- The role owns one schema and may change nothing else.
create schema product authorization spatial_assets;
revoke create on schema public from public;
do $$ begin
    execute format('revoke all on database %I from public', current_database());
    -- temporary: a transaction copies rows into a temporary table before they replace others
    execute format('grant connect, temporary on database %I to spatial_assets', current_database());
    execute format('grant connect on database %I to spatial_assets_reader', current_database());
end $$;

-- The reader may read every current and future table.
grant usage on schema product to spatial_assets_reader;
alter default privileges for role spatial_assets in schema product
    grant select on tables to spatial_assets_reader;
