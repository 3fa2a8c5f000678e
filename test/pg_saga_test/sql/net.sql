-- Headers, addresses and secrets (src/net), without a network. What each should give stands beside it; only what gives
-- something else is shown, and how many there were.
CREATE EXTENSION pg_saga_test;

-- ---------- headers of an answer ----------
CREATE TEMP TABLE head (head text);
INSERT INTO head VALUES (E'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Empty:\r\nX-Blank:   \r\nX-Padded: \t a b \t\r\nX-Colon: a: b\r\n'
	'x-lower: l\r\nX-Twice: one\r\nx-twice: two\r\nX-Tight:t\r\nX-Spaced : no\r\n X-Folded: f\r\nX-Last: end');
CREATE TEMP TABLE asked (name text, value text);
INSERT INTO asked VALUES ('Content-Type', 'text/html'), ('content-type', 'text/html'), ('CONTENT-TYPE', 'text/html'), ('X-Empty', ''), ('X-Blank', ''),
	('X-Padded', 'a b'), ('X-Colon', 'a: b'), ('X-Lower', 'l'), ('X-Twice', 'one'), ('X-Tight', 't'), ('X-Last', 'end'),
	('X-Spaced', NULL), ('X-Folded', NULL), ('Content', NULL), ('Content-Type:', NULL), ('Type', NULL), ('HTTP/1.1 200 OK', NULL), ('X-None', NULL);
SELECT name, value, saga_test.header(head, name) AS got FROM head, asked WHERE value IS DISTINCT FROM saga_test.header(head, name);
SELECT saga_test.header('', 'X') IS NULL, saga_test.header(E'X: unix\nY: line', 'Y'), saga_test.header('X:', 'X') = '';

SELECT type, says, saga_test.says_json('HTTP/1.1 200 OK' || E'\r\nContent-Type: ' || type || E'\r\n') AS got FROM (VALUES
	('application/json', true), ('Application/JSON', true), ('application/json; charset=utf-8', true), ('application/json;charset=utf-8', true),
	('application/json ;x', true), ('application/problem+json', true), ('application/vnd.api+JSON; v=1', true), ('application/x-amz-json-1.0', false),
	('text/json', false), ('application/jsonp', false), ('application/json+xml', false), ('+json', false), ('', false), ('text/plain; a=application/json', false),
	('text/html', false), ('application/json-seq', false)) t(type, says)
	WHERE says <> saga_test.says_json('HTTP/1.1 200 OK' || E'\r\nContent-Type: ' || type || E'\r\n');

-- ---------- headers that are sent ----------
SELECT n, saga_test.header_fault('X' || chr(n)) AS got FROM generate_series(1, 127) n
	WHERE (saga_test.header_fault('X' || chr(n)) IS NULL) <> (chr(n) ~ '^[!#$%&''*+.^_`|~0-9A-Za-z-]$');
SELECT n, saga_test.header_fault('X', 'v' || chr(n)) AS got FROM generate_series(1, 127) n
	WHERE (saga_test.header_fault('X', 'v' || chr(n)) IS NULL) <> (n >= 32 AND n < 127 OR n = 9);
SELECT name, saga_test.header_fault(name) FROM unnest(ARRAY['', 'Host', 'HOST', 'content-length', 'Transfer-Encoding', 'Connection', 'Expect', 'Upgrade', 'TE',
	'Trailer', 'Keep-Alive', 'Proxy-Connection', 'Größe', 'a b', 'a:', repeat('n', 128), repeat('n', 129)]) name;
SELECT left(value, 10) AS value, length(value), saga_test.header_fault('X', value) FROM unnest(ARRAY['', ' ', E'\t ', 'ä', E'a\r\nHost: b', E'a\nb', repeat('v', 8192), repeat('v', 8193)]) value;

