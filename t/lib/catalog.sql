-- Everything of an extension's catalog that an update could leave otherwise than a new installation.
WITH member AS (
	SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname IN ('pg_saga', 'pg_invoice')),
rel AS (SELECT c.* FROM pg_class c JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid)
SELECT * FROM (
	SELECT 'function ' || p.oid::regprocedure AS what, concat_ws(' ', pg_get_function_result(p.oid), pg_get_function_arguments(p.oid), l.lanname, p.prosrc, p.probin,
		p.provolatile, p.proisstrict, p.prosecdef, p.proparallel, p.proleakproof, p.procost, p.prorows, p.proconfig, p.proacl, p.prokind,
		obj_description(p.oid, 'pg_proc')) AS how
	FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid JOIN pg_language l ON l.oid = p.prolang
	UNION ALL
	SELECT 'relation ' || r.oid::regclass, concat_ws(' ', r.relkind, r.relpersistence, r.relrowsecurity, r.reloptions, r.relacl, obj_description(r.oid, 'pg_class'),
		CASE WHEN r.relkind = 'v' THEN pg_get_viewdef(r.oid) END) FROM rel r
	UNION ALL
	SELECT 'column ' || r.oid::regclass || '.' || a.attname, concat_ws(' ', row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum),
		format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, a.attacl, pg_get_expr(d.adbin, d.adrelid), col_description(r.oid, a.attnum))
	FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
		LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
	UNION ALL
	SELECT 'constraint ' || r.oid::regclass || '.' || c.conname, pg_get_constraintdef(c.oid) FROM rel r JOIN pg_constraint c ON c.conrelid = r.oid
	UNION ALL
	SELECT 'index ' || i.indexrelid::regclass, pg_get_indexdef(i.indexrelid) FROM rel r JOIN pg_index i ON i.indrelid = r.oid
	UNION ALL
	SELECT 'trigger ' || r.oid::regclass || '.' || t.tgname, pg_get_triggerdef(t.oid) FROM rel r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
	UNION ALL
	SELECT 'sequence ' || r.oid::regclass, concat_ws(' ', s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle)
	FROM rel r JOIN pg_sequence s ON s.seqrelid = r.oid
	UNION ALL
	SELECT 'dumped ' || c.oid::regclass, e.extcondition[n.n]
	FROM pg_extension e, generate_subscripts(e.extconfig, 1) n (n), pg_class c WHERE e.extname IN ('pg_saga', 'pg_invoice') AND c.oid = e.extconfig[n.n]
	UNION ALL
	SELECT 'other ' || pg_describe_object(m.classid, m.objid, 0), '' FROM member m
	WHERE m.classid NOT IN ('pg_proc'::regclass, 'pg_class'::regclass)
	UNION ALL
	SELECT 'extension ' || extname, extversion FROM pg_extension WHERE extname IN ('pg_saga', 'pg_invoice')) o
ORDER BY 1, 2
