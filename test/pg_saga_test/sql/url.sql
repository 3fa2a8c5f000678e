-- URLs (src/net/url.c): what is refused, what lies below what, and how a part of one is written.
-- What each should give stands beside it; only what gives something else is shown, and how many there were.
CREATE EXTENSION pg_saga_test;

-- ---------- taken apart ----------
CREATE TEMP TABLE good (url text, https boolean, host text, port int, path text, query text);
INSERT INTO good VALUES
	('https://example.com', true, 'example.com', 443, '', NULL),
	('http://example.com', false, 'example.com', 80, '', NULL),
	('HTTPS://EXAMPLE.Com/Path?Query=A', true, 'example.com', 443, '/Path', 'Query=A'),
	('hTtP://a', false, 'a', 80, '', NULL),
	('https://example.com/', true, 'example.com', 443, '/', NULL),
	('https://example.com?', true, 'example.com', 443, '', ''),
	('https://example.com?a=b/c?d', true, 'example.com', 443, '', 'a=b/c?d'),
	('https://example.com/?a', true, 'example.com', 443, '/', 'a'),
	('https://example.com:1/x', true, 'example.com', 1, '/x', NULL),
	('https://example.com:65535', true, 'example.com', 65535, '', NULL),
	('https://example.com:00443/', true, 'example.com', 443, '/', NULL),
	('http://example.com:443/', false, 'example.com', 443, '/', NULL),
	('https://192.0.2.1:8443/a', true, '192.0.2.1', 8443, '/a', NULL),
	('https://[2001:DB8::1]/a', true, '[2001:db8::1]', 443, '/a', NULL),
	('https://[::ffff:192.0.2.1]:80', true, '[::ffff:192.0.2.1]', 80, '', NULL),
	('https://a_b-c.example.com', true, 'a_b-c.example.com', 443, '', NULL),
	('https://xn--mwe-sna.example/', true, 'xn--mwe-sna.example', 443, '/', NULL),
	('https://example.com/a//b/', true, 'example.com', 443, '/a//b/', NULL),
	('https://example.com/.../a..b/.a/b.', true, 'example.com', 443, '/.../a..b/.a/b.', NULL),
	('https://example.com/%20%C3%A4', true, 'example.com', 443, '/%20%C3%A4', NULL),
	('https://example.com/a?b=../..', true, 'example.com', 443, '/a', 'b=../..'),
	('https://example.com/a?b=/./', true, 'example.com', 443, '/a', 'b=/./'),
	('https://example.com/a;b=c,d!$&''()*+:@~', true, 'example.com', 443, '/a;b=c,d!$&''()*+:@~', NULL),
	('https://example.com/a@b', true, 'example.com', 443, '/a@b', NULL),
	('https://example.com/%2e%2e%2e', true, 'example.com', 443, '/%2e%2e%2e', NULL);
SELECT url, saga_test.url(url) AS got FROM good
	WHERE saga_test.url(url) IS DISTINCT FROM jsonb_build_object('https', https, 'host', host, 'port', port, 'path', path, 'query', query);
SELECT count(*) FROM good;

