# Who the outbox is to a server: every kind of auth, tokens that expire while messages flow over two
# publishers, refresh tokens that rotate, a publisher killed between, wrong credentials, and secrets
# nowhere but in their table.
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use MIME::Base64;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use Saga::Test qw(:DEFAULT all_sent sql wait_until_up);

my $json = JSON::PP->new->canonical->utf8;
my $dir = File::Temp->newdir('saga-auth-XXXXXX', TMPDIR => 1);
my $client_secret = 'Cs-9-client/secret+1';
my %secret = (
	'books-user' => 'clerk-4711',
	'books-password' => 'p"ss: w%rd/4711',
	'books-bearer' => 'Br-token-4711~x',
	'books-api-key' => 'Ak-key-4711',
	'client-secret' => $client_secret,
);
my $accounting = start_accounting(args => [ '--client', "books:$client_secret" ]);
my $raw = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
my $node = new_saga_node('main', 'restart_after_crash = on', 'log_min_messages = debug1', 'pg_saga.publishers = 2');
create_extensions($node);

sub quoted
{
	my ($text) = @_;
	$text =~ s/'/''/g;
	return "'$text'";
}

sub destination
{
	my ($name, %settings) = @_;
	my $text = $json->encode({ url => $accounting->url('/v1/invoices'), allow_private => ['127.0.0.0/8'],
		base_ms => 20, cap_ms => 200, max_attempts => 20, %settings });
	sql("SELECT saga.create_destination('$name', 'http', " . quoted($text) . ')');
	return;
}

sub oauth
{
	my (%settings) = @_;
	return { type => 'oauth2_client_credentials', token_url => $accounting->url('/oauth/token'), client_id => 'books',
		client_secret => '{secret:client-secret}', %settings };
}

sub publish
{
	my ($to, @numbers) = @_;
	return join('', map {
		my $invoice = $json->encode({ number => "$to-$_", currency => 'EUR', seller => 'S', buyer => 'B', total => '1.19',
			tax => '0.19', lines => [ { amount => '1.00' } ] });
		"SELECT saga.publish_to('$to', '$invoice');\n" } @numbers);
}