-- ---------- when to come again ----------
CREATE TEMP TABLE again (settings jsonb, head text, body text, status int, ms bigint);
INSERT INTO again VALUES
	('{}', 'Retry-After: 120', '', 429, 120000), ('{}', 'retry-after: 0', '', 503, 0), ('{}', 'Retry-After: 1.5', '', 429, 1500), ('{}', 'Retry-After:  7 ', '', 429, 7000),
	('{}', 'Retry-After: -1', '', 429, NULL), ('{}', 'Retry-After:', '', 429, NULL), ('{}', 'Retry-After: soon', '', 429, NULL), ('{}', 'Retry-After: nan', '', 429, NULL),
	('{}', 'Retry-After: inf', '', 429, NULL), ('{}', 'Retry-After: 0x10', '', 429, NULL), ('{}', 'Retry-After: 5s', '', 429, NULL), ('{}', 'Retry-After: 5, 6', '', 429, NULL),
	('{}', 'Retry-After: 1e400', '', 429, 1000000000000), ('{}', 'Retry-After: 99999999999999999999', '', 429, 1000000000000), ('{}', 'Retry-After: 1e-400', '', 429, 0),
	('{}', 'Retry-After: Thu, 01 Jan 1970 00:00:00 GMT', '', 429, 0), ('{}', 'Retry-After: Fri, 31 Dec 9999 23:59:59 GMT', '', 429, 1000000000000),
	('{}', '', '', 429, NULL), ('{"default_s": 30}', '', '', 429, 30000), ('{"default_s": 30}', '', '', 503, NULL), ('{"default_s": 30}', 'Retry-After: 2', '', 429, 2000),
	('{"default_s": 30}', 'Retry-After: soon', '', 429, 30000),
	('{"header": "X-Wait"}', E'Retry-After: 5\r\nX-Wait: 9', '', 429, 9000), ('{"header": "X-Wait"}', 'Retry-After: 5', '', 429, NULL),
	('{"body_regex": "in (\\d+) seconds"}', '', 'try again in 55 seconds', 429, 55000), ('{"body_regex": "in (\\d+) seconds"}', 'Retry-After: 1', 'in 55 seconds', 429, 1000),
	('{"body_regex": "in (\\d+) seconds"}', '', 'in 5 minutes', 429, NULL), ('{"body_regex": "in (\\d+) seconds"}', '', 'in 55 seconds', 200, NULL),
	('{"body_regex": "in (\\d+)?"}', '', 'in time', 429, NULL), ('{"body_regex": "(.*)"}', '', 'no number', 503, NULL), ('{"body_regex": "wait ([0-9.]+)"}', '', 'wait 0.25', 503, 250),
	('{"body_regex": "in (\\d+) seconds"}', '', repeat('x', 4096) || 'in 55 seconds', 429, NULL), ('{"body_regex": "(\\d+)"}', '', repeat('9', 4000), 429, 9999999000),
	('{"body_regex": "Größe (\\d+)"}', '', 'Größe 3', 429, 3000), ('{"body_regex": "(\\d+)$", "default_s": 4}', '', 'none', 429, 4000);
SELECT settings, head, left(body, 20) AS body, ms, saga_test.retry_after(settings, E'HTTP/1.1 429 No\r\n' || head, body, status) AS got FROM again
	WHERE ms IS DISTINCT FROM saga_test.retry_after(settings, E'HTTP/1.1 429 No\r\n' || head, body, status);
SELECT count(*) FROM again;
SELECT saga_test.retry_after('{}', 'Retry-After: ' || to_char(now() AT TIME ZONE 'UTC' + '1 hour', 'Dy, DD Mon YYYY HH24:MI:SS "GMT"')) BETWEEN 3500000 AND 3601000 AS in_an_hour;

-- ---------- addresses ----------
CREATE TEMP TABLE address (ip text, public boolean);
INSERT INTO address VALUES
	('8.8.8.8', true), ('1.1.1.1', true), ('9.255.255.255', true), ('11.0.0.0', true), ('100.63.255.255', true), ('100.128.0.0', true), ('126.255.255.255', true),
	('128.0.0.1', true), ('169.253.255.255', true), ('169.255.0.0', true), ('172.15.255.255', true), ('172.32.0.0', true), ('192.0.1.0', true), ('192.167.255.255', true),
	('192.169.0.0', true), ('198.17.255.255', true), ('198.20.0.0', true), ('223.255.255.255', true), ('168.63.129.15', true), ('168.63.129.17', true),
	('0.0.0.0', false), ('0.255.255.255', false), ('10.0.0.0', false), ('10.255.255.255', false), ('100.64.0.0', false), ('100.127.255.255', false), ('127.0.0.1', false),
	('127.255.255.255', false), ('168.63.129.16', false), ('169.254.0.0', false), ('169.254.169.254', false), ('169.254.255.255', false), ('172.16.0.0', false),
	('172.31.255.255', false), ('192.0.0.1', false), ('192.0.0.255', false), ('192.168.0.0', false), ('192.168.255.255', false), ('198.18.0.0', false), ('198.19.255.255', false),
	('224.0.0.1', false), ('240.0.0.1', false), ('255.255.255.255', false),
	('2606:4700::1111', true), ('2a00:1450::1', true), ('2003::1', true), ('fbff::1', true), ('fe00::1', true), ('2001:1::1', true), ('::ffff:8.8.8.8', true), ('1::', true),
	('::', false), ('::1', false), ('::7f00:1', false), ('::ffff:127.0.0.1', false), ('::ffff:10.1.2.3', false), ('::ffff:a9fe:a9fe', false), ('::ffff:0:127.0.0.1', false),
	('64:ff9b::7f00:1', false), ('64:ff9b:1::1', false), ('2001::1', false), ('2001:0:4136::1', false), ('2002:7f00:1::', false), ('2002::1', false), ('fc00::1', false),
	('fd00:ec2::254', false), ('fdff::1', false), ('fe80::1', false), ('febf::1', false), ('fec0::1', false), ('feff::1', false), ('ff02::1', false), ('ffff::', false),
	-- no address is none that is allowed
	('', false), ('localhost', false), ('127.1', false), ('2130706433', false), ('0x7f.0.0.1', false), ('127.0.0.1.', false), ('8.8.8.8 ', false), ('[::1]', false), ('fe80::1%eth0', false);
