# Fuzz::Server: the database of fuzz/functions, its sessions, and what the server's log says of them.
package Fuzz::Server;

use strict;
use warnings;
use utf8;

use IPC::Open3;
use IO::Select;
use Time::HiRes qw(time usleep);

my $DATABASE = 'saga_fuzz';
my @ROLES = qw(fuzz_mallory fuzz_alice fuzz_team fuzz_other);
# what saga.history_events says of bytes that are no history
my $CORRUPT = 'invalid execution history';

sub new
{
	my ($class, %opt) = @_;
	my $self = bless { log => $opt{log}, log_at => 0, wait => $opt{wait} // 60 }, $class;
	$self->{log_at} = -s $opt{log} // die "there is no log $opt{log}\n" if defined $opt{log};
	return $self;
}

# Runs statements and returns what they gave. Options: user, database, may_fail.
sub sql
{
	my ($self, $sql, %opt) = @_;
	my @command = ('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $opt{database} // $DATABASE, $opt{user} ? ('-U', $opt{user}) : ());
	my $pid = open3(my $in, my $out, undef, @command);
	binmode $_, ':utf8' foreach $in, $out;
	print $in $sql;
	close $in;
	my $text = do { local $/; <$out> } // '';
	waitpid $pid, 0;
	die "psql: $text\n$sql\n" if $? && !$opt{may_fail};
	chomp $text;
	return $text;
}

sub set_up
{
	my ($self) = @_;
	$self->tear_down;
	$self->sql(join('', "CREATE DATABASE $DATABASE TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';\n",
			map { "CREATE ROLE $_ LOGIN;\n" } @ROLES), database => 'postgres');
	$self->sql(<<'SQL');
CREATE EXTENSION pg_invoice CASCADE;
CREATE SCHEMA fuzz AUTHORIZATION fuzz_mallory;
GRANT USAGE ON SCHEMA fuzz TO PUBLIC;
GRANT fuzz_team TO fuzz_mallory;
GRANT USAGE ON SCHEMA saga TO fuzz_mallory, fuzz_alice, fuzz_team;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA saga, public TO fuzz_mallory, fuzz_alice, fuzz_team;
DO $$
DECLARE
	view regclass;
BEGIN
	FOR view IN SELECT oid FROM pg_class WHERE relkind = 'v' AND relnamespace IN ('saga'::regnamespace, 'public'::regnamespace)
		AND relname NOT LIKE 'all\_%'
	LOOP
		EXECUTE format('GRANT SELECT ON %s TO fuzz_mallory, fuzz_alice, fuzz_team', view);
	END LOOP;
END $$;
SELECT invoice_setup('fuzz_alice');
SELECT invoice_set_approval_limit('default', 100);
SELECT invoice_submit(('{"number": "F-' || i || '", "issue_date": "2025-03-01", "due_date": "2025-03-31", "type_code": "380", "currency": "EUR",
	"seller": {"name": "Lindqvist AB", "vat_id": "SE556677889901", "address": {"country": "SE"}},
	"buyer": {"name": "Weber GmbH", "address": {"country": "DE"}},
	"lines": [{"id": "1", "name": "Oak table", "quantity": "' || i || '", "unit_code": "C62", "unit_price": "49.90", "vat_category": "S", "vat_rate": "25"}]}')::json)
	FROM generate_series(1, 6) i;
SQL
	# what is everybody's own: the same in two roles, but for the prefix
	foreach my $role ('mallory', 'alice')
	{
		my $prefix = $role eq 'mallory' ? 'fuzz' : 'alice';
		my $schema = $role eq 'mallory' ? 'fuzz' : 'fuzz_alice';
		$self->sql('CREATE SCHEMA fuzz_alice AUTHORIZATION fuzz_alice') if $role eq 'alice';
		$self->sql(<<"SQL", user => "fuzz_$role");
CREATE TABLE $schema.token (token text, execution uuid);
CREATE FUNCTION $schema.step(i jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT i';
CREATE FUNCTION $schema.hold(i jsonb, c jsonb) RETURNS jsonb LANGUAGE sql AS
	\$\$ INSERT INTO $schema.token VALUES (i ->> 'token', (c #>> '{Execution,Id}')::uuid) RETURNING 'null'::jsonb \$\$;
SELECT saga.create_queue('$prefix-dlq');
SELECT saga.create_queue('$prefix-q', '1 s', 2);
SELECT saga.create_queue('$prefix-q2', '1 s', 1, '$prefix-dlq');
SELECT saga.set_secret('$prefix-key', 'Xk-0815-secret');
SELECT saga.create_workflow('$prefix-pass', '{"StartAt": "P", "States": {"P": {"Type": "Pass", "Parameters": {"id.\$": "States.UUID()"}, "ResultPath": "\$.p", "Next": "T"},
	"T": {"Type": "Task", "Resource": "sql:$schema.step", "Compensate": "U", "End": true}, "U": {"Type": "Task", "Resource": "sql:$schema.step"}}}');
SELECT saga.create_workflow('$prefix-fail', '{"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": "sql:$schema.step", "Compensate": "U", "Next": "F"},
	"F": {"Type": "Fail", "Error": "Fuzz", "Cause": "c"}, "U": {"Type": "Task", "Resource": "sql:$schema.step"}}}');
SELECT saga.create_workflow('$prefix-hold', '{"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": "sql:$schema.hold.waitForTaskToken",
	"Parameters": {"token.\$": "\$\$.Task.Token"}, "HeartbeatSeconds": 86400, "End": true}}}');
SELECT saga.create_workflow('$prefix-wait', '{"StartAt": "B", "States": {"B": {"Type": "Parallel", "Branches": [
	{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 86400, "End": true}}}, {"StartAt": "V", "States": {"V": {"Type": "Wait", "Seconds": 3600, "End": true}}}], "End": true}}}');
