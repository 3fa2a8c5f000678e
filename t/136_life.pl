# The life of the processes (the matrix in src/worker/README.md): whatever is done to the server, to the extension or
# to a database, whether it is committed or not, while they are idle or in the middle of a step and of a request: after
# it the right ones run, what was under way is done once, and nothing is left of what is gone.
use strict;
use warnings;

use File::Temp;
use IO::Select;
use IO::Socket::INET;
use IPC::Run ();
use JSON::PP;
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;
use Saga::Work;

my $dir = File::Temp->newdir('saga-life-XXXXXX', TMPDIR => 1);
my $open = "$dir/open";
my $hung = "$dir/hung";

# ---------- a server: /ok is answered at once, /hang when there is a file "open", all else never ----------

my $listener = IO::Socket::INET->new(Listen => 100, LocalAddr => '127.0.0.1') or die "listen: $!";
my $port = $listener->sockport;

sub answer
{
	my ($socket, $select) = @_;
	print $socket "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
	$select->remove($socket);
	close($socket);
	return;
}

sub serve
{
	my $select = IO::Select->new($listener);
	my @hanging;

	local $SIG{PIPE} = 'IGNORE';
	while (1)
	{
		foreach my $socket ($select->can_read(0.05))
		{
			if ($socket == $listener) { $select->add($listener->accept); next }
			my $got = sysread($socket, my $request, 65536);
			if (!$got) { $select->remove($socket); close($socket) }
			elsif ($request =~ m{^POST /ok}) { answer($socket, $select) }
			elsif ($request =~ m{^POST /hang})
			{
				push @hanging, $socket;
				append_to_file($hung, "x");
			}
		}
		next unless -e $open;
		answer($_, $select) foreach grep { $_->opened } @hanging;
		@hanging = ();
	}
	return;
}

my $child = fork() // die "fork: $!";
if ($child == 0)
{
	serve();
	POSIX::_exit(0);
}
END { local $?; kill('KILL', $child) if $child }

# ---------- a database with something of each kind ----------

my $node = new_saga_node('life', { init => [ allows_streaming => 1 ] }, 'pg_saga.workers = 2', 'pg_saga.worker_idle_timeout = 1h');
my $x = 0;