-- ---------- refused ----------
-- what two readers could take for two things is not read at all
CREATE TEMP TABLE refused (url text, fault text);
INSERT INTO refused VALUES
	('', 'must begin with'), ('example.com', 'must begin with'), ('//example.com', 'must begin with'), ('ftp://example.com', 'must begin with'),
	('https:/example.com', 'must begin with'), ('https:example.com', 'must begin with'), (' https://example.com', 'must begin with'),
	('file:///etc/passwd', 'must begin with'), ('javascript:alert(1)', 'must begin with'), ('httpss://a', 'must begin with'),
	('https://', 'has no host'), ('https:///path', 'has no host'), ('https://:80', 'has no host'), ('https://?a', 'has no host'),
	('https://user@example.com', 'user name or password'), ('https://user:pw@example.com', 'user name or password'),
	('https://example.com@evil.example', 'user name or password'), ('https://@example.com', 'user name or password'),
	('https://example.com:80@evil.example/', 'user name or password'), ('https://[::1]@evil.example', 'user name or password'),
	('https://example.com:', 'empty port'), ('https://example.com:/a', 'empty port'), ('https://example.com:0', 'port 0'),
	('https://example.com:000', 'port 0'), ('https://example.com:65536', 'above 65535'), ('https://example.com:99999999999999999999', 'above 65535'),
	('https://example.com:-1', 'not a number'), ('https://example.com:+80', 'not a number'), ('https://example.com:80a', 'not a number'),
	('https://example.com:8 0', 'not a number'), ('https://example.com:80:80', 'not a number'), ('https://example.com:0x50', 'not a number'),
	('https://exa mple.com', 'host name with a character'), ('https://exämple.com', 'host name with a character'),
	('https://example.com\evil.example', 'host name with a character'), ('https://example%2ecom', 'host name with a character'),
	('https://example.com,evil.example', 'host name with a character'), ('https://a;b', 'host name with a character'),
	(E'https://example.com\t/', 'host name with a character'), (E'https://example.com\n', 'host name with a character'),
	('https://{host}/', 'has no host'), ('https://a*', 'host name with a character'),
	('https://[::1', 'without its closing bracket'), ('https://[::1]x', 'host name with a character'), ('https://[]', 'IPv6 address that is none'), ('https://[:]', 'IPv6 address that is none'), ('https://[1:2:3]', 'IPv6 address that is none'), ('https://[::1::2]', 'IPv6 address that is none'), ('https://[::12345]', 'IPv6 address that is none'), ('https://[127.0.0.1]', 'IPv6 address that is none'), ('https://[::1.2.3]', 'IPv6 address that is none'),
	('https://[::1%25eth0]', 'IPv6 address that is none'), ('https://[v1.a]', 'IPv6 address that is none'), ('https://[example.com]', 'IPv6 address that is none'),
	('https://example.com/#a', 'fragment'), ('https://example.com#a', 'fragment'), ('https://example.com?a#b', 'fragment'),
	('https://example.com/.', 'path segment'), ('https://example.com/..', 'path segment'), ('https://example.com/a/../b', 'path segment'),
	('https://example.com/./', 'path segment'), ('https://example.com/%2e', 'path segment'), ('https://example.com/%2E%2e/', 'path segment'),
	('https://example.com/.%2e?x', 'path segment'), ('https://example.com/a%2f..%2Fb', 'path segment'), ('https://example.com/a/%2e%2e%2fb', 'path segment'),
	('https://example.com/..%5ca', 'path segment'), ('https://example.com/a%5C..', 'path segment'), ('https://example.com/..?a', 'path segment'),
	('https://example.com/a\..\b', 'percent-encoded'), ('https://example.com/a b', 'percent-encoded'), ('https://example.com/ä', 'percent-encoded'),
	('https://example.com/"', 'percent-encoded'), ('https://example.com/<a>', 'percent-encoded'), ('https://example.com/a|b', 'percent-encoded'),
	('https://example.com/`', 'percent-encoded'), ('https://example.com/^', 'percent-encoded'), (E'https://example.com/a\r\nHost: b', 'percent-encoded'),
	(E'https://example.com/\x7f', 'percent-encoded'), (E'https://example.com/\x01', 'percent-encoded'),
	('https://example.com/%', 'two hexadecimal digits'), ('https://example.com/%4', 'two hexadecimal digits'), ('https://example.com/%zz', 'two hexadecimal digits'),
	('https://example.com/%4g', 'two hexadecimal digits'), ('https://example.com/?a=%', 'two hexadecimal digits'), ('https://example.com/%%41', 'two hexadecimal digits'),
	('https://example.com/{id}', 'brace that must be'), ('https://example.com/}', 'brace that must be'), ('https://example.com/?{', 'brace that must be');
SELECT url, fault, saga_test.url(url) AS got FROM refused WHERE strpos(coalesce(saga_test.url(url) ->> 'fault', ''), fault) = 0;
SELECT count(*) FROM refused;

