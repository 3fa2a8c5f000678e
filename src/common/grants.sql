-- Last: nothing for anybody but the owner. Functions are PUBLIC's until they are revoked; and who is named in ALTER DEFAULT
-- PRIVILEGES, for tables of an application, has them on these too.
DO $$
DECLARE
	made record;
BEGIN
	FOR made IN
		SELECT o.kind, o.name, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee
		FROM (
			SELECT 'ROUTINE' AS kind, p.oid::regprocedure::text AS name, 'pg_proc'::regclass AS class, p.oid, p.proowner AS owner,
				coalesce(p.proacl, acldefault('f', p.proowner)) AS acl
			FROM pg_proc p
			UNION ALL
			SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass::text, 'pg_class'::regclass, c.oid, c.relowner, c.relacl
			FROM pg_class c
			UNION ALL
			SELECT 'SCHEMA', quote_ident(n.nspname), 'pg_namespace'::regclass, n.oid, n.nspowner, n.nspacl FROM pg_namespace n) o
			JOIN pg_depend m ON m.classid = o.class AND m.objid = o.oid AND m.deptype = 'e' AND m.refclassid = 'pg_extension'::regclass
			JOIN pg_extension e ON e.oid = m.refobjid AND e.extname = 'pg_saga',
			aclexplode(o.acl) a
		WHERE a.grantee <> o.owner
	LOOP
		EXECUTE format('REVOKE ALL ON %s %s FROM %s CASCADE', made.kind, made.name, made.grantee);
	END LOOP;
END
$$;

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