sub sql { my ($sql, $db) = @_; return $node->safe_psql($db // 'postgres', $sql) }

append_to_file("$dir/credentials", "[default]\naws_access_key_id = a\naws_secret_access_key = b\n");
my $settings = encode_json({ queue_url => "http://127.0.0.1:$port/0/q", endpoint_url => "http://127.0.0.1:$port",
	region => 'us-east-1', allow_private => JSON::PP::true, credentials => { file => "$dir/credentials" } });
my $contents = <<"SQL" . join('', map { qq(SELECT saga.create_destination('$_', 'http', '{"url": "http://127.0.0.1:$port/$_", "allow_private": true, "timeout_ms": 600000}'); SELECT saga.set_destination_owner('$_', 'app');\n) } 'ok', 'hang');
CREATE TABLE public.done (x int);
CREATE TABLE public.gate (open boolean);
INSERT INTO public.gate VALUES (true);
GRANT INSERT, SELECT ON public.done TO app;
GRANT SELECT ON public.gate TO app;
CREATE FUNCTION public.work(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$f\$
BEGIN
	INSERT INTO public.done VALUES ((input->>'x')::int);
	WHILE input ? 'gate' AND NOT (SELECT open FROM public.gate) LOOP
		PERFORM pg_sleep(0.02);
	END LOOP;
	RETURN input;
END \$f\$;
SELECT saga.create_workflow('wf', '{"StartAt": "Work", "States": {"Work": {"Type": "Task", "Resource": "sql:public.work", "End": true}}}', 'app');
GRANT USAGE ON SCHEMA saga TO app;
GRANT EXECUTE ON FUNCTION saga.create_queue TO app;
SET SESSION AUTHORIZATION app;
SELECT saga.create_queue('q');
RESET SESSION AUTHORIZATION;
SELECT saga.create_source('s', 'sqs', '$settings', 'q', 'app');
SQL

sub fill { my ($db) = @_; return sql("CREATE EXTENSION pg_saga;\n$contents", $db) }
sub make { my ($db) = @_; sql("CREATE DATABASE $db"); return fill($db) }

# What runs in a database, but for workers and publishers, which come and go.
my $there = q{(SELECT string_agg(type, ' ' ORDER BY type) FROM saga.workers
	WHERE pid IS NOT NULL AND database = current_database() AND type IN ('coordinator', 'source'))};
my $unsent = q{(SELECT count(*) FROM saga.outbox JOIN saga.destination USING (destination_id) WHERE state = 'waiting' AND name = '%s')};

# New work is done there.
sub works
{
	my ($db, $when) = @_;
	$x++;
	sql(qq(SELECT saga.start_execution('app.wf', '{"x": $x}'), saga.publish_to('app.ok', '{}')), $db);
	return ok(poll_until($node, "SELECT (SELECT count(*) FROM public.done WHERE x = $x), " . sprintf($unsent, 'ok') . ", $there", '1|0|coordinator source', $db), "$when: work goes on");
}

# A worker is in a step, and a publisher has a request in flight.
sub make_busy
{
	my ($db) = @_;
	my $before = -s $hung // 0;

	$x++;
	unlink($open);
	sql(qq(UPDATE public.gate SET open = false; SELECT saga.start_execution('app.wf', '{"x": $x, "gate": true}'), saga.publish_to('app.hang', '{}')), $db);
	poll_until($node, "SELECT count(*) FROM pg_stat_activity WHERE datname = '$db' AND backend_type = 'pg_saga worker' AND wait_event = 'PgSleep'", '1');
	wait_until(sub { (-s $hung // 0) > $before }) or die 'no request';
	return $x;
}

# What was under way is done, once.
sub ends
{
	my ($db, $when, $number) = @_;
	sql('UPDATE public.gate SET open = true', $db);
	append_to_file($open, '');
	ok(poll_until($node, "SELECT (SELECT count(*) FROM public.done WHERE x = $number), (SELECT count(*) FROM saga.executions WHERE status = 'RUNNING'), "
			. sprintf($unsent, 'hang'), '1|0|0', $db), "$when: what was under way is done");
	return;
}

# The same for both: idle, and then busy.
sub idle_and_busy
{
	my ($db, $what, $do) = @_;
	my $after;

	foreach my $how ('idle', 'busy')
	{
		my $number = $how eq 'busy' ? make_busy($db) : 0;
		$db = $do->($how, $number) // $db;
		ends($db, "$what, $how", $number) if $number;
		works($db, "$what, $how");
	}
	return $db;
}

# Nobody is there any more, and nobody holds anything of it.
sub is_gone
{
	my ($when, $oid) = @_;
	return ok(poll_until($node, "SELECT (SELECT count(*) FROM pg_stat_activity WHERE datid = $oid), (SELECT count(*) FROM pg_locks WHERE database = $oid),
		(SELECT count(*) FROM saga.workers WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = database) AND type <> 'launcher')", '0|0|0'), "$when: nothing is left");
}

sub oid_of { return sql("SELECT oid FROM pg_database WHERE datname = '$_[0]'") }

sql('CREATE ROLE app LOGIN; CREATE EXTENSION pg_saga');
make('d');
works('d', 'CREATE EXTENSION');

# ---------- the server ----------

foreach my $mode ('fast', 'immediate')
{
	idle_and_busy('d', "restart, $mode", sub { $node->stop($mode); $node->start; return });
}

# ---------- a reload ----------

sub reload { my ($setting) = @_; $node->append_conf('postgresql.conf', "pg_saga.$setting"); $node->reload; return }

{
	my $number = make_busy('d');
	reload('workers = 0');
	poll_until($node, q{SELECT count(*) FROM saga.workers WHERE type = 'worker' AND state NOT IN ('leaving', 'waiting') AND database = 'd'}, '0', 'd');
	is(sql(q{SELECT count(*) FROM pg_stat_activity WHERE datname = 'd' AND backend_type = 'pg_saga worker'}), '1', 'fewer workers: who is in a step ends it');
	ends('d', 'reload to fewer workers, busy', $number);
	ok(poll_until($node, q{SELECT count(*) FROM pg_stat_activity WHERE datname = 'd' AND backend_type = 'pg_saga worker'}, '0'), 'and goes');
	reload('workers = 2');
	works('d', 'reload to more workers');

	$number = make_busy('d');
	reload(q(databases = 'postgres'));
	poll_until($node, q{SELECT count(*) FROM pg_stat_activity WHERE datname = 'd' AND backend_type = 'pg_saga coordinator'}, '0');
	sql('UPDATE public.gate SET open = true', 'd');
	append_to_file($open, '');
	workers_gone($node, 'd');
	pass('a database that is not named any more: all leave');
	reload(q(databases = ''));
	ends('d', 'reload that names the database again', $number);
	works('d', 'reload that names the database again');

	my $offset = -s $node->logfile;
	reload('workers = many');
	wait_for_log($node, qr/invalid value for parameter "pg_saga.workers"/, $offset);
	works('d', 'reload of something wrong');
	$node->append_conf('postgresql.conf', 'pg_saga.workers = 2');
}

# ---------- the extension ----------

sql('CREATE DATABASE e');
my $start = q(SELECT saga.start_execution('app.wf', '{"x": 0}'));

# Work that comes with it, in the same transaction.
sql("BEGIN; CREATE EXTENSION pg_saga; $contents $start; ROLLBACK", 'e');
sql("BEGIN; CREATE EXTENSION pg_saga; $contents $start; PREPARE TRANSACTION 'e'", 'e');
sql(q(ROLLBACK PREPARED 'e'), 'e');
works('d', 'CREATE EXTENSION elsewhere, aborted');
workers_gone($node, 'e');
pass('CREATE EXTENSION, aborted: nobody stays');
foreach my $end ('COMMIT', q(PREPARE TRANSACTION 'e'; COMMIT PREPARED 'e'))
{
	sql("BEGIN; CREATE EXTENSION pg_saga; $contents $start; $end", 'e');
	ok(poll_until($node, 'SELECT count(*) FROM public.done WHERE x = 0', '1', 'e'), "CREATE EXTENSION, work with it, $end: it is done");
	works('e', "CREATE EXTENSION, $end");
	sql('DROP EXTENSION pg_saga CASCADE; DROP TABLE public.done, public.gate; DROP FUNCTION public.work', 'e');
	workers_gone($node, 'e');
	pass('DROP EXTENSION, idle: all leave');
}
fill('e');
works('e', 'created again');

# What waits for a batch: given up, and rolled back.
sub try { my ($db, $sql) = @_; return ($node->psql($db, $sql))[2] }

idle_and_busy('e', 'DROP EXTENSION, aborted',
	sub { try('e', q(SET statement_timeout = '300ms'; BEGIN; DROP EXTENSION pg_saga CASCADE; ROLLBACK)); return });
idle_and_busy('e', 'DROP EXTENSION, rolled back prepared', sub {
	my ($how) = @_;
	return if $how eq 'busy';		# it would wait for the batch
	sql(q(BEGIN; DROP EXTENSION pg_saga CASCADE; PREPARE TRANSACTION 'e'), 'e');
	sql(q(ROLLBACK PREPARED 'e'), 'e');
	return;
});
{
	my $number = make_busy('e');
	my $dropper = $node->background_psql('e');
	$dropper->query_until(qr/begun/, "\\echo begun\nDROP EXTENSION pg_saga CASCADE;\n\\echo dropped\n");
	poll_until($node, q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DROP EXTENSION%' AND wait_event_type = 'Lock'}, '1');
	sql('UPDATE public.gate SET open = true', 'e');
	$dropper->query_until(qr/dropped/, "\n");
	$dropper->quit;
	is(sql("SELECT count(*) FROM public.done WHERE x = $number", 'e'), '1', 'DROP EXTENSION, busy: after the batch');
	workers_gone($node, 'e');
	pass('and all leave, also who has a request in flight');
	append_to_file($open, '');
}
my $oid = oid_of('e');
sql('DROP DATABASE e');
is_gone('DROP DATABASE without the extension', $oid);

# ---------- databases ----------

my $space = "$dir/space";
mkdir($space) or die "$space: $!";
sql("CREATE TABLESPACE space LOCATION '$space'");

# Somebody is there who does not leave: the command is given up.
foreach my $sql ('DROP DATABASE d', 'ALTER DATABASE d RENAME TO d2', 'ALTER DATABASE d SET TABLESPACE space', 'CREATE DATABASE d2 TEMPLATE d')
{
	idle_and_busy('d', "$sql, aborted", sub {
		my $guest = $node->background_psql('d');
		like(try('postgres', "SET statement_timeout = '700ms'; $sql"), qr/canceling statement|accessed by other users/, "$sql: refused");
		$guest->quit;
		return;
	});
}
idle_and_busy('d', 'the session of the command is ended', sub {
	my $guest = $node->background_psql('d');
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	$session->query_until(qr/begun/, "\\echo begun\nDROP DATABASE d;\n");
	poll_until($node, "SELECT count(*) FROM pg_stat_activity WHERE datname = 'd' AND backend_type LIKE 'pg_saga%'", '0');
	sql("SELECT pg_terminate_backend($pid)");
	wait_for_exit($pid);
	$guest->quit;
	eval { $session->quit };
	return;
});

# A publisher that is gone later than the next one came: that one looks for what it had in flight, however much else it
# has to do.
{
	my $in_flight = make_busy('d');
	my ($late) = pids($node, 'd', 'publisher');
	kill('STOP', $late) or die "could not stop $late: $!";
	like(try('postgres', q(SET statement_timeout = '1s'; DROP DATABASE d)), qr/canceling statement/, 'a command that a process is in the way of is given up');
	my $before = -s $hung;
	works('d', 'the next publisher is there');
	kill('CONT', $late) or die "could not let $late go on: $!";
	wait_for_exit($late);
	ok(wait_until(sub { sql(q(SELECT saga.publish_to('app.ok', '{}')), 'd'); return -s $hung > $before }), 'it sends again what the other one had in flight');
	ends('d', 'a publisher that went late', $in_flight);
}

# A client that connects to a database that somebody is changing; it waits for him.
sub comes
{
	my ($db) = @_;
	my ($out, $err) = ('', '');
	my $client = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr($db), '-c', 'SELECT 1' ], '>', \$out, '2>', \$err);

	poll_until($node, "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND locktype = 'object' AND classid = 'pg_database'::regclass");
	return $client;
}

idle_and_busy('d', 'ALTER DATABASE RENAME, rolled back', sub {
	my $session = $node->background_psql('postgres');
	$session->query_safe('BEGIN; ALTER DATABASE d RENAME TO d2');
	my $comer = comes('d');
	$session->query_safe('ROLLBACK');
	ok($comer->finish, 'whoever came meanwhile has waited, and is let in');
	$session->quit;
	return;
});

idle_and_busy('d', 'ALTER DATABASE SET TABLESPACE', sub {
	my ($how) = @_;
	sql('ALTER DATABASE d SET TABLESPACE ' . ($how eq 'idle' ? 'space' : 'pg_default'));
	return;
});
idle_and_busy('d', 'ALTER DATABASE RENAME, commits later', sub {
	my ($how) = @_;
	my ($old, $new) = $how eq 'idle' ? ('d', 'd2') : ('d2', 'd');
	my $session = $node->background_psql('postgres');
	$session->query_safe("BEGIN; ALTER DATABASE $old RENAME TO $new");
	my $comer = comes($old);
	$session->query_safe('COMMIT');
	ok(!$comer->finish, 'whoever came meanwhile finds no such database');
	$session->quit;
	return $new;
});
my $in_copy;
idle_and_busy('d', 'CREATE DATABASE TEMPLATE', sub {
	my ($how, $number) = @_;
	$in_copy = $number;
	sql("CREATE DATABASE c_$how TEMPLATE d");
	return;
});
foreach my $how ('idle', 'busy')
{
	# what was under way in the original is under way in the copy, too
	ends('c_busy', 'in the copy', $in_copy) if $how eq 'busy';
	works("c_$how", "a copy of who is $how");
	make_busy("c_$how") if $how eq 'busy';
	$oid = oid_of("c_$how");
	sql("DROP DATABASE c_$how");
	is_gone("DROP DATABASE, $how", $oid);
	append_to_file($open, '');
}

# ---------- a standby ----------

sql('DROP TABLESPACE space');
$node->backup('base');
my $primary = $node;
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
my $number = make_busy('d');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
is($standby->safe_psql('d', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pg_saga%'}), '0', 'nobody runs on a standby');
$primary->stop('immediate');
$node = $standby;
$node->promote;
ends('d', 'promoted, busy', $number);
works('d', 'promoted');
$node->stop('fast');
done_testing();