-- ---------- with references ----------
INSERT INTO refused VALUES ('https://example.com/{id}', NULL), ('https://example.com/a{id}b/{x.y}?z={w}', NULL), ('https://example.com?{q}', NULL);
SELECT url, saga_test.url(url, true) AS got FROM refused WHERE fault IS NULL AND saga_test.url(url, true) ? 'fault';
SELECT url, saga_test.url(url, true) ->> 'fault' AS fault FROM unnest(ARRAY['https://example.com/{}', 'https://example.com/{id', 'https://example.com/id}',
	'https://example.com/}{', 'https://example.com/{wrong}', 'https://example.com/{secret:key}', 'https://{id}/', 'https://example.com:{id}/']) AS url;

-- ---------- below one another ----------
CREATE TEMP TABLE below (base text, "full" text, rest text);
INSERT INTO below VALUES
	-- the same
	('https://a/b', 'https://a/b', ''), ('https://a', 'https://a', ''), ('https://a/', 'https://a', ''), ('https://a', 'https://a/', ''),
	('https://a/', 'https://a/', ''), ('https://A/b', 'https://a/b', ''), ('https://a:443/b', 'https://a/b', ''), ('http://a/b', 'http://a:80/b', ''),
	('https://a/b/', 'https://a/b', ''), ('https://a/b//', 'https://a/b', ''),
	-- below it
	('https://a/b', 'https://a/b/c', '/c'), ('https://a/b/', 'https://a/b/c', '/c'), ('https://a', 'https://a/b/c', '/b/c'), ('https://a/', 'https://a/b', '/b'),
	('https://a/b', 'https://a/b?x', '?x'), ('https://a/b', 'https://a/b/c?x=/y', '/c?x=/y'), ('https://a', 'https://a?x', '?x'), ('https://a', 'https://a/?x', '?x'),
	('https://a/b', 'https://a/b//c', '//c'), ('https://a/b', 'https://a/b?', '?'),
	('https://a/b', 'https://a/b/', '/'),
	-- a query of its own
	('https://a/b?x', 'https://a/b?x', ''), ('https://a/b?x', 'https://a/b', NULL), ('https://a/b?x', 'https://a/b?xy', NULL), ('https://a/b?x', 'https://a/b/c?x', NULL),
	('https://a/b?', 'https://a/b?', ''), ('https://a/b?', 'https://a/b', NULL), ('https://a/b?x', 'https://a/b?X', NULL),
	-- not below it
	('https://a/b', 'https://a/bc', NULL), ('https://a/b', 'https://a/', NULL), ('https://a/b', 'https://a', NULL), ('https://a/b/c', 'https://a/b', NULL),
	('https://a/b', 'https://a/B', NULL), ('https://a/b', 'https://a/%62', NULL), ('https://a/b', 'http://a/b', NULL), ('https://a:444/b', 'https://a/b', NULL),
	('https://a/b', 'https://a.b/b', NULL), ('https://a.example', 'https://a.example.evil/', NULL), ('https://a', 'https://aa', NULL), ('https://[::1]/', 'https://[::2]/', NULL),
	-- what it is is not known before it is filled in
	('https://a/{id}', 'https://a/b', NULL), ('https://a/b?x={id}', 'https://a/b?x=1', NULL);
SELECT base, "full", rest, saga_test.url_rest(base, "full") AS got FROM below WHERE rest IS DISTINCT FROM saga_test.url_rest(base, "full");
SELECT count(*) FROM below;
-- base and rest are the full one again, but for a slash that makes no difference
SELECT base, "full" FROM below WHERE saga_test.url_rest(base, "full") <> ''
	AND rtrim(split_part(base, '?', 1), '/') || saga_test.url_rest(base, "full") NOT IN ("full", replace("full", '/?', '?'));

-- ---------- written ----------
-- each byte, against what RFC 3986 leaves as it is
SELECT n, saga_test.url_encode(chr(n)) AS got FROM generate_series(1, 127) n
	WHERE saga_test.url_encode(chr(n)) <> CASE WHEN chr(n) ~ '^[A-Za-z0-9._~-]$' THEN chr(n) ELSE '%' || upper(lpad(to_hex(n), 2, '0')) END;
SELECT saga_test.url_encode('Größe 1/2?a=b&c'), saga_test.url_encode(''), saga_test.url_encode('😀');
