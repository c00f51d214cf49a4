-- The role that the pipeline runs with, and one that reads: run once, as an administrator, in the
-- product's database. Change both passwords. The pipeline's URL then ends in ?schema=product.
create extension if not exists postgis;
create role spatial_assets login password 'change-me' nosuperuser nocreatedb nocreaterole;
create role spatial_assets_reader login password 'change-me-too' nosuperuser nocreatedb nocreaterole;

-- One schema is its own, and there is nothing else that it may change.
create schema product authorization spatial_assets;
revoke create on schema public from public;
do $$ begin
    execute format('revoke all on database %I from public', current_database());
    -- temporary: rows arrive in a table of the transaction before they replace others
    execute format('grant connect, temporary on database %I to spatial_assets', current_database());
    execute format('grant connect on database %I to spatial_assets_reader', current_database());
end $$;

-- The reader sees every table there is and will be.
grant usage on schema product to spatial_assets_reader;
alter default privileges for role spatial_assets in schema product
    grant select on tables to spatial_assets_reader;
