# DROP, RENAME and TEMPLATE of a database whose workers are idle or busy work at once, also for an
# owner of the database who is no superuser.
use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);
use Saga::Test;
use Saga::Work;

my $node = new_saga_node('databases', 'pg_saga.workers = 2');
my $limit = 3;					# seconds; without help of ours the server gives up after 5

$node->safe_psql('postgres', 'CREATE ROLE dba LOGIN CREATEDB');

# A database of dba's with workers that have run something.
sub make_database
{
	my ($name) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name OWNER dba");
	$node->safe_psql($name, 'CREATE EXTENSION pg_saga');
	add_role($node, $name, 'dba', '');
	add_workflow($node, $name, 'dba', 'wf');
	submit($node, $name, 'wf', 1);
	wait_done($node, $name, 1);
	return;
}

# As dba, in a session of another database.
sub timed
{
	my ($sql) = @_;
	my $begun = time;
	my ($rc, $out, $err) = $node->psql('postgres', "SET SESSION AUTHORIZATION dba; SET client_min_messages = warning; $sql");
	my $took = time - $begun;

	is($rc, 0, "$sql") or diag($err);
	cmp_ok($took, '<', $limit, "$sql: at once");
	note(sprintf('%s: %.3f s', $sql, $took));
	return;
}

sub make_busy
{
	my ($db) = @_;
	submit($node, $db, 'wf', { sleep => 600 }, 2, 3);
	poll_until($node, "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = '$db'");
	return;
}

foreach my $how ('idle', 'busy')
{
	make_database("db_$how");

	make_busy("db_$how") if $how eq 'busy';
	timed("ALTER DATABASE db_$how RENAME TO db2_$how");

	# it opens again under its new name
	wait_pid($node, "db2_$how", 'coordinator');
	make_busy("db2_$how") if $how eq 'busy';
	timed("CREATE DATABASE copy_$how TEMPLATE db2_$how");

	# the copy has the extension, and whatever waited in the original
	wait_pid($node, "copy_$how", 'coordinator');
	submit($node, "copy_$how", 'wf', 4);
	poll_until($node, 'SELECT count(*) FROM public.done WHERE x = 4', '1', "copy_$how") if $how eq 'idle';

	make_busy("db2_$how") if $how eq 'busy';
	timed("DROP DATABASE db2_$how");
	timed("DROP DATABASE copy_$how");
}

# --- all together: several sessions copy one template at once
make_database('source');
{
	my @copies = map { "c$_" } 1 .. 3;
	my @sessions;
	foreach my $copy (@copies)
	{
		push @sessions,
		  IPC::Run::start(
			[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') . ' user=dba', '-c',
				"CREATE DATABASE $copy TEMPLATE source" ],
			'>', \my $out, '2>', \my $err);
	}
	my $failed = grep { !IPC::Run::finish($_) } @sessions;
	is($failed, 0, 'three copies of one database at once');
	timed("DROP DATABASE $_") foreach @copies;
}

# --- template1 with the extension: new databases have it, and CREATE DATABASE works
$node->safe_psql('template1', 'CREATE EXTENSION pg_saga');
wait_pid($node, 'template1', 'coordinator');
timed('CREATE DATABASE born_with');
wait_pid($node, 'born_with', 'coordinator');
pass('a database made from a template with the extension is served');
$node->safe_psql('template1', 'DROP EXTENSION pg_saga');
workers_gone($node, 'template1');

# --- a command that fails opens the database again
my ($rc) = $node->psql('postgres', 'BEGIN; DROP DATABASE source');
isnt($rc, 0, 'DROP DATABASE in a transaction block fails');
submit($node, 'source', 'wf', 5);
wait_done($node, 'source', 2);
pass('and the workers come back');

# --- who may not run the command closes nothing
$node->safe_psql('postgres', 'CREATE ROLE stranger LOGIN CREATEDB');
my @before = pids($node, 'source', 'coordinator');
foreach my $sql ('DROP DATABASE source', 'ALTER DATABASE source RENAME TO mine', 'CREATE DATABASE mine TEMPLATE source')
{
	($rc) = $node->psql('postgres', "SET SESSION AUTHORIZATION stranger; $sql");
	isnt($rc, 0, "a stranger: $sql is refused");
}
is_deeply([ pids($node, 'source', 'coordinator') ], \@before, 'and no process left for it');

$node->stop('fast');
done_testing();
