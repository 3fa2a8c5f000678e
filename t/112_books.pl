# The record agrees with the books: executions that end in every way, with Maps and executions that they start, at a
# server that is late, drops requests and answers, and refuses; then what each execution says is compared with what the
# server did (t/lib/Saga/Books.pm). With every third seed processes are killed in the meantime, or the server; with some,
# the database goes on from a copy that was made in the middle. A seed has about a quarter of the endings.
#
#	SAGA_BOOKS_SEEDS=100 SAGA_BOOKS_FROM=1 t/check tap t/112_books.pl		(many: t/check-books)
#
# SAGA_BOOKS_DEADLINE=86400: how long it is found out. SAGA_BOOKS_DRAIN=1: saga.drain() in two sessions, without workers.
# SAGA_BOOKS_CRASHES=N: N crashes in each, or none. SAGA_BOOKS_ENDINGS=regexp: those endings, in each seed.
# SAGA_BOOKS_RESTORE=dump|template|backup|none.
use strict;
use warnings;

use File::Temp;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use Saga::Books;
use Saga::Test;

my $json = JSON::PP->new->canonical;
my $from = $ENV{SAGA_BOOKS_FROM} // 1;
my $seeds = $ENV{SAGA_BOOKS_SEEDS} // 3;
my $drained = $ENV{SAGA_BOOKS_DRAIN};
my $each = 2;	# executions of each ending
my $db = 'postgres';
my $node = new_saga_node('main', { init => [ allows_streaming => 1 ] }, 'pg_saga.workers = ' . ($drained ? 0 : 2), 'pg_saga.publishers = 2',
	'pg_saga.max_queues = 20000', 'restart_after_crash = on', 'pg_saga.crash_limit = 2');
my $server = start_accounting();
my $dir = File::Temp->newdir('saga-books-XXXXXX', TMPDIR => 1);

sub sql { return $node->safe_psql($db, $_[0]) }

