# The endpoint contract against the accounting server's plain REST: what follows on each kind of
# answer, reckoned from the server's audit and from the record of the attempts.
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use Saga::Test qw(:DEFAULT all_sent sql wait_until_up);

my $json = JSON::PP->new->canonical->ascii;
my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $secret = 'Hk4-no-one-may-read-this';
my $dir = File::Temp->newdir('saga-secret-XXXXXX', TMPDIR => 1);
append_to_file("$dir/key", "$secret\n");

# $books knows keys and refuses a number that it has; $naive knows neither.
my $books = start_accounting(args => [ '--client', "client:$secret" ]);
my $naive = start_accounting();
my $node = new_saga_node('main', 'pg_saga.workers = 2', 'restart_after_crash = on');
create_extensions($node);

# ---------- what the tests say ----------

# Created and replaced: a destination of this name with these settings over the usual ones.
sub destination
{
	my ($name, %settings) = @_;
	$settings{request}{$_} = delete $settings{$_} foreach grep { exists $settings{$_} } qw(body content_type);
	my $settings = $json->encode({ allow_private => $true, base_ms => 10, cap_ms => 40, jitter => 'none', max_attempts => 8, %settings });
	sql("SELECT saga.create_destination('$name', 'http', \$s\$$settings\$s\$)");
	return;
}

# A look-up by number and seller, as most APIs have it.
sub lookup
{
	return { url => '/v1/invoices?number={number}&seller={seller}', found => 'invoices[0]',
		same => { path => 'invoices[0].total', equals => '{total}' }, capture => { remote_id => 'invoices[0].id' }, @_ };
}

sub invoice
{
	my ($number, %more) = @_;
	return { number => "$number", currency => 'EUR', seller => 'S', buyer => 'B', total => '1.19', tax => '0.19',
		lines => [ { amount => '1.00' } ], %more };
}

sub publish
{
	my ($to, $number, %more) = @_;
	my $body = $json->encode(exists $more{body} ? $more{body} : invoice($number, %more));
	return sql("SELECT saga.publish_to('$to', \$b\$$body\$b\$)");
}

