# Saga::Test: what the TAP tests share. A cluster with pg_saga preloaded, polling, and the local
# servers (accounting and payments, SNS and SQS), which end with the test.
#
#	use Saga::Test;
#	my $node = new_saga_node('main', "pg_saga.workers = 2");
#	create_extensions($node);
#	my $acc = start_accounting(faults => [ { ... } ]);
#	poll_until($node, 'SELECT count(*) FROM ...', 10);
#
# By name only, as many a test has one of its own that is called so: sql, as, error, all_sent,
# wait_until_up. They talk to the node that was made first, unless they are given another one.
#
#	use Saga::Test qw(:DEFAULT sql);
#	is(sql('SELECT 1'), '1', 'the server answers');
package Saga::Test;

use strict;
use warnings;

use Exporter 'import';
use Carp;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use Saga::Server;
use Saga::Session;

our @EXPORT = qw(new_saga_node create_extensions poll_until wait_until wait_for_log kill_process
  start_accounting start_fauxqs shared_dir wait_for_exit);
our @EXPORT_OK = qw(sql as error all_sent wait_until_up);

# What fails is said of the line of the test.
our @CARP_NOT = ('PostgreSQL::Test::Cluster');

# The one that new_saga_node made first.
my $first;

# psql() of a node starts no psql where a session of this process can do the same (Saga::Session). Where it does start one: a
# psql that finds no server to talk to ends before it has read what it is sent, and IPC::Run dies of that if it comes a
# moment too late. It is the same as what it says otherwise: no connection.
{
	no warnings 'redefine';
	my $psql = \&PostgreSQL::Test::Cluster::psql;
	*PostgreSQL::Test::Cluster::psql = sub {
		my ($node, $dbname, $sql, %params) = @_;
		my $list = wantarray;
		my @result;
		my $plain = plain_call($sql, \%params);

		if ($plain)
		{
			@result = in_session($node, $dbname, $plain, \%params);
			return $list ? @result : $result[0];
		}
		return $list ? @result : $result[0] if eval { @result = $list ? $psql->(@_) : scalar($psql->(@_)); 1 };
		die $@ unless $@ =~ /^ack Broken pipe/;
		croak "no connection: $@" if $params{on_error_die};
		return $list ? (2, '', $@) : 2;
	};
	*PostgreSQL::Test::Cluster::poll_query_until = sub {
		my ($node, $dbname, $query, $expected) = @_;
		return 1 if eval { poll_until($node, $query // 'SELECT true', $expected, $dbname) };
		diag($@);
		return 0;
	};
}

# The first cluster of a test is a copy of one that t/check has made for all of them, if nothing else is asked for. Others
# are made anew, as no two servers have the same identifier.
{
	no warnings 'redefine';
	my $run = \&PostgreSQL::Test::Utils::system_or_bail;
	my $template = $ENV{SAGA_INITDB};
	*PostgreSQL::Test::Utils::system_or_bail = sub {
		my @command = @_;

		if (defined $template && @command == 6 && join(' ', @command[ 0, 1, 3 .. 5 ]) eq 'initdb -D -A trust -N')
		{
			my $from = $template;
			undef $template;
			return $run->('cp', '-a', "$from/.", $command[2]);
		}
		return $run->(@command);
	};
}

# The statements of a call of psql() that needs no psql, and the role it is for; nothing for others.
sub plain_call
{
	my ($sql, $params) = @_;
	my @extra = @{ $params->{extra_params} // [] };
	my $role = @extra == 2 && $extra[0] eq '-U' ? $extra[1] : '';

	return if @extra && $role eq '' || grep { !/^(?:stdout|stderr|on_error_stop|on_error_die|extra_params)$/ } keys %$params;
	my $statements = Saga::Session::statements($sql) or return;
	return { statements => $statements, role => $role };
}

sub in_session
{
	my ($node, $dbname, $plain, $params) = @_;
	local %ENV = $node->_get_env();
	my ($session, $err) = Saga::Session->new($node->connstr($dbname), $plain->{role});
	my ($rc, $out) = (2, '');

	($rc, $out, $err) = $session->run($plain->{statements}, $params->{on_error_stop} // 1) if $session;
	undef $session;
	${ $params->{stdout} } = $out if ref $params->{stdout};
	${ $params->{stderr} } = $err if ref $params->{stderr};
	croak(($rc == 2 ? 'connection error' : 'error running SQL') . ": '$err'\nwhile running '"
		  . join('; ', map { $_->[0] } @{ $plain->{statements} }) . q(')) if $rc && $params->{on_error_die};
	return ($rc, $out, $err);
}

# A running cluster. Arguments after the name are lines for postgresql.conf; a hash reference first
# among them has options: init => [...] for init(), preload => '' for none, start => 0.
sub new_saga_node
{
	my ($name, @conf) = @_;
	my %opt = @conf && ref $conf[0] ? %{ shift @conf } : ();
	my $preload = $opt{preload} // 'pg_saga';
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(@{ $opt{init} // [] });
	$node->append_conf('postgresql.conf',
		join("\n",
			"shared_preload_libraries = '$preload'",
			'max_prepared_transactions = 20',
			'max_worker_processes = 40',
			"timezone = 'UTC'",
			"log_timezone = 'UTC'",
			'log_statement = none',
			@conf)
		  . "\n");
	$node->start unless defined $opt{start} && !$opt{start};
	$first //= $node;
	return $node;
}

# The result of a statement in the database postgres, as text.
sub sql
{
	my ($sql, $node) = @_;
	return ($node // $first)->safe_psql('postgres', $sql);
}

# The same in a session of this role.
sub as
{
	my ($role, $sql, $node) = @_;
	return ($node // $first)->safe_psql('postgres', $sql, extra_params => [ '-U', $role ]);
}

# What a statement that fails says.
sub error
{
	my ($sql, $node) = @_;
	my ($rc, $out, $err) = ($node // $first)->psql('postgres', $sql);
	return $err;
}

# Wait until no message waits any more.
sub all_sent { return poll_until($_[0] // $first, "SELECT count(*) FROM saga.outbox WHERE state = 'waiting'", '0') }

# The server is in recovery after a kill; psql then ends before it has read anything.
sub wait_until_up
{
	my ($node) = @_;
	local $SIG{PIPE} = 'IGNORE';
	foreach (1 .. 600)
	{
		return if eval { sql('SELECT 1', $node) };
		usleep(100_000);
	}
	BAIL_OUT('the server does not come back');
}

sub create_extensions
{
	my ($node, $dbname) = @_;
	$node->safe_psql($dbname // 'postgres', 'CREATE EXTENSION pg_invoice CASCADE');
	return;
}

# Wait until the query gives the expected text (default "t"); die with its last answer. All in one session, as long as it
# lasts.
sub poll_until
{
	my ($node, $sql, $expected, $dbname) = @_;
	$expected //= 't';
	$dbname //= 'postgres';
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;
	my $plain = plain_call($sql, {});
	my ($rc, $out, $err, $session) = (2, '', '');
	my $pause = 20_000;
	local %ENV = $node->_get_env();

	while (time < $end)
	{
		if ($plain)
		{
			($session, $err) = Saga::Session->new($node->connstr($dbname), '') unless $session;
			($rc, $out, $err) = $session->run($plain->{statements}, 1) if $session;
			undef $session if $rc;
		}
		else
		{
			$rc = $node->psql($dbname, $sql, stdout => \$out, stderr => \$err);
		}
		return 1 if $rc == 0 && $out eq $expected;
		usleep($pause);
		$pause += 10_000 if $pause < 60_000;
	}
	croak "no \"$expected\" in time from: $sql\nlast output: $out\nlast error: $err";
}

# Wait until the function says so, of what is not in the database; false: it has not in time.
sub wait_until
{
	my ($is_so) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;

	until ($is_so->())
	{
		return 0 if time > $end;
		usleep(10_000);
	}
	return 1;
}

# Wait for a line in the server's log; returns the offset after it. Offset: where to start.
sub wait_for_log
{
	my ($node, $regexp, $offset) = @_;
	$offset //= 0;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;

	while (time < $end)
	{
		my $log = slurp_file($node->logfile, $offset);
		return $offset + length $log if $log =~ $regexp;
		usleep(50_000);
	}
	croak "no line like $regexp in time in " . $node->logfile;
}

# Signal a process (default KILL) and wait until it is gone.
sub kill_process
{
	my ($pid, $signal) = @_;
	croak 'no process id' unless defined $pid && $pid =~ /^[1-9][0-9]+$/;
	kill($signal // 'KILL', $pid) or croak "could not signal $pid: $!";
	wait_for_exit($pid);
	return;
}

sub wait_for_exit
{
	my ($pid) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;

	while (kill(0, $pid))
	{
		croak "process $pid does not end" if time > $end;
		usleep(10_000);
	}
	return;
}

# The directory of the shared test data; skips the calling test where there is none.
sub shared_dir
{
	my ($sub) = @_;
	my $dir = $ENV{SAGA_SHARED};
	$dir .= "/$sub" if defined $dir && defined $sub;
	return $dir if defined $dir && -d $dir;
	croak 'the shared test data is absent' if ($ENV{CI} // '') eq 'true';
	plan(skip_all => 'the shared test data is absent');
}

sub start_accounting { return Saga::Server->start('accounting', @_) }
sub start_fauxqs { return Saga::Server->start('fauxqs', @_) }

1;