SELECT ip, public, saga_test.guard('{}', false, ip) AS got FROM address WHERE public <> saga_test.guard('{}', false, ip);
-- with leave: of what was named, and of nothing else
SELECT ip FROM address WHERE saga_test.guard('{10.0.0.0/8,127.0.0.1,fd00::/8}', false, ip) AND NOT public ORDER BY ip;
SELECT ip FROM address WHERE saga_test.guard('{0.0.0.0/0}', true, ip) <> (ip ~ '^\d+\.\d+\.\d+\.\d+$' AND ip !~ 'x' OR ip ~ '^::ffff:(\d+\.|a9fe)') ORDER BY ip;
SELECT ip FROM address WHERE saga_test.guard('{::/0}', true, ip) AND ip !~ ':' ORDER BY ip;
SELECT count(*) FILTER (WHERE saga_test.guard('{}', true, ip)) AS nobody, count(*) FROM address;
-- each length of a prefix against the server's own
CREATE TEMP TABLE prefix AS SELECT a || '/' || bits AS cidr, b AS ip FROM generate_series(0, 32) bits,
	(VALUES ('203.0.113.85')) x(a), LATERAL (SELECT host((inet '203.0.113.85') + (d::bigint)) AS b FROM unnest('{0,1,-1,2,-2,8,-21,64,-85,170,256,65536,16777216,-16777216}'::int[]) d) y;
SELECT cidr, ip FROM prefix WHERE saga_test.guard(ARRAY[cidr], true, ip) <> (inet (ip) <<= network(cidr::inet));
SELECT cidr || '/' || bits AS cidr, ip FROM generate_series(0, 128) bits, (VALUES ('2001:db8:ffff::8000:1')) x(cidr),
	unnest('{2001:db8:ffff::8000:1,2001:db8:ffff::8000:0,2001:db8:fffe::1,2001:db9::,3001::,a001::,2001:db8:ffff:0:0:1::}'::text[]) ip
	WHERE saga_test.guard(ARRAY[cidr || '/' || bits], true, ip) <> (inet (ip) <<= network((cidr || '/' || bits)::inet));
SELECT count(*) FROM prefix;
-- what is none
SELECT cidr, saga_test.guard(ARRAY[cidr], true, '10.0.0.1') AS got FROM unnest(ARRAY['', '/8', '10.0.0.0/', '10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/+8', '10.0.0.0/8x', '10.0.0.0/ 8',
	'10/8', '10.0.0/24', '10.0.0.256', 'fd00::/129', 'fd00::/99999999999999999999', 'fd00:/8', 'example.com', '10.0.0.0/255.0.0.0', '10.0.0.0//8', ' 10.0.0.0/8', repeat('1', 60)]) cidr
	WHERE saga_test.guard(ARRAY[cidr], true, '10.0.0.1') IS NOT NULL;

-- ---------- references to secrets ----------
SELECT data, saga_test.secret_references(data) FROM unnest(ARRAY['', 'plain', '{x}', 'Bearer {secret:key}', '{secret:a}{secret:b}{secret:a}', '{secret:file:/etc/key}', '{secret:env:KEY}',
	'a {secret:k} {secret:env:K} {secret:file:/k}', '{secret:owner.key}', '{secret:"Odd one".key}', '{secret:', '{secret:}', '{secret:a', '{secret:a b}', '{secret:file:}', '{secret:file:relative}',
	'{secret:env:}', '{secret:env:A B}', '{secret:a{b}}', '{Secret:a}', '{ secret:a}', '{secret:a:b}', '{secret:file:/a}b}']) data;

-- ---------- secrets in foreign texts ----------
-- the secret, and what somebody may have made of it: nothing of it is left, and nothing else is gone
CREATE TEMP TABLE secret (s text);
INSERT INTO secret VALUES ('s3cr3t-k3y'), ('p%40ss&wörd"<x>'), ('ab/cd+ef=gh'), ('with space and ''quote'''), ('line\back"slash'), ('Größe-ÄÖÜ'), ('%41%42%43%44%45%46'), ('&amp;&lt;abc'), ('\u0041bcdefg');
CREATE FUNCTION pg_temp.percent(s text, lower boolean, everything boolean) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(CASE WHEN NOT everything AND chr(b) ~ '[A-Za-z0-9_.~-]' AND b < 128 THEN chr(b) WHEN lower THEN '%' || lpad(to_hex(b), 2, '0') ELSE '%' || upper(lpad(to_hex(b), 2, '0')) END, '' ORDER BY i)
		FROM (SELECT get_byte(convert_to(s, 'UTF8'), i) AS b, i FROM generate_series(0, length(convert_to(s, 'UTF8')) - 1) i) bytes