sub outcomes
{
	my ($to) = @_;
	return sql("SELECT string_agg(DISTINCT concat_ws(' ', state, last_status, last_class), ', ')
		FROM saga.outbox JOIN saga.destination d USING (destination_id) WHERE d.name = '$to'");
}

sub last_error
{
	my ($to) = @_;
	return sql("SELECT last_error FROM saga.outbox JOIN saga.destination d USING (destination_id) WHERE d.name = '$to'
		AND last_error IS NOT NULL ORDER BY last_sent_at DESC LIMIT 1");
}

sub raw_requests { return map { $json->decode($_) } split(/\n/, slurp_file("$dir/raw")) }
sub token_requests { return grep { $_->{path} eq '/oauth/token' } @{ $_[0]->{requests} } }

# The most token requests that were being answered at one moment.
sub most_at_once
{
	my @requests = @_;
	my $most = 0;
	foreach my $one (@requests)
	{
		# one that has ended in the millisecond in which it began was there all the same
		my $n = grep { $_ == $one || ($_->{at} <= $one->{at} && ($_->{ended_at} // 9e15) > $one->{at}) } @requests;
		$most = $n if $n > $most;
	}
	return $most;
}

# Data of COPY stands in no statement and in no log.
my $copied = join("\n", map { my $v = $secret{$_}; $v =~ s/\\/\\\\/g; "$_\t$v" } sort keys %secret);
sql("CREATE TEMP TABLE s (name text, value text);\nCOPY s FROM STDIN;\n$copied\n\\.\nSELECT saga.set_secret(name, value) FROM s;");

# ---------- basic, bearer, a header ----------

destination('basic', url => $raw->url('/echo'), auth => { type => 'basic', user => '{secret:books-user}', password => '{secret:books-password}' });
destination('bearer', url => $raw->url('/echo'), auth => { type => 'bearer', token => '{secret:books-bearer}' });
destination('header', url => $raw->url('/echo'), auth => { type => 'header', name => 'X-Key', value => 'k={secret:books-api-key}' });
sql(publish('basic', 1) . publish('bearer', 1) . publish('header', 1));
all_sent();
my %sent;
foreach my $request (raw_requests())
{
	my ($to) = $request->{body} =~ /"number": *"(\w+)-1"/;
	$sent{$to} = { map { lc $_->[0] => $_->[1] } @{ $request->{headers} } };
}
is($sent{basic}{authorization}, 'Basic ' . encode_base64("$secret{'books-user'}:$secret{'books-password'}", ''), 'basic');
is($sent{bearer}{authorization}, "Bearer $secret{'books-bearer'}", 'bearer');
is($sent{header}{'x-key'}, "k=$secret{'books-api-key'}", 'a header');
is($sent{header}{authorization}, undef, 'and nothing else');
is(sql("SELECT count(*) FROM saga.outbox WHERE state = 'delivered'
	AND response #>> '{ResponseBody,text}' LIKE '%***%'"), '3', 'an answer that holds them is kept without them');
is(sql("SELECT count(*) FROM saga.outbox WHERE state = 'delivered' AND response #>> '{ResponseBody,escaped}' LIKE '%***%'
	AND response #>> '{ResponseBody,xml}' LIKE '%***%'"), '3', 'also where each character of them is escaped');

sql("SELECT saga.set_secret('books-bearer', 'Br-other-4712')");
sql(publish('bearer', 2));
all_sent();
my ($second) = grep { $_->{body} =~ /bearer-2/ } raw_requests();
is((grep { lc $_->[0] eq 'authorization' } @{ $second->{headers} })[0][1], 'Bearer Br-other-4712', 'a secret that was changed is used at once');

# ---------- client credentials: tokens that expire every two seconds, two publishers ----------

foreach my $send (qw(basic form))
{
	$accounting->reset;
	$accounting->faults({ modes => { auth => 'required', token_ttl_s => 2 },
		rules => [ { path => '/v1/invoices', action => 'delay', ms => 300, at => 'after' },
			{ path => '/oauth/token', action => 'slow_drip', ms => 10, bytes => 15 } ] });
	destination($send . '-client', concurrency => 4, auth => oauth(send => $send, scope => 'accounting'));
	my $start = time;
	sql(publish("$send-client", 1 .. 100));
	all_sent();
	my $seconds = time - $start;
	is(outcomes("$send-client"), 'delivered 201 success', "client credentials ($send): all are delivered");
	is(sql("SELECT count(*), count(*) FILTER (WHERE attempts = 1) FROM saga.outbox JOIN saga.destination d USING (destination_id)
		WHERE d.name = '$send-client'"), '100|100', 'each at its first attempt');
	my $audit = $accounting->audit;
	my @tokens = token_requests($audit);
	cmp_ok(scalar @tokens, '>=', int($seconds / 2), 'tokens had to be fetched again') or diag($seconds);
	cmp_ok(scalar @tokens, '<=', $seconds + 2, 'once for each, not once for each publisher or message');
	is(most_at_once(@tokens), 1, 'and never two at once');
	is(scalar(grep { $_->{status} != 200 } @tokens), 0, 'each was given');
	is(scalar(grep { $_->{effects} != 1 } @{ $audit->{keys} }), 0, 'each key had one effect');
}

# the same settings of another owner get a token of their own: the one that is there may outlive its secret
$accounting->reset;
$accounting->faults({ modes => { auth => 'required' }, rules => [] });
sql('CREATE ROLE successor');
destination($_, auth => oauth(scope => 'accounting', audience => 'inherited')) foreach 'first-owner', 'second-owner';
sql(q(SELECT saga.set_destination_owner('second-owner', 'successor')));
foreach ([ 'first-owner', 1 ], [ 'successor.second-owner', 1 ], [ 'first-owner', 2 ])
{
	sql(publish(@$_));
	all_sent();
}
is(scalar(token_requests($accounting->audit)), 2, 'a token is not given to another owner');

# the server forgets a token: one refresh, one more request, and no attempt is lost
$accounting->reset;
$accounting->faults({ modes => { auth => 'required' }, rules => [] });
destination('forgetful', max_attempts => 1, auth => oauth(audience => 'books'));
sql(publish('forgetful', 1));
all_sent();
usleep(300_000);
$accounting->faults({ modes => { auth => 'required' }, rules => [ { path => '/v1/invoices', nth => 1, action => 'expire_tokens' } ] });
sql(publish('forgetful', 2));
all_sent();
is(outcomes('forgetful'), 'delivered 201 success', 'a token that is refused is replaced');
is(sql("SELECT sum(attempts) FROM saga.outbox JOIN saga.destination d USING (destination_id) WHERE d.name = 'forgetful'"), '2',
	'which is no attempt of the message');
my $audit = $accounting->audit;
is(join(' ', map { $_->{status} } grep { ($_->{number} // '') eq 'forgetful-2' } @{ $audit->{requests} }), '401 201', 'refused once');
is(scalar token_requests($audit), 2, 'with one more token');

# ---------- wrong credentials ----------

$accounting->reset;
$accounting->faults({ modes => { auth => 'required' }, rules => [] });
sql("SELECT saga.set_secret('wrong-secret', 'Wr-0815-wrong')");
destination('wrong', max_attempts => 1000, cap_ms => 400, auth => oauth(client_secret => '{secret:wrong-secret}'));
sql(publish('wrong', 1 .. 20));
poll_until($node, "SELECT count(*) > 3 FROM saga.outbox_attempt a JOIN saga.destination d USING (destination_id) WHERE d.name = 'wrong'");
like(last_error('wrong'), qr/the token endpoint answered 401, invalid_client/, 'wrong credentials: the error says so');
is(sql("SELECT string_agg(DISTINCT class, ' ') FROM saga.outbox_attempt a JOIN saga.destination d USING (destination_id) WHERE d.name = 'wrong'"),
	'auth', 'its class is auth');
cmp_ok(scalar token_requests($accounting->audit), '<=', 4, 'the endpoint is not asked once for each message');
sql("SELECT saga.set_secret('wrong-secret', '$client_secret')");
all_sent();
is(outcomes('wrong'), 'delivered 201 success', 'repaired: all are delivered');

# refused once, then the server is in trouble: that is no breaker, where none was asked for
$accounting->reset;
$accounting->faults([ { path => '/v1/invoices', nth => 1, action => 'status', status => 401 },
	{ path => '/v1/invoices', nth => [ 1, 2 ], action => 'status', status => 500 } ]);
destination('troubled', auth => { type => 'header', name => 'X-Key', value => '{secret:books-api-key}' });
my $start = time;
sql(publish('troubled', 1));
all_sent();
cmp_ok(time - $start, '<', 20, 'a failure after refused credentials holds the destination no longer');
is(outcomes('troubled'), 'delivered 201 success', 'and then it is delivered');

# token endpoints that do not work; credentials burn no attempts, so only a deadline ends it
destination('unreachable', retry => { deadline_s => 1 }, auth => oauth(token_url => 'http://127.0.0.1:1/token'));
destination('dropped', retry => { deadline_s => 1 }, auth => oauth(token_url => $raw->url('/drop')));
destination('senseless', retry => { deadline_s => 1 }, auth => oauth(token_url => $raw->url('/ok')));
destination('refused', retry => { deadline_s => 1 }, auth => oauth(token_url => $raw->url('/x'), client_id => 'r'), allow_private => JSON::PP::false);
sql(publish($_, 1)) foreach qw(unreachable dropped senseless refused);
all_sent();
like(last_error('unreachable'), qr/no access token: Failed to connect/, 'no token endpoint');
like(last_error('dropped'), qr/no access token: /, 'one that hangs up');
like(last_error('senseless'), qr/has no usable access_token/, 'one that answers something else');
like(last_error('refused'), qr/no access token: the address of the destination is private/, 'a private one is refused as the destination would be');

# ---------- refresh tokens that rotate ----------

sub refresh_destination
{
	my ($name, %settings) = @_;
	my $consent = $accounting->request('POST', '/_consent', { client => 'books' });
	sql("SELECT saga.set_secret('$name-refresh', '$consent->{refresh_token}')");
	destination($name, concurrency => 4, auth => oauth(type => 'oauth2_refresh_token', refresh_token => "$name-refresh"), %settings);
	return $consent->{refresh_token};
}

$accounting->reset;
my %plan = (modes => { auth => 'required', token_ttl_s => 2 },
	rules => [ { path => '/v1/invoices', action => 'delay', ms => 300, at => 'after' } ]);
$accounting->faults(\%plan);
my $first = refresh_destination('rotating');
sql(publish('rotating', 1 .. 100));
poll_until($node, "SELECT count(*) >= 30 FROM saga.outbox JOIN saga.destination d USING (destination_id)
	WHERE state = 'delivered' AND d.name = 'rotating'");
# Not in the middle of a refresh, see below: after one whose token lasts for so long that nobody asks for another one.
$plan{modes}{token_ttl_s} = 3600;
$accounting->faults(\%plan);
poll_until($node, "SELECT count(*) > 0 FROM saga.token WHERE key LIKE 'refresh/%' AND expires_at > now() + interval '1000 s'");
$plan{modes}{token_ttl_s} = 2;
$accounting->faults(\%plan);
kill_process(sql("SELECT pid FROM saga.workers WHERE type = 'publisher' ORDER BY pid LIMIT 1"));
wait_until_up();
all_sent();
is(outcomes('rotating'), 'delivered 201 success', 'refresh tokens: all are delivered, a killed publisher between');
$audit = $accounting->audit;
cmp_ok($audit->{oauth}{books}{refreshed}, '>=', 3, 'the refresh token has rotated');
is($audit->{oauth}{books}{reused}, 0, 'none was used twice');
is(most_at_once(token_requests($audit)), 1, 'never two at once');
is(scalar(grep { $_->{effects} != 1 } @{ $audit->{keys} }), 0, 'each key had one effect');
isnt(sql("SELECT value FROM saga.secret WHERE name = 'rotating-refresh'"), $first, 'the table has the last one');

# Another role, which may use the secret, refers to it in a transaction that it leaves open: the new token is stored all the same.
sql("CREATE ROLE grantee LOGIN; GRANT USAGE ON SCHEMA saga TO grantee; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA saga TO grantee;
	SELECT saga.grant('secret', 'rotating-refresh', 'grantee', 'use')");
my $grantee = $node->background_psql('postgres', extra_params => [ '-U', 'grantee' ]);
$grantee->query_safe(q(BEGIN; SELECT saga.create_destination('theirs', 'http', '{"url": "https://example.com/",
	"auth": {"type": "bearer", "token": "{secret:postgres.rotating-refresh}"}}')));
my $stored = sql("SELECT value FROM saga.secret WHERE name = 'rotating-refresh'");
# nobody has a token any more that would do for it: neither the table nor a process
sql("DELETE FROM saga.token WHERE key LIKE 'refresh/%'");
my @old = split /\n/, sql("SELECT pid FROM saga.workers WHERE type = 'publisher'");
sql("SELECT pg_terminate_backend($_)") foreach @old;
poll_until($node, "SELECT count(*) FROM pg_stat_activity WHERE pid = $_", '0') foreach @old;
sql("DELETE FROM saga.token WHERE key LIKE 'refresh/%'");
sql(publish('rotating', 101));
ok(poll_until($node, "SELECT count(*) FROM saga.secret WHERE name = 'rotating-refresh' AND value = '$stored'", '0'),
	'a token that rotates is stored while another role refers to its secret');
all_sent();
is(outcomes('rotating'), 'delivered 201 success', 'and used');
$grantee->query_safe('ROLLBACK');
$grantee->quit;

# Killed after the endpoint has taken the old token and before the new one was committed. Services that
# rotate take the old one again for a while; one that does not needs a new consent, and the error says so.
foreach my $grace (60, 0)
{
	$accounting->reset;
	$accounting->faults({ modes => { auth => 'required', refresh_grace_s => $grace },
		rules => [ { path => '/oauth/token', nth => 1, action => 'slow_drip', ms => 1000 } ] });
	refresh_destination("lost$grace", max_attempts => 1000, cap_ms => 400);
	sql(publish("lost$grace", 1));
	my $end = time + 30;
	usleep(20_000) until token_requests($accounting->audit) || time > $end;
	usleep(20_000) until ($accounting->audit->{oauth}{books}{refreshed} // 0) > 0 || time > $end;
	kill_process(sql("SELECT l.pid FROM pg_locks l WHERE l.locktype = 'advisory' AND l.objsubid = 21322"));
	wait_until_up();
	if ($grace == 0)
	{
		poll_until($node, "SELECT count(*) > 0 FROM saga.outbox_attempt a JOIN saga.destination d USING (destination_id)
			WHERE d.name = 'lost0' AND a.class = 'auth'");
		like(last_error('lost0'), qr/the token endpoint answered 400, invalid_grant/, 'without it the error says what is wrong');
		my $consent = $accounting->request('POST', '/_consent', { client => 'books' });
		sql("SELECT saga.set_secret('lost0-refresh', '$consent->{refresh_token}')");
	}
	all_sent();
	is(outcomes("lost$grace"), 'delivered 201 success',
		$grace ? 'killed during a refresh: the old token serves again where it may' : 'and a new consent repairs it');
}

# ---------- secrets are nowhere else ----------

push @{ $secret{all} }, values %{ { map { $_ => $secret{$_} } grep { $_ ne 'all' } keys %secret } }, 'Wr-0815-wrong', 'Br-other-4712';
my @secrets = @{ $secret{all} };
push @secrets, split(/\n/, sql('SELECT value FROM saga.secret UNION SELECT access_token FROM saga.token WHERE access_token IS NOT NULL'));
my $tables = sql(sql("SELECT string_agg(format('SELECT t::text FROM %s t;', c.oid::regclass), ' ') FROM pg_class c
	JOIN pg_namespace n ON n.oid = relnamespace
	WHERE relkind IN ('r', 'v', 'm') AND nspname IN ('saga', 'invoice', 'public', 'pg_catalog')
	AND c.oid NOT IN ('saga.secret'::regclass, 'saga.token'::regclass, 'pg_statistic'::regclass, 'pg_stats'::regclass)"));
my $described = $node->safe_psql('postgres', "\\d+ saga.*\n\\df+ saga.*");
my $dump = "$dir/dump";
$node->command_ok([ 'pg_dump', '-f', $dump, '-d', $node->connstr('postgres') ], 'pg_dump');
my %places = (tables => $tables, '\d' => $described, dump => slurp_file($dump),
	log => slurp_file($node->logfile));
foreach my $place (sort keys %places)
{
	is(scalar(grep { index($places{$place}, $_) >= 0 || index($places{$place}, encode_base64($_, '')) >= 0 } @secrets), 0,
		"no secret in: $place");
}
is(sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%0815%'"), '1', 'nor in pg_stat_activity');

# ---------- a dump that asks for them ----------

{
	local $ENV{PGOPTIONS} = '-c pg_saga.dump_secrets=on';
	$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('postgres') ], 'pg_dump that asks for secrets');
}
my $before = sql('SELECT name, owner, value FROM saga.secret ORDER BY name');
sql('CREATE DATABASE target');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('target'), $dump ], 'pg_restore');
is($node->safe_psql('target', 'SELECT name, owner, value FROM saga.secret ORDER BY name'), $before, 'has them');
is($node->safe_psql('target', 'SELECT count(*) FROM saga.token'), '0', 'but no access tokens');
$accounting->reset;
$accounting->faults({ modes => { auth => 'required' }, rules => [] });
$node->safe_psql('target', publish('basic-client', 'restored'));
poll_until($node, "SELECT state FROM saga.outbox ORDER BY created_at DESC LIMIT 1", 'delivered', 'target');
ok(1, 'and sends with them');

$node->stop;
done_testing();
