-- What somebody who may create things in a schema can put there, to be run by others whose search
-- path has that schema in it: for t/065_search_path.pl. A trap that runs says so in the server's log,
-- which no rollback undoes, makes mallory superuser when it can, and lets its caller go on.
--
--	SET ROLE mallory; SELECT mallory.set_traps('schema');	beside what is in pg_catalog and in schema saga
--	SET ROLE mallory; SELECT mallory.set_overloads('schema');	beside the functions of pg_invoice there
SET search_path = pg_catalog;
CREATE ROLE mallory;
CREATE SCHEMA mallory AUTHORIZATION mallory;
GRANT USAGE ON SCHEMA mallory TO PUBLIC;

-- Names and operators in the scripts of both extensions, of all versions: these have more traps than
-- the others in the catalog.
CREATE TABLE mallory.used AS
	WITH script AS (
		SELECT pg_read_file(dir || '/' || file) AS script
		  FROM (SELECT setting || '/extension' FROM pg_config WHERE name = 'SHAREDIR') AS d (dir), pg_ls_dir(dir) AS file
		 WHERE file ~ '^pg_(saga|invoice)--.*\.sql$')
	SELECT DISTINCT m[1] AS word
	  FROM script, regexp_matches(script, '[a-z_][a-z0-9_]*|[-+*/<>=~!@#%^&|?]+', 'g') AS m;
GRANT SELECT ON mallory.used TO PUBLIC;

CREATE FUNCTION mallory.fire(trap text) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	RAISE LOG 'trap fired: % as %', trap, current_user;
	EXECUTE 'ALTER ROLE mallory SUPERUSER';
	RETURN true;
EXCEPTION WHEN OTHERS THEN
	RETURN true;
END
$$;

-- A type that a function may return, or text.
CREATE FUNCTION mallory.result(type oid) RETURNS regtype LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
	SELECT coalesce((SELECT t.oid FROM pg_type t WHERE t.oid = type AND t.typtype <> 'p'), 'text'::regtype)::regtype
$$;

