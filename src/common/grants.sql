-- Last: nothing for PUBLIC.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA saga FROM PUBLIC;
REVOKE ALL ON ALL PROCEDURES IN SCHEMA saga FROM PUBLIC;

-- Without a policy only the owner of a table, that is our own statements and the views, and who bypasses
-- row security sees rows in it or makes any: not so pg_read_all_data and pg_write_all_data, which have every right.
DO $$
DECLARE
	saga_table regclass;
BEGIN
	FOR saga_table IN
		SELECT c.oid FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
			JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
		WHERE e.extname = 'pg_saga' AND c.relkind = 'r'
	LOOP
		EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', saga_table);
	END LOOP;
END
$$;
