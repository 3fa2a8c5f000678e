-- Last: nothing for anybody but the owner. Functions are PUBLIC's until they are revoked; and who is named in ALTER DEFAULT
-- PRIVILEGES, for tables of an application, has them on these too.
DO $$
DECLARE
	made record;
BEGIN
	FOR made IN
		SELECT o.kind, o.name, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::pg_catalog.regrole::text END AS grantee
		FROM (
			SELECT 'ROUTINE' AS kind, p.oid::pg_catalog.regprocedure::text AS name, 'pg_catalog.pg_proc'::pg_catalog.regclass AS class, p.oid, p.proowner AS owner,
				coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner)) AS acl
			FROM pg_catalog.pg_proc p
			UNION ALL
			SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::pg_catalog.regclass::text, 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, c.relowner, c.relacl
			FROM pg_catalog.pg_class c
			UNION ALL
			SELECT 'SCHEMA', pg_catalog.quote_ident(n.nspname), 'pg_catalog.pg_namespace'::pg_catalog.regclass, n.oid, n.nspowner, n.nspacl FROM pg_catalog.pg_namespace n) o
			JOIN pg_catalog.pg_depend m ON m.classid = o.class AND m.objid = o.oid AND m.deptype = 'e' AND m.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
			JOIN pg_catalog.pg_extension e ON e.oid = m.refobjid AND e.extname = 'pg_invoice',
			pg_catalog.aclexplode(o.acl) a
		WHERE a.grantee <> o.owner
	LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON %s %s FROM %s CASCADE', made.kind, made.name, made.grantee);
	END LOOP;
END
$$;