SELECT saga.start_execution('$prefix-pass', jsonb_build_object('n', i, 'text', repeat('é', i * 100))) FROM generate_series(1, 3) i;
SELECT saga.start_execution(w, '{"n": [1, {"a": null}]}') FROM unnest(ARRAY['$prefix-fail', '$prefix-fail', '$prefix-hold', '$prefix-hold', '$prefix-hold', '$prefix-wait']) w;
SELECT saga.start_execution('$prefix-pass', '{}', 'named');
SELECT saga.send(q, jsonb_build_object('n', i)) FROM unnest(ARRAY['$prefix-q', '$prefix-q2', '$prefix-dlq']) q, generate_series(1, 20) i;
SELECT count(*) FROM saga.receive('$prefix-q', 5);
CALL saga.drain();
SQL
		# with an address of this machine, where nobody listens: not for everybody to make
		$self->sql(<<"SQL");
SELECT saga.create_destination('$prefix-d', 'http', '{"url": "http://127.0.0.1:1/x", "allow_private": true, "retry": {"max_attempts": 2, "base_ms": 10}, "compensate": {"url": "http://127.0.0.1:1/undo"}}');
SELECT saga.create_destination('$prefix-sns', 'sns', '{"topic_arn": "arn:aws:sns:eu-central-1:123456789012:t", "endpoint_url": "http://127.0.0.1:1", "allow_private": true}');
SELECT saga.create_destination('$prefix-sqs', 'sqs', '{"queue_url": "http://127.0.0.1:1/1/q", "region": "eu-central-1", "endpoint_url": "http://127.0.0.1:1", "allow_private": true}');
SELECT saga.create_source('$prefix-s', 'sqs', '{"queue_url": "http://127.0.0.1:1/1/q", "region": "eu-central-1", "endpoint_url": "http://127.0.0.1:1", "allow_private": true}', q) FROM (SELECT 'fuzz_$role.$prefix-q') q (q);
SELECT saga.set_destination_owner('$prefix-d', 'fuzz_$role'), saga.set_destination_owner('$prefix-sns', 'fuzz_$role'),
	saga.set_destination_owner('$prefix-sqs', 'fuzz_$role'), saga.set_source_owner('$prefix-s', 'fuzz_$role');
SQL
		$self->sql("SELECT saga.publish_to('$prefix-d', '{\"a\": 1}', 'k') FROM generate_series(1, 3)", user => "fuzz_$role");
	}
	# workers may have taken a part of it
	my $end = time + 300;
	until ($self->sql('SELECT (SELECT count(*) >= 12 FROM saga.execution) AND (SELECT count(*) = 3 FROM fuzz.token) AND (SELECT count(*) = 3 FROM fuzz_alice.token)') eq 't')
	{
		die "the executions of the set-up did not end\n" if time > $end;
		$self->sql('CALL saga.drain()', user => $_, may_fail => 1) foreach 'fuzz_mallory', 'fuzz_alice';
		usleep(100_000);
	}
	return;
}

# Drops what a run made; a transaction that it left prepared would be in the way.
sub tear_down
{
	my ($self) = @_;
	$self->sql("ROLLBACK PREPARED 'saga_fuzz'", may_fail => 1);
	$self->sql("DROP DATABASE IF EXISTS $DATABASE WITH (FORCE);\n" . join('', map { "DROP ROLE IF EXISTS $_;\n" } @ROLES), database => 'postgres');
	return;
}