$$;
CREATE FUNCTION pg_temp.entities(s text, kind int) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN kind = 0 THEN replace(replace(replace(replace(s, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;')
		ELSE (SELECT string_agg(CASE kind WHEN 1 THEN '&#' || ascii(c) || ';' ELSE '&#x' || to_hex(ascii(c)) || ';' END, '' ORDER BY i)
			FROM regexp_split_to_table(s, '') WITH ORDINALITY t(c, i)) END
$$;
CREATE FUNCTION pg_temp.escapes(s text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg('\u' || lpad(to_hex(ascii(c)), 4, '0'), '' ORDER BY i) FROM regexp_split_to_table(s, '') WITH ORDINALITY t(c, i)
$$;
CREATE TEMP TABLE disguise AS
	SELECT s, how, d FROM secret, LATERAL (VALUES ('plain', s), ('percent', pg_temp.percent(s, false, false)), ('percent, lower case', pg_temp.percent(s, true, false)),
		('percent, all', pg_temp.percent(s, false, true)), ('form', replace(pg_temp.percent(s, false, false), '%20', '+')), ('json', btrim(to_json(s)::text, '"')), ('json, all', pg_temp.escapes(s)),
		('json, solidus', replace(btrim(to_json(s)::text, '"'), '/', '\/')), ('xml', pg_temp.entities(s, 0)), ('xml, decimal', pg_temp.entities(s, 1)), ('xml, hexadecimal', pg_temp.entities(s, 2)),
		('base64', replace(encode(convert_to(s, 'UTF8'), 'base64'), E'\n', '')), ('base64 behind one', replace(encode(convert_to('u' || s, 'UTF8'), 'base64'), E'\n', '')),
		('base64 behind two', replace(encode(convert_to('u:' || s, 'UTF8'), 'base64'), E'\n', '')),
		('base64 in a text', replace(encode(convert_to('user:' || s || ':', 'UTF8'), 'base64'), E'\n', '')),
		('base64url', translate(encode(convert_to(s, 'UTF8'), 'base64'), E'+/\n', '-_')), ('base64url behind one', translate(encode(convert_to('u' || s, 'UTF8'), 'base64'), E'+/\n', '-_'))) w(how, d);
SELECT s, how, d, saga_test.redact('before ' || d || ' after', s) AS got FROM disguise
	WHERE how !~ 'base64' AND saga_test.redact('before ' || d || ' after', s) !~ '^before \*+ after$';
-- in Base64 the characters at its ends may have parts of what is beside it
SELECT s, how, d, saga_test.redact('before ' || d || ' after', s) AS got FROM disguise
	WHERE how ~ 'base64' AND saga_test.redact('before ' || d || ' after', s) !~ '^before [A-Za-z0-9+/_-]{0,8}\*+[A-Za-z0-9+/_-]{0,3}={0,2} after$';
-- the length stays, whatever is in it
SELECT s, how FROM disguise WHERE octet_length(saga_test.redact('x' || d || 'y', s)) <> octet_length('x' || d || 'y');
-- the text ends within it: from the sixth byte on it is one
SELECT s, n, saga_test.redact('end: ' || left(s, n), s) AS got FROM secret, generate_series(1, 20) n
	WHERE n <= length(s) AND (saga_test.redact('end: ' || left(s, n), s) ~ '^end: \*+$') <> (octet_length(left(s, n)) >= 6 OR n = length(s));
-- several, one in another, and one beside the other
SELECT saga_test.redact('a secretone b secrettwo c secretonetwo', 'secretone', 'secrettwo', 'secretonetwo'), saga_test.redact('secretonesecretone', 'secretone'),
	saga_test.redact('abcabcabcabc', 'abcabcabc'), saga_test.redact('', 'secret'), saga_test.redact('secret', 'secret');
-- what only looks like it stays
SELECT t FROM unnest(ARRAY['s3cr3t-k3 and more', 's3cr3t_k3y', 'S3CR3T-K3Y', 's3cr3t k3y', '%', '%4', '&#', '&#x', '&amp', '\u', '\u00', '&#99999999999;', '&#xFFFFFFFFFF;', '%zz%41', '\ud83d', '\udc00\ud83d', '& &lt', repeat('%25', 50)]) t
	WHERE saga_test.redact(t, 's3cr3t-k3y-1') <> t;
-- too short ones would hit innocent text
SELECT saga_test.redact('the pin is 12345', '12345'), saga_test.redact('the pin is 123456', '123456');
