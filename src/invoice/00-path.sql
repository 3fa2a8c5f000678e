-- The search path, until the end of this script. PostgreSQL runs it with the target schema in the
-- path, in which others may be allowed to create functions and operators; what fits the arguments
-- better than that of pg_catalog would be called here, or kept in a view, as a superuser.
SET LOCAL search_path = pg_catalog, pg_temp;
