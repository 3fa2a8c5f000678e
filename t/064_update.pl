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

# ---------- what an administrator granted ----------

# who made app a member of mallory's may be mallory: before version 16 every role could do that to any
$node->safe_psql('postgres', 'CREATE ROLE mallory LOGIN; GRANT mallory TO app');
sql("GRANT USAGE ON SCHEMA saga TO mallory; GRANT EXECUTE ON FUNCTION saga.create_queue(text, interval, integer, text, boolean, interval) TO mallory");
sql(q{GRANT EXECUTE ON FUNCTION saga.set_workflow_owner(text, regrole) TO app WITH GRANT OPTION;
	SET ROLE app; GRANT EXECUTE ON FUNCTION saga.set_workflow_owner(text, regrole) TO books; RESET ROLE;
	GRANT EXECUTE ON FUNCTION saga.set_destination_owner(text, regrole) TO books;
	GRANT EXECUTE ON FUNCTION saga.set_source_owner(text, regrole) TO PUBLIC;
	GRANT EXECUTE ON FUNCTION saga.worker_status() TO app WITH GRANT OPTION;
	GRANT SELECT ON saga.workers TO books; GRANT SELECT (pid, state) ON saga.workers TO app});
# arguments are left out: they are more afterwards
my $granted = q{
	SELECT p.proname, a.grantee::regrole, a.grantor::regrole, a.is_grantable FROM pg_proc p, aclexplode(p.proacl) a
		WHERE p.pronamespace = 'saga'::regnamespace AND a.grantee <> p.proowner
	UNION ALL SELECT c.relname, a.grantee::regrole, a.grantor::regrole, a.is_grantable FROM pg_class c, aclexplode(c.relacl) a
		WHERE c.relnamespace = 'saga'::regnamespace AND a.grantee <> c.relowner
	UNION ALL SELECT c.relname || '.' || t.attname, a.grantee::regrole, a.grantor::regrole, a.is_grantable
		FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid, aclexplode(t.attacl) a WHERE c.relnamespace = 'saga'::regnamespace
	ORDER BY 1, 2, 3};
my $held = q{SELECT count(*), count(DISTINCT objid) FROM pg_shdepend WHERE deptype = 'a' AND dbid = (SELECT oid FROM pg_database WHERE datname = 'flight')};
my %granted = map { $_ => sql($_) } $granted, $held;
# pg_dump: of grants only, and those of the functions without their arguments
sub dumped
{
	my @lines = grep { /^GRANT / } split /\n/, (run_command([ 'pg_dump', '-s', '-n', 'saga', '-e', 'pg_saga', $node->connstr('flight') ]))[0];
	s/\(.*?\)// foreach @lines;
	return join "\n", sort @lines;
}
my $dumped = dumped();
like($dumped, qr/ON FUNCTION saga\.set_workflow_owner TO app WITH GRANT OPTION/, 'grants are dumped');

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
my ($rc, $out, $notice) = $node->psql('flight', "BEGIN; $update; $counts; $aim; COMMIT", on_error_stop => 1);
like($out, qr/^\Q$before\E\n/, 'no row is lost');
is(sql("SELECT extname || ' ' || extversion FROM pg_extension WHERE extname ~ '^pg_(saga|invoice)' ORDER BY 1"),
	"pg_invoice 0.2\npg_saga 0.2", 'both are updated');

# who used a name goes on using it
is(as('app', "SELECT saga.workflow_version('flow')"), '1', 'an owner finds his own by its name');
is(sql("SELECT setrole, s FROM pg_db_role_setting, unnest(setconfig) s WHERE s LIKE 'pg_saga.owner_path%'"), '0|pg_saga.owner_path="$user", postgres',
	'bare names lead to the superusers that bound something; a membership is no trust, so to nobody else');
sql("SET ROLE mallory; SELECT saga.create_queue('mail')");
isnt($node->psql('flight', "SELECT saga.send('mail', '{}')", stderr => \$err, extra_params => [ '-U', 'app' ]), 0, 'so nobody slips an object under a name of another');
isnt($node->psql('flight', "SELECT saga.send('letters', '{}')", stderr => \$err, extra_params => [ '-U', 'app' ]), 0, 'what a member used without its owner');
like($err, qr/HINT: .*write books\.letters/, 'is to be written with him, says the hint');
my ($command) = $notice =~ /^(?:DETAIL:  )?(ALTER ROLE app .*;)$/m;
is($command, q{ALTER ROLE app IN DATABASE flight SET pg_saga.owner_path = '"$user", books, postgres';}, 'or an administrator says so, as the update has told him');
sql($command);
like(as('app', "SELECT saga.send('letters', '\"from app\"')"), qr/^[0-9a-f-]{36}$/, 'then it is found as before');
is(sql($_), $granted{$_}, 'what was granted is granted, by the same roles') foreach $granted;
is(sql($_), $granted{$_}, 'and known of the roles') foreach $held;
is(dumped(), $dumped, 'and is dumped');
is(sql("SELECT string_agg(what, ', ') FROM saga.doctor() WHERE \"check\" = 'public_grant'"),
	'PUBLIC has EXECUTE on routine saga.set_source_owner(text,regrole,text)', 'what PUBLIC has is reported');
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

# Formats are new: documents can be read with them at once, and are told by the sender's names when the owner of the
# workflow has been given what is new.
sql(q{SELECT invoice_source_format('shop', '{"number": no, "seller": {"name": "Shop"}, "currency": cur}')});
my $id = sql(q{SELECT invoice_submit('{"no": "U-1", "cur": "??"}', format => 'shop')});
my $message = "SELECT m FROM invoice_dlq, unnest(messages) m WHERE tracking_id = '$id' AND m LIKE '%/currency%'";
poll_until($node, $message, 'BR-CL-04 /currency: found "??", expected a code of the list currencies', 'flight');
sql('SELECT invoice_setup()');
sql("SELECT invoice_retry('$id')");
ok(poll_until($node, $message, 'BR-CL-04 /currency: found "??", expected a code of the list currencies (sender: /cur)', 'flight'),
	'what the sender calls it is told after invoice_setup');

$node->stop;
done_testing();
