# From 0.1 to 0.2: an updated database has the catalog of a new one, and what was in flight ends.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

# the publisher finds the credentials in the server's environment
$ENV{AWS_ACCESS_KEY_ID} = 'test';
$ENV{AWS_SECRET_ACCESS_KEY} = 'test';

my $catalog = slurp_file('t/lib/catalog.sql');
my $node = new_saga_node('update', 'pg_saga.workers = 2', "pg_saga.databases = 'none'");
my $update = 'ALTER EXTENSION pg_saga UPDATE; ALTER EXTENSION pg_invoice UPDATE';

sub database
{
	my ($name, @sql) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, $_) foreach @sql;
	return $name;
}
sub sql { return $node->safe_psql('flight', $_[0]) }
sub as { my ($role, $sql) = @_; return $node->safe_psql('flight', $sql, extra_params => [ '-U', $role ]) }

# ---------- the catalog ----------

my @old = map { "CREATE EXTENSION $_ VERSION '0.1'" } qw(pg_saga pg_invoice);
my %lines;
foreach my $how ([ 'fresh', 'CREATE EXTENSION pg_invoice CASCADE' ], [ 'updated', @old, $update ])
{
	my $name = database(@{$how});
	$lines{$name} = { map { $_ => 1 } split /\n(?=\w+ )/, $node->safe_psql($name, $catalog) };
}
cmp_ok(scalar(keys %{ $lines{fresh} }), '>', 400, 'there is a catalog to compare');
is(join("\n", grep { !$lines{updated}{$_} } sort keys %{ $lines{fresh} }), '', 'an updated database lacks nothing of a new one');
is(join("\n", grep { !$lines{fresh}{$_} } sort keys %{ $lines{updated} }), '', 'and has nothing else');

# ---------- before the update: the library is newer than the catalog ----------

$node->safe_psql('postgres', 'CREATE ROLE app LOGIN; CREATE ROLE books LOGIN; CREATE ROLE invoicer LOGIN; GRANT books TO app');
database('flight', @old);
my $data = 'test/in-flight-0.1.sql';
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('flight'), '-f', $data ], 'a database of 0.1 with work in flight');

my $err = '';
isnt($node->psql('flight', "SELECT saga.create_queue('q')", stderr => \$err), 0, 'what has to be updated is not used');
like($err, qr/ALTER EXTENSION pg_saga UPDATE/, 'with the command that mends it');
my $offset = -s $node->logfile;
$node->append_conf('postgresql.conf', "pg_saga.databases = 'flight'");
$node->reload;
wait_for_log($node, qr/extension "pg_saga" in database "flight" has version 0\.1, and its library is/, $offset);
is(sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'pg_saga (worker|publisher)' AND datname = 'flight'"), '0',
	'nothing works there before');

# ---------- the update, and what was in flight ----------

my $books = start_accounting();
my $topics = start_fauxqs();
my $topic = $topics->setup('invoice-events', 'invoice-reader');
my $counts = "SELECT (SELECT count(*) FROM saga.message), (SELECT count(*) FROM saga.timer), (SELECT count(*) FROM saga.continuation)";
# Now there is somebody to talk to. In the transaction of the update, as work begins with its commit.
my $echo = Saga::Server->start('raw', args => [ '--log', $node->basedir . '/raw' ]);
my $aim = qq{
	SELECT saga.alter_destination(n, '{"url": "@{[ $books->url ]}", "allow_private": true, "allow_http": true}')
	  FROM unnest('{invoicer.payments,invoicer.accounting}'::text[]) n;
	SELECT saga.alter_destination('invoicer.invoice-events', '{"topic_arn": "$topic->{topic_arn}", "endpoint_url": "@{[ $topics->url ]}", "allow_private": true}');
	SELECT saga.alter_destination(n, '{"url": "@{[ $echo->url('/ok') ]}", "allow_private": true, "allow_http": true, "auth": {"type": "bearer", "token": "{secret:books.books_key}"}}')
	  FROM unnest('{books.books,app.own}'::text[]) n};
my $before = sql($counts);
like(sql("BEGIN; $update; $counts; $aim; COMMIT"), qr/^\Q$before\E\n/, 'no row is lost');
is(sql("SELECT extname || ' ' || extversion FROM pg_extension WHERE extname ~ '^pg_(saga|invoice)' ORDER BY 1"),
	"pg_invoice 0.2\npg_saga 0.2", 'both are updated');

# who used a name goes on using it
is(as('app', "SELECT saga.workflow_version('flow')"), '1', 'an owner finds his own by its name');
like(as('app', "SELECT saga.send('letters', '\"from app\"')"), qr/^[0-9a-f-]{36}$/, 'a member what he could use, by owner_path');
is(sql("SELECT dead_letter_queue FROM saga.queues WHERE name = 'work'"), 'books.letters', 'a dead-letter queue is the same');
is(sql('SELECT invoice_workflow_owner()'), 'invoicer', 'invoices keep their workflow');
is(sql("SELECT currency || approval_limit FROM invoice_approval_limit"), 'default250000', 'and their limits');

sql("SELECT count(invoice_approve(tracking_id)) FROM invoice_held");
as('app', "SELECT count(saga.send_task_success(token, '{}')) FROM app.held WHERE n > 4");

poll_until($node, "SELECT count(*) FROM saga.executions WHERE workflow = 'flow' AND status IN ('RUNNING', 'COMPENSATING') AND current_state IS DISTINCT FROM 'Hold'", '0', 'flight');
sql("SELECT count(saga.send_task_success(h.token, '{}')) FROM app.held h JOIN saga.executions e ON e.workflow = 'flow' AND e.status = 'RUNNING' AND (e.input ->> 'n')::int = h.n");
poll_until($node, "SELECT count(*) FROM saga.executions WHERE status IN ('RUNNING', 'COMPENSATING')", '0', 'flight');

is(sql("SELECT status, count(*) FROM saga.executions WHERE workflow = 'flow' GROUP BY 1 ORDER BY 1"), "FAILED|5\nSUCCEEDED|45",
	'every execution has ended, those that failed by their own error');
is(as('app', "SELECT string_agg(step || ' ' || n, ', ') FROM (SELECT step, n FROM app.effect GROUP BY 1, 2 HAVING count(*) <> 1) x"), '',
	'every step has had its effect once');
is(as('app', "SELECT count(*) FILTER (WHERE step = 'first'), count(*) FILTER (WHERE step = 'audit'), count(*) FILTER (WHERE step = 'undo') FROM app.effect"),
	'50|50|5', 'and is undone where it failed');
is(sql("SELECT string_agg(status, ' ' ORDER BY status) FROM invoice_tracking"), join(' ', ('completed') x 5, 'failed'),
	'every invoice has ended');
is(sql("SELECT count(*) FROM invoice_dlq WHERE reason IN ('InvoiceInvalid', 'InvoiceUnreadable')"), '2', 'what is wrong is a dead letter');
is(sql("SELECT state, count(*) FROM saga.outbox GROUP BY 1"), 'delivered|' . sql('SELECT count(*) FROM saga.outbox'), 'every message is delivered');
is(sql("SELECT ready + delayed + in_flight FROM saga.queues WHERE name = 'work'"), '15', 'messages of a queue wait as before');
is(sql("SELECT ready FROM saga.queues WHERE name = 'letters'"), sql("SELECT 1 + count(*) FROM app.effect WHERE step = 'first' AND n > 100 AND n % 4 = 3"),
	'and what steps sent is there');

$node->stop;
done_testing();