# All functions and procedures that are members of the two extensions.
sub routines
{
	my ($self) = @_;
	my $rows = $self->sql(<<'SQL');
SELECT concat_ws(E'\t', n.nspname, p.proname, p.prokind, p.proretset, p.prorettype::regtype, p.pronargdefaults, p.oid::regprocedure,
	quote_ident(n.nspname) || '.' || quote_ident(p.proname),
	(SELECT coalesce(string_agg(t::regtype::text || ' ' || coalesce(nullif((p.proargnames)[i], ''), '?'), '|' ORDER BY i), '') FROM unnest(p.proargtypes) WITH ORDINALITY a (t, i)))
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
	JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE e.extname IN ('pg_saga', 'pg_invoice')
ORDER BY p.oid::regprocedure::text COLLATE "C"
SQL
	my @routines;
	foreach (split /\n/, $rows)
	{
		my %r;
		(@r{qw(schema name kind set returns defaults identity sql_name)}, my $arguments) = split /\t/, $_, 9;
		$r{set} = $r{set} eq 't' || $r{set} eq 'true';
		# the name is the last word; a type may have several
		$r{arguments} = [ map { /^(.*) (\S+)$/ ? { type => $1, name => $2 } : () } split /\|/, $arguments ];
		push @routines, \%r;
	}
	return @routines;
}

# Internal errors and ends of processes in what the log has got since the last look.
sub log_findings
{
	my ($self) = @_;
	return () unless defined $self->{log};
	open my $fh, '<', $self->{log} or die "$self->{log}: $!\n";
	seek $fh, $self->{log_at}, 0;
	my @found;
	while (my $line = <$fh>)
	{
		push @found, "in the log: $1" if $line =~ /((?:terminated by signal|PANIC:|TRAP:|(?:ERROR|FATAL):  XX\d{3}:(?! $CORRUPT)).{0,300})/;
	}
	$self->{log_at} = tell $fh;
	return @found;
}

# After a crash the server needs some seconds.
sub wait_until_up
{
	my ($self) = @_;
	my $end = time + 300;
	while (time < $end)
	{
		return 1 if $self->sql('SELECT 1', may_fail => 1) eq '1';
		usleep(200_000);
	}
	return 0;
}

sub session
{
	my ($self, $user, @settings) = @_;
	return Fuzz::Session->new($self, $user, @settings);
}

# One psql as an ordinary role, driven statement by statement.
package Fuzz::Session;

use Time::HiRes qw(time usleep);

sub new
{
	my ($class, $server, $user, @settings) = @_;
	my $self = bless { server => $server, n => 0, buffer => '' }, $class;
	$self->{child} = IPC::Open3::open3($self->{in}, $self->{out}, undef,
		'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-v', 'SHOW_CONTEXT=never', '-o', '/dev/null', '-d', $DATABASE, '-U', $user);
	binmode $self->{in}, ':utf8';
	$self->{in}->autoflush(1);
	$self->{select} = IO::Select->new($self->{out});
	my $started = $self->run("SELECT pg_backend_pid() AS pid \\gset\n\\echo pid :pid");
	($self->{pid}) = $started->{text} =~ /^pid (\d+)$/m or die "no session: $started->{text}\n";
	$self->run("$_;") foreach "SET client_encoding = 'UTF8'", @settings;
	return $self;
}

# Runs statements; returns their SQLSTATEs, the first error, the most memory that the session ever
# had in MB, and why it has ended if it has.
sub run
{
	my ($self, $sql) = @_;
	my $mark = 'done-' . ++$self->{n} . '-';
	my $wait = $self->{server}{wait};
	my $end = time + $wait;
	my %answer = (states => []);

	local $SIG{PIPE} = 'IGNORE';
	print { $self->{in} } "$sql\n\\echo $mark\n";
	while ($self->{buffer} !~ /^\Q$mark\E$/m)
	{
		if (time > $end)
		{
			$answer{ended} = "no answer in $wait s";
			$self->{server}->sql("SELECT pg_terminate_backend($self->{pid})");
			last;
		}
		next unless $self->{select}->can_read(1);
		if (!sysread $self->{out}, $self->{buffer}, 65536, length $self->{buffer})
		{
			$answer{ended} = 'the session has ended: ' . substr($self->{buffer}, -300);
			last;
		}
		if ($self->{buffer} =~ /server closed the connection unexpectedly|connection to server was lost/)
		{
			$answer{ended} = 'the connection was lost';
			last;
		}
	}
	$answer{states} = [ $self->{buffer} =~ /^(?:psql:\S+ )?(?:ERROR|FATAL|PANIC):  (\w{5}):/mg ];
	$answer{states} = [ map { $_ eq 'XX001' && $self->{buffer} =~ /XX001: $CORRUPT/ ? 'corrupt' : $_ } @{ $answer{states} } ];
	$answer{text} = substr($self->{buffer}, 0, 1000);
	$self->{buffer} = '';
	$answer{memory} = $self->memory if $self->{pid};
	return \%answer;
}

sub memory
{
	my ($self) = @_;
	open my $fh, '<', "/proc/$self->{pid}/status" or return undef;
	while (my $line = <$fh>)
	{
		return int($1 / 1024) if $line =~ /^VmHWM:\s+(\d+) kB/;
	}
	return undef;
}

sub end
{
	my ($self) = @_;
	local $SIG{PIPE} = 'IGNORE';
	close $self->{in};
	close $self->{out};
	waitpid $self->{child}, 0;
	return;
}

1;
