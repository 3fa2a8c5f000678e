# The outbox against the accounting server: every kind of answer, the same key on every attempt, the
# order of an ordering key, a publisher killed in mid-run, and no secret anywhere.
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use Saga::Test qw(:DEFAULT all_sent sql wait_until_up);

my $secret = 'Zq7-very-secret-4711';
my $dir = File::Temp->newdir('saga-secret-XXXXXX', TMPDIR => 1);
append_to_file("$dir/key", "$secret\n");

my $accounting = start_accounting();
my $node = new_saga_node('main', 'restart_after_crash = on', 'log_min_messages = debug1');
create_extensions($node);

sub destination
{
	my ($name, %settings) = @_;
	my $json = encode_json({
		url => $accounting->url('/v1/invoices'), allow_private => ['127.0.0.0/8'], base_ms => 20, cap_ms => 200,
		max_attempts => 200, %settings });
	sql("SELECT saga.create_destination('$name', 'http', '$json')");
	return;
}

# One outbox message: an invoice for the accounting server.
sub publish
{
	my ($number, %opt) = @_;
	my $invoice = encode_json({
		number => "$number", currency => 'EUR', seller => 'S', buyer => 'B', total => $opt{total} // '1.19',
		tax => '0.19', lines => [ { amount => '1.00' } ] });
	my $key = defined $opt{key} ? "'$opt{key}'" : 'NULL';
	return "SELECT saga.publish_to('" . ($opt{to} // 'books') . "', '$invoice', $key);\n";
}

sub outcome
{
	my ($number) = @_;
	return sql("SELECT concat_ws(' ', state, attempts, last_status, last_class, split_part(last_error, ':', 1))
		FROM saga.outbox WHERE request -> 'Body' ->> 'number' = '$number'");
}

# ---------- every kind of answer ----------

destination('books', headers => { 'X-Api-Key' => "{secret:file:$dir/key}" });
destination('impatient', timeout_ms => 300, cap_ms => 400, max_attempts => 100);
destination('weary', max_attempts => 3);
destination('narrow', max_response_bytes => 20000);
destination('guarded', allow_private => JSON::PP::false);
$accounting->faults([
	{ number => '^500$', attempt => [ 1, 2 ], action => 'status', status => 500 },
	{ number => '^429s$', attempt => 1, action => '429', retry_after => 2 },
	{ number => '^429d$', attempt => 1, action => '429', retry_after => 2, date => JSON::PP::true },
	{ number => '^dropb$', attempt => 1, action => 'drop_before' },
	{ number => '^dropa$', attempt => 1, action => 'drop_after' },
	{ number => '^half$', attempt => 1, action => 'half_response' },
	{ number => '^garbage$', attempt => 1, action => 'garbage_json' },
	{ number => '^slow$', attempt => 1, action => 'delay', ms => 1500, at => 'before' },
	{ number => '^gone$', action => 'drop_before' },
	{ number => '^huge$', action => 'huge_body', bytes => 1000000 },
	{ number => '^redirect$', action => 'redirect' },
	{ number => '^404$', action => 'status', status => 404 },
]);
my $start = time;
sql(join('', map { publish($_) } qw(fine 500 429s 429d dropb dropa half garbage redirect 404))
	  . publish('422', total => '5.00')
	  . publish('slow', to => 'impatient')
	  . publish('gone', to => 'weary')
	  . publish('huge', to => 'narrow')
	  . publish('guarded', to => 'guarded'));
all_sent();
is(outcome('fine'), 'delivered 1 201 success', 'delivered at the first attempt');
is(outcome('500'), 'delivered 3 201 success', '500 is tried again');
is(outcome('429s'), 'delivered 2 201 success', '429 is tried again');
is(outcome('429d'), 'delivered 2 201 success', '429 with a date too');
is(outcome('dropb'), 'delivered 2 201 success', 'a connection dropped before the effect');
is(outcome('dropa'), 'delivered 2 201 success', 'a connection dropped after the effect');
is(outcome('half'), 'delivered 2 201 success', 'half an answer');
is(outcome('garbage'), 'delivered 1 201 success', 'an answer that is no JSON, of which nothing is kept');
like(outcome('slow'), qr/^delivered ([3-9]|\d\d) 201 success$/,
	'a timeout, then conflicts with the request that is still running, then its answer');
is(outcome('gone'), 'failed 3 uncertain States.Http.Socket', 'until the attempts are used up');
is(outcome('huge'), 'delivered 1 201 success', 'too long an answer, of which nothing is kept');
is(outcome('redirect'), 'failed 1 307 fatal States.Http.StatusCode.307', 'a redirect is not followed')
  or diag(outcome('redirect'));
is(outcome('404'), 'failed 1 404 fatal States.Http.StatusCode.404', '404 is final');
is(outcome('422'), 'failed 1 422 fatal States.Http.StatusCode.422', '422 is final');
is(outcome('guarded'), 'failed 1 fatal States.Http.Socket', 'a private address is refused');

my $audit = $accounting->audit;
my %by_number;
push @{ $by_number{ $_->{number} // '' } }, $_ foreach @{ $audit->{requests} };
foreach my $number (qw(429s 429d))
{
	my ($first, $second) = @{ $by_number{$number} };
	# a date has whole seconds
	cmp_ok($second->{at} - $first->{at}, '>=', $number eq '429s' ? 1950 : 950,
		"Retry-After was waited for ($number)");
}
is(scalar(grep { $_->{effects} > 1 } @{ $audit->{keys} }), 0, 'no key had two effects');
foreach my $number (sort keys %by_number)
{
	my %keys = map { ($_->{key} // '') => 1 } @{ $by_number{$number} };
	is(scalar keys %keys, 1, "all requests of $number have one key");
}
is($by_number{guarded}, undef, 'nothing was sent to the private address');
is(sql("SELECT count(*) FROM saga.outbox o WHERE attempts <> (SELECT count(*) FROM saga.outbox_attempt a
	WHERE a.outbox_id = o.outbox_id) + (o.state = 'delivered')::integer"), '0', 'each attempt is on record');
foreach my $number (qw(500 dropb dropa half gone))
{
	is(scalar @{ $by_number{$number} }, $number =~ /500|gone/ ? 3 : 2,
		"as many requests arrived as attempts are on record ($number)");
}
is(sql("SELECT string_agg(DISTINCT reason, ' ' ORDER BY reason) FROM saga.dead_letter"),
	'States.Http.Socket States.Http.StatusCode.307 States.Http.StatusCode.404 States.Http.StatusCode.422',
	'what failed is a dead letter');

# a dead letter, repaired at the other end, is sent again under its key
$accounting->faults([]);
sql("SELECT saga.redrive(dead_letter_id) FROM saga.dead_letter WHERE reason = 'States.Http.StatusCode.404'");
all_sent();
is(outcome('404'), 'delivered 1 201 success', 'redriven');

# ---------- order ----------

destination('ordered', concurrency => 8);
$accounting->reset;
$accounting->faults([ { probability => 0.2, action => 'status', status => 500 },
	{ probability => 0.1, action => 'drop_after' } ]);
sql(join('', map { publish("o$_", to => 'ordered', key => 'k' . $_ % 3) } 1 .. 60));
all_sent();
my %order;
foreach my $request (@{ $accounting->audit->{requests} })
{
	next unless $request->{effect} && $request->{number} =~ /^o([0-9]+)$/;
	push @{ $order{ $1 % 3 } }, $1;
}
foreach my $key (0 .. 2)
{
	is_deeply($order{$key}, [ sort { $a <=> $b } grep { $_ % 3 == $key } 1 .. 60 ],
		"messages of one ordering key arrive in order ($key)");
}

# ---------- a publisher that is killed, the server with it ----------

$accounting->reset;
$accounting->faults([ { action => 'delay', ms => 20, at => 'after' }, { probability => 0.1, action => 'drop_after' },
	{ probability => 0.1, action => '429', retry_after => 0 } ]);
sql(join('', map { publish("k$_", key => $_ % 4 ? undef : 'k') } 1 .. 300));
foreach my $round (1 .. 2)
{
	my $done = $round * 40;
	poll_until($node, "SELECT count(*) >= $done FROM saga.outbox WHERE state = 'delivered'
		AND request -> 'Body' ->> 'number' LIKE 'k%'");
	my $pid = sql("SELECT pid FROM saga.workers WHERE type = 'publisher' LIMIT 1");
	kill_process($pid);
	wait_until_up();
}
all_sent();
is(sql("SELECT count(*) FROM saga.outbox WHERE request -> 'Body' ->> 'number' LIKE 'k%' AND state = 'delivered'"),
	'300', 'after two kills all are delivered');
$audit = $accounting->audit;
is(scalar(grep { ($_->{posted} // 0) == 1 } @{ $audit->{numbers} }), 300, 'each is posted once');
is(scalar(grep { $_->{effects} != 1 } @{ $audit->{keys} }), 0, 'each key had one effect');
my @ordered = map { $_->{number} =~ /^k([0-9]+)$/ && $1 % 4 == 0 && $_->{effect} ? $1 : () } @{ $audit->{requests} };
is_deeply(\@ordered, [ sort { $a <=> $b } @ordered ], 'and the ordering key was kept');
is(sql('SELECT count(*) FROM saga.timer WHERE kind = \'o\''), '0', 'no lease is left');

# ---------- termination during a request ----------

$accounting->faults([ { action => 'delay', ms => 20000, at => 'before' } ]);
sql(publish('hang'));
poll_until($node, "SELECT sending = 1 FROM saga.outbox_status WHERE destination = 'books'");
my $pid = sql("SELECT pid FROM saga.workers WHERE type = 'publisher'");
$start = time;
sql("SELECT pg_terminate_backend($pid)");
wait_for_exit($pid);
cmp_ok(time - $start, '<', 10, 'a publisher that waits for an answer can be terminated at once');
# else it would use up its attempts while the server starts
sql("SELECT saga.pause_destination('books')");
$accounting->stop;
$accounting->run;
$accounting->faults([]);
sql("SELECT saga.resume_destination('books')");
all_sent();
# more than two attempts when one met the server while it ended
like(outcome('hang'), qr/^delivered (?!1 )[0-9]+ 201 success$/, 'and another one sends it again');

# ---------- no worker at all ----------

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
sql(join('', map { publish("s$_", key => 'k') } 1 .. 20));
sql('CALL saga.publish()');
is(sql("SELECT count(*) FROM saga.outbox WHERE state = 'delivered' AND request -> 'Body' ->> 'number' ~ '^s[0-9]'"),
	'20', 'CALL saga.publish() sends what is there');
sql("SELECT saga.pause_destination('books');" . publish('paused'));
sql('CALL saga.publish()');
is(outcome('paused'), 'waiting 0', 'a paused destination is left alone');
sql("SELECT saga.resume_destination('books')");
sql('CALL saga.publish()');
is(outcome('paused'), 'delivered 1 201 success', 'until it is resumed');

# ---------- no secret ----------

my $dump = $node->backup_dir . '/dump.sql';
command_ok([ 'pg_dump', '--no-sync', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
unlike(slurp_file($dump), qr/\Q$secret\E/, 'no secret in the database');
unlike(slurp_file($node->logfile), qr/\Q$secret\E/, 'no secret in the log');

$node->stop;
done_testing();