sub set_up
{
	create_extensions($node, $db);
	sql(<<'SQL');
CREATE FUNCTION refuse(jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN PERFORM saga.fail('NotWanted', 'on purpose'); RETURN NULL; END $$;
CREATE TABLE taken_back (number text);
CREATE FUNCTION take_back(jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO taken_back VALUES ($1 #>> '{input,Payload,number}') RETURNING '{}'::jsonb $$;
-- what a Map has booked, or an execution that was started
CREATE FUNCTION take_all_back(jsonb) RETURNS jsonb LANGUAGE sql AS $$
	INSERT INTO taken_back SELECT x ->> 'number' FROM jsonb_array_elements(CASE jsonb_typeof($1 -> 'output') WHEN 'array' THEN $1 -> 'output'
		ELSE jsonb_build_array($1 #> '{output,Output}') END) x WHERE x ? 'booked' AND NOT x ? 'error';
	SELECT '{}'::jsonb $$;
SQL
	return;
}

set_up();
my @drains = map { IPC::Run::start([ 'sh', '-c', 'until [ -e "$1" ]; do psql -X -q -d "$2" -c "CALL saga.drain()"; sleep 0.1; done',
	'sh', "$dir/stop", $node->connstr('postgres') ]) } 1 .. ($drained ? 2 : 0);

# ---------- what happens in the meantime ----------

# Executions of some workflows that have not ended are stopped, or some of them. With an old snapshot a worker does it.
sub stop
{
	my @statements;

	foreach (@_)
	{
		my ($workflow, $ending) = @$_;
		my $begin = 'BEGIN ISOLATION LEVEL ' . (chance(0.3) ? 'REPEATABLE READ' : 'READ COMMITTED');
		my $some = chance(0.5) ? '' : 'AND random() < 0.5';
		my $which = $ending->{stop_items} ? 'started_by IS NOT NULL' : 'started_by IS NULL';
		push @statements, qq($begin; DO \$\$ DECLARE e record; BEGIN FOR e IN SELECT execution_id FROM saga.executions WHERE workflow IN ('$workflow', '$workflow-child')
			AND $which AND status IN ('RUNNING', 'COMPENSATING') $some LOOP BEGIN PERFORM saga.stop_execution(e.execution_id, compensate => $ending->{stop});
			EXCEPTION WHEN object_not_in_prerequisite_state OR undefined_object THEN NULL; END; END LOOP; END \$\$; COMMIT);
	}
	sql(join(";\n", @statements)) if @statements;
	return;
}

# One of what the engine consists of goes, or all of it.
sub crash
{
	my $what = (qw(worker publisher worker publisher server))[ between(0, 4) ];
	my $signal = chance(0.3) ? 'TERM' : 'KILL';

	if ($what eq 'server')
	{
		$node->stop($signal eq 'KILL' ? 'immediate' : 'fast');
		$node->start;
		return "$what $signal";
	}
	my $pid = sql("SELECT pid FROM saga.workers WHERE type = '$what' AND pid IS NOT NULL ORDER BY random() LIMIT 1");
	return "no $what" if $pid eq '' || !kill($signal, $pid);
	wait_for_exit($pid);
	poll_until($node, 'SELECT true', 't', $db);
	return "$what $signal";
}

sub serve
{
	my ($databases) = @_;
	$node->append_conf('postgresql.conf', "pg_saga.databases = '$databases'");
	return;
}

# A copy of the database is made while requests are in flight. The original goes on for a while; then it is gone, and
# the copy goes on.
my %restores = (
	dump => sub {
		$node->run_log([ 'pg_dump', '-Fc', '-h', $node->host, '-p', $node->port, '-f', "$dir/dump", $db ]);
		usleep(between(100, 3000) * 1000);
		$node->safe_psql('postgres', "DROP DATABASE $db WITH (FORCE)");
		$node->safe_psql('postgres', "CREATE DATABASE $db");
		$node->command_ok([ 'pg_restore', '--single-transaction', '--exit-on-error', '-h', $node->host, '-p', $node->port, '-d', $db, "$dir/dump" ], 'restored');
	},
	template => sub {
		# no process may be in it
		$node->stop(chance(0.5) ? 'immediate' : 'fast');
		serve('postgres');
		$node->start;
		$node->safe_psql('postgres', "CREATE DATABASE copy TEMPLATE $db");
		serve("postgres,$db");
		$node->reload;
		usleep(between(500, 3000) * 1000);
		$node->safe_psql('postgres', "DROP DATABASE $db WITH (FORCE)");
		$node->safe_psql('postgres', "ALTER DATABASE copy RENAME TO $db");
		serve('');
		$node->reload;
	},
	backup => sub {
		$node->backup("of_$db");
		usleep(between(100, 3000) * 1000);
		$node->stop('immediate');
		rename($node->data_dir, $node->data_dir . ".$db") or die "$!";
		PostgreSQL::Test::RecursiveCopy::copypath($node->backup_dir . "/of_$db", $node->data_dir);
		chmod(0700, $node->data_dir) or die "$!";
		$node->start;
	});

# How the database of this seed comes back; undef: it stays. Where there is neither look-up nor key nothing helps but a person.
sub restore_of
{
	my ($seed, $kind) = @_;
	my $how = $ENV{SAGA_BOOKS_RESTORE};
	return $how eq 'none' ? undef : $how if defined $how;
	return $seed % 5 == 3 && $kind ne 'blind' && !$drained ? (qw(dump template backup))[ int($seed / 5) % 3 ] : undef;
}

# Those that this seed has. What is not come to again after a restore nobody has on record; and a child that begins anew
# has another key.
sub chosen
{
	my ($name, $kind, $restore) = @_;
	my %all = endings($name);
	my %chosen;

	foreach my $ending (sort keys %all)
	{
		my $chance = chance($restore ? 0.6 : 0.25);
		next unless defined $ENV{SAGA_BOOKS_ENDINGS} ? $ending =~ /$ENV{SAGA_BOOKS_ENDINGS}/ : $chance;
		next if $restore && !$all{$ending}{restored};
		# two bookings of one number, which the look-up cannot tell apart, of a service that only says that it knows keys
		next if $kind eq 'both' && $all{$ending}{times};
		next if $restore && $kind eq 'key' && $ending =~ /^(child|items|map-children)/;
		$chosen{$ending} = $all{$ending};
	}
	return %chosen;
}

# ---------- a run ----------

# The statements that make the workflows of an ending, and its executions.
sub beginning
{
	my ($name, $ending, $of) = @_;
	my @statements = map { "SELECT saga.create_workflow('$name-$ending$_->[0]', \$d\$" . definition($name, $_->[1], $_->[2]) . '$d$)' }
	  grep { $_->[1] } [ '-grandchild', $of->{grandchild} ], [ '-child', $of->{child} ], [ '', $of->{states}, $of->{top} ];

	foreach my $n (1 .. $each)
	{
		my @documents = map { document("$ending-$n" . ($of->{items} ? ".$_" : ''), $_ == 2) } 1 .. ($of->{items} // 1);
		my $input = !$of->{items} ? $documents[0] : $ending =~ /inside/ ? { groups => [ map { { items => [$_] } } @documents ] } : { items => \@documents };
		push @statements, "SELECT saga.start_execution('$name-$ending', \$d\$" . $json->encode($input) . '$d$)';
	}
	return @statements;
}

sub run
{
	my ($seed) = @_;
	srand($seed);
	my $crashes = $ENV{SAGA_BOOKS_CRASHES} // ($seed % 3 == 0 ? 3 : 0);
	my $kind = (qw(lookup key blind both))[ $seed % 4 ];
	my $restore = restore_of($seed, $kind);
	my $name = "run$seed";
	my $faults = faults($kind);

	$server->reset($seed);
	if ($restore)
	{
		# what the original undoes after the copy was made the copy cannot know
		$server->faults({ %$faults, rules => [ { method => 'POST', path => '/void$/', action => 'status', status => 503, probability => 1 }, @{ $faults->{rules} } ] });
		$node->safe_psql('postgres', "CREATE DATABASE $name");
		$db = $name;
		set_up();
	}
	else
	{
		$server->faults($faults);
		sql('TRUNCATE taken_back');
	}
	my $settings = settings($server, $kind);
	sql("SELECT saga.create_destination('$name', 'http', \$s\$$settings\$s\$)");
	my %endings = chosen($name, $kind, $restore);
	sql(join(";\n", map { beginning($name, $_, $endings{$_}) } sort keys %endings));
	my @stops = grep { $endings{$_}{stop} } sort keys %endings;
	foreach my $round (1 .. 3)
	{
		usleep(between(50, 900) * 1000);
		note(crash()) if $crashes-- > 0;
		stop(map { [ "$name-$_", $endings{$_} ] } grep { $round == 1 || chance(0.5) } @stops);
	}
	if ($restore)
	{
		note("restore: $restore");
		$restores{$restore}->();
		$server->faults($faults);
	}
	while ($crashes-- > 0)
	{
		usleep(between(50, 2000) * 1000);
		note(crash());
	}
	# what has not ended is named by the reckoning; a late request that nobody waits for any more may be at work still
	my $live = "SELECT (SELECT count(*) FROM saga.executions WHERE status IN ('RUNNING', 'COMPENSATING')) +
		(SELECT count(*) FROM saga.children WHERE phase NOT IN ('d', 'x'))";
	my $ended = eval { poll_until($node, $live, '0', $db) } && wait_until(sub { !grep { !defined $_->{ended_at} } @{ $server->audit->{requests} } });
	my @wrong = look($name, \%endings);
	push @wrong, 'not all has come to its end: ' . sql("SELECT coalesce(jsonb_agg(to_jsonb(c)), '[]') FROM saga.children c WHERE phase NOT IN ('d', 'x')") unless $ended;
	if ($restore)
	{
		$node->safe_psql('postgres', "DROP DATABASE $db WITH (FORCE)");
		$db = 'postgres';
	}
	return ($kind . ($restore ? ", $restore" : ''), @wrong);
}

# What server and outbox have of a number, to find out what went wrong.
sub told
{
	my ($name, $number, $audit) = @_;
	my $theirs = "destination_id = (SELECT d.destination_id FROM saga.destination d WHERE d.name = '$name') AND request::text LIKE '%\"$number\"%'";
	return (map({ "  server: " . $json->encode($_) } grep { $json->encode($_) =~ /"\Q$number\E"/ } @{ $audit->{requests} }),
		map { "  $_" } map { split(/\n/, sql($_)) } "SELECT to_jsonb(o) - 'request' FROM saga.outbox o WHERE $theirs",
			"SELECT to_jsonb(a) FROM saga.outbox_attempt a WHERE outbox_id IN (SELECT outbox_id FROM saga.outbox WHERE $theirs) ORDER BY started_at",
			"SELECT to_jsonb(e) - 'input' FROM saga.executions e WHERE workflow LIKE '$name-%' AND input::text LIKE '%\"$number\"%' ORDER BY started_at");
}

# What all executions of a run have on record, for the reckoning.
sub look
{
	my ($name, $endings) = @_;
	my $audit = $server->audit;
	my $rows = $json->decode(sql("SELECT coalesce(jsonb_agg(jsonb_build_object('id', execution_id, 'workflow', workflow, 'status', status, 'error', error,
		'ending', regexp_replace(substr(workflow, length('$name-') + 1), '-(grand)?child\$', ''), 'input', input, 'output', output, 'started_by', started_by,
		'undoes', parent_id, 'listed', not_compensated, 'undone', compensated, 'waiting_for', waiting_for, 'letter', d.reason)), '[]')
		FROM saga.executions e LEFT JOIN saga.dead_letters d ON d.message_id = e.execution_id WHERE workflow LIKE '$name-%'"));
	my %numbers = map { split(/\|/) } split(/\n/, sql(q(SELECT outbox_id, (regexp_match(request::text, '"number": "([^"]*)"'))[1] FROM saga.outbox)));
	my %taken_back = map { split(/\|/) } split(/\n/, sql('SELECT number, count(*) FROM taken_back GROUP BY 1'));
	my @wrong = reckon(rows => $rows, endings => $endings, books => { map { $_->{number} => $_ } @{ $audit->{numbers} } },
		taken_back => \%taken_back, numbers => \%numbers);
	my $begun = grep { !$_->{started_by} && !$_->{undoes} && $_->{workflow} !~ /child$/ } @$rows;

	return (map({ my ($text, $number) = @$_; ($text, defined $number ? told($name, $number, $audit) : ()) } @wrong),
		$begun != $each * keys %$endings ? "executions: $begun" : ());
}

foreach my $seed ($from .. $from + $seeds - 1)
{
	my $began = time;
	my ($kind, @wrong) = run($seed);
	is(join("\n", @wrong), '', "seed $seed, $kind") or diag("to run it alone: SAGA_BOOKS_FROM=$seed SAGA_BOOKS_SEEDS=1");
	note(sprintf('%.1f s', time - $began));
}
append_to_file("$dir/stop", '');
$_->finish foreach @drains;
$node->stop;
done_testing();