# The record of the message with this number, in words.
sub outcome
{
	my ($number) = @_;
	return sql("SELECT concat_ws(' ', state, sends, last_class, split_part(last_error, ':', 1))
		FROM saga.outbox WHERE request->'Body'->>'number' = '$number' AND NOT compensate");
}

# Its attempts but the one that delivered it: "send uncertain 500", in order.
sub steps
{
	my ($number) = @_;
	return [ split /\n/, sql("SELECT concat_ws(' ', a.phase, a.class, a.status) FROM saga.outbox_attempt a JOIN saga.outbox o USING (outbox_id)
		WHERE o.request->'Body'->>'number' = '$number' AND NOT compensate ORDER BY a.attempt, a.started_at") ];
}

sub captured { return sql("SELECT captured->>'$_[1]' FROM saga.outbox WHERE request->'Body'->>'number' = '$_[0]'") }
sub cause { return sql("SELECT last_error FROM saga.outbox WHERE request->'Body'->>'number' = '$_[0]'") }

# What the server saw of a number: methods with their status, and keys.
sub requests
{
	my ($server, $number) = @_;
	return grep { defined $_->{number} && !ref $_->{number} && $_->{number} eq $number } @{ $server->audit->{requests} };
}
sub seen { return join ' ', map { $_->{method} . ($_->{status} // '-') } requests(@_) }
sub keys_of { return map { $_->{key} // 'none' } grep { $_->{method} eq 'POST' } requests(@_) }

sub posted
{
	my ($server, $number) = @_;
	my ($row) = grep { $_->{number} eq $number } @{ $server->audit->{numbers} };
	return $row ? join('/', @$row{qw(posted voided credit_notes)}) : 'none';
}

sub rule { return { number => "^$_[0]\$", method => $_[1], @_[ 2 .. $#_ ] } }

# Somebody else's invoice, straight to the server.
sub somebody_else
{
	my ($server, $number, %more) = @_;
	my $res = HTTP::Tiny->new->post($server->url('/v1/invoices'), { content => $json->encode(invoice($number, %more)),
		headers => { 'Idempotency-Key' => "other-$number" } });
	is($res->{status}, 201, "somebody else's $number") or diag($res->{content});
	return;
}

sub redrive { return sql("SELECT saga.redrive(dead_letter_id) FROM saga.dead_letter d JOIN saga.outbox o ON o.outbox_id = d.message_id
	WHERE o.request->'Body'->>'number' = '$_[0]'") }

# ---------- uncertain, with and without a look-up ----------

my %rest = (url => $books->url('/v1/invoices'), capture => { remote_id => 'id' });
destination('looked', %rest, lookup => lookup());
destination('keyed', %rest);
destination('weary', %rest, max_attempts => 3, lookup => lookup());
destination('nokey', %rest, url => $naive->url('/v1/invoices'), idempotency => { in => 'none' }, lookup => lookup());
destination('blind', %rest, url => $naive->url('/v1/invoices'), idempotency => { in => 'none' });
destination('safe', %rest, url => $naive->url('/v1/invoices'), idempotency => { in => 'none' }, uncertain_as => 'retry');
destination('slow', %rest, timeout_ms => 400, max_attempts => 100, lookup => lookup(timeout_ms => 20000));
$naive->faults({ modes => { idempotency => 'none', duplicate => 'allow' }, rules => [
	rule('n1', POST => attempt => 1, action => 'drop_after'),
	rule('n2', POST => attempt => 1, action => 'drop_after', reset => $true),
	rule('n2', GET => attempt => 1, action => 'status', status => 500, headers => { 'Request-Id' => 'req_n2', 'Set-Cookie' => 'session=1' }),
	rule('n3', POST => attempt => 1, action => 'drop_before'),
	rule('n4', POST => attempt => 1, action => 'half_response'),
	rule('n5', POST => attempt => 1, action => 'garbage_json'),
	rule('b[12]', POST => attempt => 1, action => 'drop_after'),
	rule('b3', POST => action => '429', times => 2) ] });
$books->faults([
	rule('lost', POST => attempt => 1, action => 'drop_after'),
	rule('forgot', POST => attempt => 1, action => 'drop_after'),
	rule('forgot', GET => attempt => 1, action => 'forget_keys'),
	rule('absent', POST => attempt => 1, action => 'drop_before'),
	rule('other', POST => nth => 2, action => 'drop_before'),
	rule('forbidden', POST => attempt => 1, action => 'drop_after'),
	rule('forbidden', GET => action => 'status', status => 403),
	rule('lookdown', POST => attempt => 1, action => 'drop_after'),
	rule('lookdown', GET => action => 'status', status => 500),
	rule('usedup', POST => action => 'status', status => 500),
	rule('keyed', POST => attempt => 1, action => 'drop_after'),
	rule('dup2', POST => attempt => 1, action => 'drop_after'),
	rule('dup2', GET => attempt => 1, action => 'status', status => 200, body => { invoices => [] }),
	rule('dup2', POST => attempt => 2, action => 'forget_keys'),
	rule('late', POST => attempt => 1, action => 'delay', ms => 1500, at => 'before'),
	rule('stored', POST => nth => 1, action => 'status', status => 500, store => $true) ]);
somebody_else($books, 'other', total => '2.19', lines => [ { amount => '2.00' } ]);
somebody_else($books, 'dup1');
publish(nokey => $_) foreach qw(n1 n2 n3 n4 n5);
publish(blind => 'b1');
publish(safe => 'b2');
publish(blind => 'b3');
publish(looked => $_) foreach qw(lost forgot absent other forbidden dup1 dup2);
publish(weary => $_) foreach qw(lookdown usedup);
publish(slow => 'late');
all_sent();
# Of these the server must remember the keys; above it is made to forget all keys that it has.
publish(keyed => 'keyed');
publish(looked => 'stored');
all_sent();

is(outcome('lost'), 'delivered 1 success', 'an answer that was lost: the look-up finds it');
is_deeply(steps('lost'), ['send uncertain'], '  one attempt is on record, the look-up delivered it');
is(seen($books, 'lost'), 'POST- GET200', '  and it was not sent again');
is(captured('lost', 'remote_id'), sql("SELECT response->'ResponseBody'->>'id' FROM saga.outbox WHERE request->'Body'->>'number' = 'lost'"),
	'  the id is kept, and what was found is the answer');
like(captured('lost', 'remote_id'), qr/^inv_/, '  which is an id');
is(seen($books, 'forgot') . ' ' . posted($books, 'forgot'), 'POST- GET200 1/0/0', 'keys were forgotten meanwhile: posted once');
is(outcome('absent'), 'delivered 2 success', 'lost before its effect: sent again');
is_deeply(steps('absent'), [ 'send uncertain', 'lookup retry 200' ], '  after a look-up that found nothing');
is(seen($books, 'absent'), 'POST- GET200 POST201', '  in this order');
my @absent = keys_of($books, 'absent');
is($absent[0], $absent[1], '  under the same key');
is(outcome('other'), 'failed 1 fatal Saga.Conflict', 'the look-up finds another one of that number');
is(seen($books, 'other'), 'POST201 POST- GET200', '  which is left alone');
is(outcome('forbidden'), 'failed 1 uncertain Saga.Uncertain', 'a look-up that is refused for good');
is(seen($books, 'forbidden'), 'POST- GET403', '  is not repeated');
is(outcome('lookdown'), 'failed 1 uncertain Saga.Uncertain', 'a look-up that fails until its attempts are used up');
is(seen($books, 'lookdown'), 'POST- GET500 GET500 GET500', '  is not followed by a blind one');
is(outcome('usedup'), 'failed 3 retry States.Http.StatusCode.500', 'attempts used up and nothing there: the failure of the request itself');
is(seen($books, 'usedup'), join(' ', ('POST500 GET200') x 3), '  looked up to the end');
is(seen($books, 'keyed') . ' ' . posted($books, 'keyed'), 'POST- POST201 1/0/0', 'with a key alone it is sent again');
is(outcome('dup1'), 'failed 1 duplicate States.Http.StatusCode.409', 'a duplicate at the first attempt is somebody else\'s');
is(outcome('dup2'), 'delivered 2 success', 'a duplicate after an uncertain one is our own');
is_deeply(steps('dup2'), [ 'send uncertain', 'lookup retry 200', 'send uncertain 409' ], '  even when a look-up came too early');
is(posted($books, 'dup2'), '1/0/0', '  and is there once');
like(outcome('late'), qr/^delivered \d+ success$/, 'a request that was slower than the look-up');
is(posted($books, 'late'), '1/0/0', '  is there once');
is(outcome('stored'), 'delivered 4 success', 'a failure that the server keeps under the key');
my @stored = keys_of($books, 'stored');
is("$stored[0] $stored[0] $stored[0]", "@stored[0 .. 2]", '  three times the same key');
isnt($stored[3], $stored[0], '  then a new one, as the look-up found nothing');
is(posted($books, 'stored'), '1/0/0', '  and it is there once');

is(posted($naive, $_), '1/0/0', "no key at all, nothing refuses a second one: posted once ($_)") foreach qw(n1 n2 n3 n4 n5);
is(seen($naive, 'n2'), 'POST- GET500 GET200', 'a look-up that fails once is repeated');
is(sql("SELECT headers->'request-id', headers ? 'set-cookie' FROM saga.outbox_attempt a JOIN saga.outbox o USING (outbox_id)
	WHERE o.request->'Body'->>'number' = 'n2' AND a.status = 500"), '["req_n2"]|f', '  and the headers of the failure are kept, sessions are not');
is(outcome('b1'), 'failed 1 uncertain Saga.Uncertain', 'neither key nor look-up: a person has to find out');
is(seen($naive, 'b1'), 'POST-', '  at once');
like(cause('b1'), qr/neither a key .* nor a look-up/, '  and is told why');
is(outcome('b2'), 'delivered 2 success', 'unless sending it again does no harm');
is(outcome('b3'), 'delivered 3 success', 'and what had no effect is sent again in any case');

# a person has repaired the look-up
$books->faults([]);
redrive('lookdown');
all_sent();
is(outcome('lookdown'), 'delivered 0 success', 'an uncertain one that is redriven');
is(seen($books, 'lookdown'), 'POST- GET500 GET500 GET500 GET200', '  is looked up first');
is(posted($books, 'lookdown'), '1/0/0', '  and there once');

# ---------- keys ----------

my %naive = (url => $naive->url('/v1/invoices'));
destination('hex', %rest, idempotency => { in => 'header', name => 'Idempotency-Key', format => 'hex32', prefix => 'inv-', max_len => 40 });
destination('short', %rest, idempotency => { max_len => 20 });
destination('query', %naive, url => $naive->url('/v1/invoices?minor=1'), idempotency => { in => 'query', name => 'request id', max_len => 36 });
destination('body', url => $books->url('/stripe/v1/invoices'), headers => { Authorization => "Bearer sk_test_{secret:file:$dir/key}" },
	content_type => 'form', body => { template => { customer => '{buyer}', currency => '{currency}', metadata => { number => '{number}' } } },
	idempotency => { in => 'body', name => 'metadata.key', format => 'hex32' }, capture => { key => 'metadata.key' });
destination('ttl', %rest, idempotency => { ttl_s => 30 });
destination('ttl_ok', %rest, idempotency => { ttl_s => 3600 });
destination('ttl_wait', %rest, idempotency => { ttl_s => 400 });
destination('ttl_look', %rest, idempotency => { ttl_s => 30 }, lookup => lookup());
$naive->faults({ modes => { idempotency => 'none' }, rules => [ rule('k3', POST => nth => 1, action => 'drop_before') ] });
$books->faults([
	rule('k1', POST => attempt => 1, action => 'status', status => 503),
	rule('k2', POST => attempt => 1, action => 'drop_after'),
	rule('k4', POST => nth => 1, action => 'status', status => 500, store => $false),
	rule('t[1234]', POST => attempt => 1, action => 'drop_after'),
	rule('t3', POST => attempt => 2, action => '429', retry_after => 390) ]);
publish(hex => 'k1');
publish(short => 'k2');
publish(query => 'k3');
publish(body => 'k4');
publish(ttl => 't1');
publish(ttl_ok => 't2');
publish(ttl_wait => 't3');
publish(ttl_look => 't4');
all_sent();
my @keys = keys_of($books, 'k1');
like($keys[0], qr/^inv-[0-9a-f]{32}$/, 'a key of 32 digits with a prefix');
is_deeply(\@keys, [ $keys[0], $keys[0] ], '  the same at each attempt');
is(sql("SELECT key FROM saga.outbox_attempt WHERE key LIKE 'inv-%'"), $keys[0], '  and on record');
@keys = keys_of($books, 'k2');
like($keys[0], qr/^[0-9a-f]{20}$/, 'a key cut to what fits');
is_deeply(\@keys, [ $keys[0], $keys[0] ], '  the same at each attempt');
my @paths = map { $_->{path} } requests($naive, 'k3');
like($paths[0], qr{^/v1/invoices\?minor=1&request%20id=[0-9a-f-]{36}$}, 'a key in the query');
is_deeply(\@paths, [ $paths[0], $paths[0] ], '  the same at each attempt');
like(captured('k4', 'key'), qr/^[0-9a-f]{32}$/, 'a key in a member of the body');
is(captured('k4', 'key'), sql("SELECT key FROM saga.outbox_attempt a JOIN saga.outbox o USING (outbox_id) WHERE request->'Body'->>'number' = 'k4'"),
	'  the same at each attempt');
is(outcome('t1'), 'failed 1 uncertain Saga.Uncertain', 'a key that the server will not know any more protects nothing');
is(seen($books, 't1'), 'POST-', '  so nothing is sent');
is(seen($books, 't2'), 'POST- POST201', 'one that it knows does');
is(outcome('t3'), 'failed 2 uncertain Saga.Uncertain', 'a pause that the key does not live through: what was uncertain still is');
is(seen($books, 't4'), 'POST- GET200', 'with a look-up it does not matter');

# ---------- what an answer means ----------

my @rules = (
	{ status => [400], header => { name => 'X-Problem', equals => 'busy' }, as => 'retry', comment => 'the header tells' },
	{ status => [200], body => { path => 'error', exists => $true }, as => 'fatal' },
	{ status => [400], body => { path => 'code', in => [ '6140', '6210' ] }, as => 'duplicate' },
	{ status => ['5xx'], body => { contains => 'in maintenance' }, as => 'retry' },
	{ status => [ 403, 451 ], as => 'uncertain' });
destination('rules', %rest, classify => \@rules, lookup => lookup());
destination('hint', %rest, retry_hint_header => 'Should-Retry', lookup => lookup());
destination('hint_key', %rest, retry_hint_header => 'Should-Retry');
destination('nocap', %rest, capture => { remote_id => 'nothing.here' }, lookup => lookup());
destination('nocap2', %rest, capture => { remote_id => 'nothing.here' }, max_attempts => 2);
destination('narrow', %rest, max_response_bytes => 2000, lookup => lookup());
$books->faults([
	rule('c1', POST => attempt => 1, action => 'status', status => 400, headers => { 'X-Problem' => 'busy' }),
	rule('c2', POST => action => '200_with_error'),
	rule('c3', POST => action => 'status', status => 400, body => { code => '6140' }),
	rule('c4', POST => attempt => 1, action => 'status', status => 502, body => 'We are in maintenance.'),
	rule('c5', POST => attempt => 1, action => 'status', status => 451, effect => $true),
	rule('c6', POST => action => 'status', status => 400),
	rule('h1', POST => attempt => 1, action => 'status', status => 400, headers => { 'Should-Retry' => 'true' }),
	rule('h2', POST => action => 'status', status => 429, headers => { 'Should-Retry' => 'false' }),
	rule('h3', POST => nth => 1, action => 'status', status => 500, store => $true, headers => { 'Should-Retry' => 'false' }),
	rule('h4', POST => action => 'status', status => 500, effect => $true, headers => { 'Should-Retry' => 'false' }),
	rule('big', POST => attempt => 1, action => 'huge_body', bytes => 100000) ]);
publish(rules => "c$_") foreach 1 .. 6;
publish(hint => "h$_") foreach 1 .. 3;
publish(hint_key => 'h4');
publish(nocap => 'p1');
publish(nocap2 => 'p2');
publish(narrow => 'big');
all_sent();
is_deeply(steps('c1'), ['send retry 400'], 'a rule on a header');
is(outcome('c2'), 'failed 1 fatal States.Http.StatusCode.200', 'a rule on a member of the body');
is(outcome('c3'), 'failed 1 duplicate States.Http.StatusCode.400', 'a rule on one of several values');
is_deeply(steps('c4'), ['send retry 502'], 'a rule on text that is no JSON');
is(seen($books, 'c5'), 'POST451 GET200', 'a rule that says uncertain');
is(outcome('c6'), 'failed 1 fatal States.Http.StatusCode.400', 'what no rule meets is as in the built-in table');
is_deeply(steps('h1'), ['send retry 400'], 'the server says that it may be repeated');
is(outcome('h2'), 'failed 1 fatal States.Http.StatusCode.429', 'or not');
is_deeply(steps('h3'), [ 'send uncertain 500', 'lookup retry 200' ], 'a stored failure that says so itself');
@keys = keys_of($books, 'h3');
is(scalar(@keys), 2, '  is not asked for three times');
isnt($keys[0], $keys[1], '  and gets a new key at once');
is(outcome('h4'), 'failed 1 uncertain Saga.Uncertain', 'a failure that is not to be repeated stays uncertain');
is(seen($books, 'p1') . ' ' . captured('p1', 'remote_id'), 'POST201 GET200 ' . ((grep { $_->{number} eq 'p1' } @{ $books->request('GET', '/v1/invoices?number=p1&seller=S')->{invoices} })[0]{id}),
	'an answer without the id: the look-up has it');
is(outcome('p2'), 'failed 1 uncertain Saga.Uncertain', 'without a look-up the answer stays unreadable');
is(posted($books, 'p2'), '1/0/0', '  though it was done, once');
is(seen($books, 'big'), 'POST201 GET200', 'too long an answer: the look-up has a short one');

# ---------- when the server says when ----------

my %after = (r1 => 2000, r3 => 1000, r4 => 1000, r5 => 1000, r6 => 9000000);
destination('after', %rest);
destination('after_name', %rest, retry_after => { header => 'X-Wait' });
destination('after_body', %rest, retry_after => { body_regex => 'in (\d+) seconds?' });
destination('after_default', %rest, retry_after => { default_s => 1 });
destination('after_max', %rest, retry_after => { max_s => 1 });
$books->faults([
	rule('r1', POST => attempt => 1, action => '429', retry_after => 2),
	rule('r2', POST => attempt => 1, action => '429', retry_after => 3, date => $true),
	rule('r3', POST => attempt => 1, action => 'status', status => 503, headers => { 'X-Wait' => '1' }),
	rule('r4', POST => attempt => 1, action => '429', body => { message => 'Try again in 1 second' }),
	rule('r5', POST => attempt => 1, action => '429'),
	rule('r6', POST => attempt => 1, action => '429', retry_after => 9000) ]);
publish(after => $_) foreach qw(r1 r2);
publish(after_name => 'r3');
publish(after_body => 'r4');
publish(after_default => 'r5');
publish(after_max => 'r6');
all_sent();
foreach my $number (qw(r1 r2 r3 r4 r5 r6))
{
	my ($first, $second) = requests($books, $number);
	my $asked = sql("SELECT retry_after_ms FROM saga.outbox_attempt a JOIN saga.outbox o USING (outbox_id) WHERE request->'Body'->>'number' = '$number'");
	is($asked, $after{$number}, "as long as the server asked ($number)") if $after{$number};
	cmp_ok($second->{at} - $first->{at}, '>=', $number =~ /r1|r2/ ? 1950 : 950, "  was waited for ($number)");
}

# ---------- bodies, urls and headers from the message ----------

my $flat = { no => 'x1', cents => '100', vat => '19', who => 'S', db => 'books' };
my $template = { number => '{no}', currency => 'EUR', seller => '{who}', buyer => '{customer.name}', total => '{sum}', tax => '0.19',
	lines => '{positions}' };
my $odoo = { vals_list => [ { name => '{no}', partner_id => 7, invoice_line_ids => [ [ 0, 0, { price_unit => 1 } ] ] } ] };
destination('expr', %rest, body => { expr => '{"number": no, "currency": "EUR", "seller": who, "buyer": "B", "tax": $decimal($number(vat) / 100, 2), '
	  . '"total": $decimal(($number(cents) + $number(vat)) / 100, 2), "lines": [{"amount": $decimal($number(cents) / 100, 2)}]}' });
destination('template', %rest, body => { template => $template });
destination('headers', url => $books->url('/odoo/json/2/account.move/create'), body => { template => $odoo },
	headers => { 'X-Odoo-Database' => '{db}', Authorization => "Bearer {secret:file:$dir/key}" });
destination('path', url => $books->url('/v1/invoices/{id}/pay'), body => 'none');
$books->faults([]);
publish(expr => undef, body => $flat);
publish(template => undef, body => { no => "x 2/\"\x{fc}", who => 'S', customer => { name => "\x{c4}" }, sum => '3.19', positions => [ { amount => '1.00' }, { amount => '2.00' } ] });
publish(headers => undef, body => { %$flat, no => 'x3' });
all_sent();
is(sql("SELECT count(*) FROM saga.outbox WHERE state <> 'delivered' AND destination_id IN (SELECT destination_id FROM saga.destination
	WHERE name IN ('expr', 'template', 'headers'))"), '0', 'requests made of messages are delivered');
is(posted($books, 'x1'), '1/0/0', 'the body is an expression');
is(posted($books, "x 2/\"\x{fc}"), '1/0/0', 'or a template');
is((requests($books, 'x3'))[0]{seller}, 'books', 'a header from the message');
foreach my $wrong ([ expr => { no => 'x4', vat => 'much' }, qr/expression/ ], [ template => { no => 'x4' }, qr/\{who\}|\{customer|\{sum|\{positions/ ],
	[ headers => { no => 'x4' }, qr/X-Odoo-Database.*\{db\}/ ], [ headers => { no => 'x4', db => "a\r\nb" }, qr/X-Odoo-Database/ ],
	[ path => { id => '..' }, qr/\{id\}/ ], [ path => { id => '../admin' }, qr/\{id\}/ ], [ path => { id => 'a\\.' }, qr/\{id\}/ ], [ path => {}, qr/\{id\}/ ], [ body => { number => 1 }, qr/\{buyer\}|\{currency\}/ ])
{
	my ($name, $body, $like) = @$wrong;
	my $text = $json->encode($body);
	my ($out, $err) = ('', '');
	$node->psql('postgres', "SELECT saga.publish_to('$name', \$b\$$text\$b\$)", stdout => \$out, stderr => \$err);
	like($err, $like, "a message that no request can be made of is refused ($name)");
}

# ---------- answers that come later ----------

sub polled
{
	my ($name, %poll) = @_;
	destination($name, url => $books->url('/v1/async/invoices'), classify => [ { status => [202], as => 'pending' } ], max_attempts => 4,
		capture => { operation => 'operation' },
		poll => { url => '/v1/operations/{operation}', path => 'status', success => 'success', fatal => ['failed'], every_ms => 30,
			capture => { remote_id => 'result.id' }, %poll });
	return;
}

polled('polled');
polled('hasty', deadline_s => 1);
my @operation = (method => 'GET', path => '/operations/');
$books->faults({ modes => { async_ms => 100 }, rules => [
	{ @operation, nth => 1, action => 'garbage_json' }, { @operation, nth => 1, action => 'status', status => 500 },
	{ @operation, nth => 1, action => 'half_response' }, { @operation, nth => 1, action => 'status', status => 200, body => '<html>', headers => { 'content-type' => 'text/html' } } ] });
destination('patient', url => $books->url('/v1/async/invoices'), classify => [ { status => [202], as => 'pending' } ],
	capture => { operation => 'operation' }, poll => { url => '/v1/operations/{operation}', path => 'status', success => ['success'], every_ms => 30 });
publish(patient => 'a1');
all_sent();
is(outcome('a1'), 'delivered 1 success', 'asked for until it has ended, whatever comes in between');
is_deeply([ grep { !/pending/ } @{ steps('a1') } ], [ 'poll uncertain 200', 'poll uncertain 500', 'poll uncertain', 'poll retry 200' ], '  garbage, 500, nothing, no JSON');
is(posted($books, 'a1'), '1/0/0', '  and it was sent once');
$books->faults({ modes => { async_ms => 100 }, rules => [ rule('a3', POST => nth => 1, action => 'fail_async', error => 'rejected') ] });
publish(polled => $_) foreach qw(a2 a3);
all_sent();
is(outcome('a2'), 'delivered 1 success', 'accepted, later done');
like(captured('a2', 'remote_id'), qr/^inv_/, '  with the id from there');
is(outcome('a3'), 'failed 1 fatal Saga.RemoteFailed', 'accepted, later failed');
like(cause('a3'), qr/rejected/, '  with what the server said');
redrive('a3');
all_sent();
is(outcome('a3') . ' ' . posted($books, 'a3'), 'delivered 1 success 1/0/0', '  redriven it is done anew');
$books->faults([ { @operation, action => 'status', status => 200, body => { status => 'pending' }, headers => { 'retry-after' => '99999999999999999999' } } ]);
publish(hasty => 'a4');
all_sent();
is(outcome('a4'), 'failed 1 uncertain Saga.Uncertain', 'the server does not say in time how it ended, and asks for an eternity');
like(cause('a4'), qr/within 1 seconds/, '  which is said');
$books->faults([]);
redrive('a4');
all_sent();
is(outcome('a4') . ' ' . posted($books, 'a4'), 'delivered 0 success 1/0/0', '  redriven it is asked for, not sent again');

# ---------- undoing it ----------

my %undo = (url => '/v1/invoices/{remote_id}/void', already_done => { status => [400], body => { contains => 'VOIDED' } });
my %credit = (url => '/v1/credit-notes', body => { template => { invoice_id => '{remote_id}', number => 'CN-{number}' } });
destination('undo', %rest, lookup => lookup(), compensate => { %undo, else => {%credit} });
destination('undo_note', %rest, lookup => lookup(), compensate => { %undo, else => 'notes' });
destination('notes', %credit, url => $books->url($credit{url}));
destination('undo_naive', %naive, idempotency => { in => 'none' }, lookup => lookup(), capture => { remote_id => 'id' },
	compensate => { url => '/v1/invoices/{remote_id}/void', uncertain_as => 'retry' });
sql(<<'SQL');
CREATE FUNCTION refuse(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN PERFORM saga.fail('NotWanted', 'after the booking'); RETURN NULL; END $$;
SQL
foreach my $name (qw(undo undo_note undo_naive))
{
	my $http = 'arn:aws:states:::http:invoke';
	my $definition = $json->encode({ StartAt => 'Book', States => {
		Book => { Type => 'Task', Resource => $http, Parameters => { ApiEndpoint => "saga:$name", Method => 'POST', 'RequestBody.$' => '$' },
			Compensate => 'Undo', ResultPath => '$.booked', Next => 'Refuse' },
		Undo => { Type => 'Task', Resource => $http, Parameters => { ApiEndpoint => "saga:$name", Operation => 'compensate',
			'RequestBody.$' => '$.input.RequestBody', 'Captured.$' => '$.output.Captured' } },
		Refuse => { Type => 'Task', Resource => 'sql:public.refuse', End => $true } } });
	sql("SELECT saga.create_workflow('$name', \$d\$$definition\$d\$)");
}

sub start { my ($workflow, $number) = @_; my $input = $json->encode(invoice($number)); return sql("SELECT saga.start_execution('$workflow', \$i\$$input\$i\$)") }
sub ended { return poll_until($node, "SELECT count(*) FROM saga.executions WHERE status IN ('RUNNING', 'COMPENSATING')", '0') }
sub execution { return sql("SELECT concat_ws(' ', status, error) FROM saga.executions WHERE input->>'number' = '$_[0]'") }
sub undone
{
	my ($number) = @_;
	return [ split /\n/, sql("SELECT concat_ws(' ', a.phase, a.class, a.status) FROM saga.outbox_attempt a JOIN saga.outbox o USING (outbox_id)
		WHERE o.request->'Body'->>'number' = '$number' AND compensate ORDER BY a.attempt") ];
}

my $void = '/void$/';
$books->faults([
	rule('u2', POST => path => $void, attempt => 1, action => 'drop_after'),
	rule('u3', POST => path => $void, action => 'status', status => 409),
	rule('u4', POST => path => $void, action => 'status', status => 400, body => { error => 'it is VOIDED already' }),
	rule('u5', POST => path => $void, action => 'status', status => 422),
	rule('u6', POST => path => $void, action => 'status', status => 422),
	rule('u6', POST => path => '/v1/credit-notes', action => 'status', status => 422),
	rule('CN-u3', POST => attempt => 1, action => 'drop_after'),
	rule('u7', POST => path => '/v1/invoices', attempt => 1, action => 'drop_after') ]);
$naive->faults({ modes => { idempotency => 'none', duplicate => 'allow' }, rules => [ rule('u8', POST => path => $void, attempt => 1, action => 'drop_after') ] });
start(undo => $_) foreach qw(u1 u2 u3 u4 u7);
start(undo_note => $_) foreach qw(u5);
start(undo_naive => 'u8');
ended();
is(execution("u$_"), 'FAILED NotWanted', "undone (u$_)") foreach 1 .. 5, 7, 8;
is(posted($books, 'u1'), '1/1/0', 'an invoice is void');
is(posted($books, 'u2'), '1/1/0', 'a lost answer: asked again');
my %void_keys = map { $_->{key} => 1 } grep { $_->{path} =~ /void/ } requests($books, 'u2');
is(scalar(keys %void_keys), 1, '  under the same key');
ok(!$void_keys{ (keys_of($books, 'u2'))[0] }, '  which is not that of the booking');
is(posted($books, 'u3') . ' ' . posted($books, 'CN-u3'), '1/0/0 0/0/1', 'what cannot be void is credited');
is_deeply(undone('u3'), [ 'send fatal 409', 'else uncertain' ], '  with the request that is named for it, until that is known to be there');
is(scalar(keys %{ { map { $_->{key} => 1 } requests($books, 'CN-u3') } }), 1, '  under one key');
is_deeply(undone('u4'), [], 'an answer that says that there is nothing to undo is a success');
is(posted($books, 'u5') . ' ' . posted($books, 'CN-u5'), '1/0/0 0/0/1', 'or another destination takes it over');
is(posted($books, 'u7'), '1/1/0', 'what was found by a look-up can be undone too');
is(seen($naive, 'u8') . ' ' . posted($naive, 'u8'), 'POST201 POST- POST200 1/1/0', 'no key, and undoing twice does no harm');

# ---------- a publisher that dies between sending and recording ----------

destination('dead', %rest, url => $naive->url('/v1/invoices'), idempotency => { in => 'none' }, lookup => lookup());
destination('dead_blind', %rest, url => $naive->url('/v1/invoices'), idempotency => { in => 'none' });
$naive->faults({ modes => { idempotency => 'none', duplicate => 'allow' }, rules => [ { number => '^d[12]$', method => 'POST', attempt => 1, action => 'delay', ms => 60000, at => 'after' } ] });
publish(dead => 'd1');
publish(dead_blind => 'd2');
my $end = time + $PostgreSQL::Test::Utils::timeout_default;
usleep(50_000) until (grep { $_->{effect} } map { requests($naive, $_) } qw(d1 d2)) == 2 || time > $end;
kill_process(sql("SELECT pid FROM saga.workers WHERE type = 'publisher' LIMIT 1"));
wait_until_up();
all_sent();
is(outcome('d1'), 'delivered 1 success', 'a publisher killed after the effect: the next one looks');
is(seen($naive, 'd1') . ' ' . posted($naive, 'd1'), 'POST- GET200 1/0/0', '  and does not send it again');
is(outcome('d2'), 'failed 2 uncertain Saga.Uncertain', 'without key and look-up a person has to find out');
is(seen($naive, 'd2') . ' ' . posted($naive, 'd2'), 'POST- 1/0/0', '  and nothing is sent blindly');

# ---------- all of it ----------

is(sql("SELECT count(*) FROM saga.timer WHERE kind = 'o'"), '0', 'no lease is left');
is(join(' ', grep { $_->{effects} > 1 } @{ $books->audit->{keys} }), '', 'no key had two effects');
my $dump = $node->backup_dir . '/dump.sql';
command_ok([ 'pg_dump', '--no-sync', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
unlike(slurp_file($dump), qr/\Q$secret\E/, 'no secret in the database');
unlike(slurp_file($node->logfile), qr/\Q$secret\E/, 'no secret in the log');
$node->stop;
done_testing();