CREATE FUNCTION mallory.add_function(schema text, name text, args text, result text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog SET check_function_bodies = off AS $$
BEGIN
	EXECUTE format('CREATE FUNCTION %I.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', schema, name, args, result,
		format('BEGIN PERFORM mallory.fire(%L); RETURN NULL; END', format('function %s(%s)', name, args)));
EXCEPTION WHEN duplicate_function THEN
	NULL;	-- two names of one type
END
$$;

CREATE FUNCTION mallory.add_operator(schema text, name text, l text, r text, result text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog SET check_function_bodies = off AS $$
DECLARE
	function text := md5(name || ' ' || coalesce(l, '') || ' ' || r);
BEGIN
	EXECUTE format('CREATE FUNCTION %I.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', schema, function, concat_ws(', ', l, r), result,
		format('BEGIN PERFORM mallory.fire(%L); RETURN NULL; END', format('operator %s (%s, %s)', name, coalesce(l, 'none'), r)));
	EXECUTE format('CREATE OPERATOR %I.%s (FUNCTION = %I.%I, RIGHTARG = %s%s)', schema, name, schema, function, r, ', LEFTARG = ' || l);
END
$$;

-- Types of arguments: what the scripts have, and what an unknown literal or a number may be taken for.
CREATE TABLE mallory.type (name text, often boolean);
INSERT INTO mallory.type
	SELECT unnest('{text,name,json,jsonb,uuid,int4,int8,numeric,timestamptz,regclass,anyelement,anyarray}'::text[]), true
	UNION ALL
	SELECT unnest('{varchar,"\"char\"",bool,int2,float8,interval,date,oid,regrole,regproc,regprocedure,text[],jsonb[],int4[],uuid[]}'::text[]), false;
GRANT SELECT ON mallory.type TO PUBLIC;

CREATE FUNCTION mallory.set_traps(schema text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
	c CONSTANT regnamespace := 'pg_catalog';
BEGIN
	-- the catalog's own functions once more, for a path in which pg_catalog is last
	PERFORM mallory.add_function(schema, p.proname,
				(SELECT string_agg(format_type(t, NULL), ', ' ORDER BY n) FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS u (t, n)),
				mallory.result(p.prorettype)::text)
	   FROM pg_proc p
	  WHERE p.pronamespace = c
		AND NOT EXISTS (SELECT FROM unnest(p.proargtypes::oid[]) AS u (t) JOIN pg_type y ON y.oid = t
						WHERE y.typtype = 'p' AND y.typname !~ '^any(element|array)$');
	-- beside each name with as many arguments: what fits unknown literals, and whatever it is given
	PERFORM mallory.add_function(schema, p.proname, a.args, p.result)
	   FROM (SELECT p.proname, n, mode() WITHIN GROUP (ORDER BY mallory.result(p.prorettype)::text) AS result
			   FROM pg_proc p, generate_series((p.pronargs - p.pronargdefaults)::int, p.pronargs::int) AS n
			  WHERE p.pronamespace = c GROUP BY p.proname, n) AS p,
			LATERAL (SELECT array_to_string(array_fill(t, ARRAY[p.n]), ', ') FROM unnest('{text,anyelement}'::text[]) AS t) AS a (args)
	  WHERE p.n BETWEEN 1 AND 6;
	-- and beside each name that the scripts use, with any types
	PERFORM mallory.add_function(schema, p.proname, a.args, p.result)
	   FROM (SELECT p.proname, min(p.pronargs - p.pronargdefaults) AS least, max(CASE WHEN p.provariadic <> 0 THEN 9 ELSE p.pronargs END) AS most,
				mode() WITHIN GROUP (ORDER BY mallory.result(p.prorettype)::text) AS result
			   FROM pg_proc p JOIN mallory.used u ON u.word = p.proname
			  WHERE p.pronamespace = c GROUP BY p.proname) AS p,
			(SELECT 0, ''
			 UNION ALL SELECT 1, t.name FROM mallory.type t
			 UNION ALL SELECT 2, concat_ws(', ', l.name, r.name) FROM mallory.type l, mallory.type r WHERE l.often AND r.often
			 UNION ALL SELECT 3, concat_ws(', ', t.name, t.name, t.name) FROM mallory.type t WHERE t.often
			 UNION ALL SELECT 3, concat_ws(', ', 'text', t.name, 'text') FROM mallory.type t WHERE t.often
			 UNION ALL SELECT 3, concat_ws(', ', 'text', 'text', t.name) FROM mallory.type t WHERE t.often
			 UNION ALL SELECT 1, 'VARIADIC text[]' UNION ALL SELECT 2, 'text, VARIADIC text[]' UNION ALL SELECT 1, 'VARIADIC anyarray') AS a (n, args)
	  WHERE a.n BETWEEN p.least AND p.most OR a.args ~ 'VARIADIC';

	PERFORM mallory.add_operator(schema, o.oprname, t.l, t.r, (
			SELECT mallory.result(x.oprresult)::text FROM pg_operator x
			 WHERE x.oprnamespace = c AND x.oprname = o.oprname
			 ORDER BY x.oprleft = to_regtype(t.l) DESC, x.oprright = to_regtype(t.r) DESC, x.oid LIMIT 1))
	   FROM (SELECT o.oprname, u.word IS NOT NULL AS used
			   FROM (SELECT DISTINCT oprname FROM pg_operator WHERE oprnamespace = c AND oprkind = 'b') AS o
			   LEFT JOIN mallory.used u ON u.word = o.oprname) AS o,
			(SELECT l.name, r.name, l.often AND r.often FROM mallory.type l, mallory.type r) AS t (l, r, often)
	  WHERE o.used AND t.often OR t.l = t.r OR t.often AND t.r IN ('text', 'int4');
	PERFORM mallory.add_operator(schema, o.oprname, NULL, format_type(o.oprright, NULL), mallory.result(o.oprresult)::text)
	   FROM pg_operator o WHERE o.oprnamespace = c AND o.oprkind = 'l';

	-- relations before types: a relation has one of its name
	PERFORM mallory.add_relation(schema, r.relname, r.columns)
	   FROM (SELECT r.relname, string_agg(format('NULL::%s AS %I',
					CASE WHEN t.typtype = 'p' OR e.typtype = 'c' THEN 'text' ELSE format_type(t.oid, NULL) END, a.attname), ', ' ORDER BY a.attnum)
			   FROM pg_class r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
			   JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type e ON e.oid = t.typelem
			  WHERE r.relkind IN ('r', 'v') AND r.relnamespace IN (c, to_regnamespace('saga')) GROUP BY r.relname) AS r (relname, columns);
	PERFORM mallory.add_type(schema, t.typname)
	   FROM pg_type t WHERE t.typnamespace = c AND t.typtype = 'b' AND t.typelem = 0;
END
$$;

CREATE FUNCTION mallory.add_relation(schema text, name text, columns text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	EXECUTE format('CREATE VIEW %I.%I AS SELECT %s WHERE mallory.fire(%L)', schema, name, columns, 'relation ' || name);
END
$$;

CREATE FUNCTION mallory.add_type(schema text, name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	EXECUTE format('CREATE DOMAIN %I.%I AS pg_catalog.%I CHECK (mallory.fire(%L))', schema, name, name, 'type ' || name);
END
$$;

CREATE FUNCTION mallory.set_overloads(schema text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	PERFORM mallory.add_function(schema, p.proname, a.args, p.result)
	   FROM (SELECT DISTINCT ON (p.proname) p.proname, p.pronargs::int AS n, mallory.result(p.prorettype)::text AS result
			   FROM pg_proc p
			   JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
			   JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
			  WHERE e.extname = 'pg_invoice' AND p.prokind = 'f') AS p,
			LATERAL (SELECT ''
			 UNION ALL SELECT t.name FROM mallory.type t
			 UNION ALL SELECT concat_ws(', ', l.name, r.name) FROM mallory.type l, mallory.type r WHERE l.often AND r.often
			 UNION ALL SELECT array_to_string(array_fill(t.name, ARRAY[i]), ', ')
					FROM mallory.type t, generate_series(3, greatest(p.n, 3) + 1) AS i WHERE t.often
			 UNION ALL SELECT 'VARIADIC text[]' UNION ALL SELECT 'VARIADIC anyarray') AS a (args);
END
$$;
RESET search_path;
