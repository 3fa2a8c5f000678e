-- What a caller has set decides nothing in functions of ours: they take their literals for what they are.

SELECT invoice_number_key(n) FROM unnest('{INV 1/2,inv-12,Rs 5,"r\\s_5"}'::text[]) n;
-- functions are planned in each session for the first time
\c
SET standard_conforming_strings = off;
SELECT invoice_number_key(n) FROM unnest(E'{INV 1/2,inv-12,Rs 5,"r\\\\s_5"}'::text[]) n;
SELECT invoice_reject('00000000-0000-0000-0000-000000000000', ' ');
SELECT count(*) FROM saga.doctor() WHERE "check" = 'preload';
RESET standard_conforming_strings;

-- so a literal with a backslash begins with E
SELECT e.extname, p.oid::regprocedure
FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid JOIN pg_language l ON l.oid = p.prolang
WHERE e.extname IN ('pg_saga', 'pg_invoice') AND l.lanname IN ('sql', 'plpgsql')
	-- without comments, and without what begins with E
	AND regexp_replace(regexp_replace(p.prosrc, '--[^\n]*', '', 'g'), '\yE''[^'']*''', '', 'g') ~ '\\';
