# Saga::Work: small workflows for the tests of the processes, and looking at those.
#
#	add_role($node, 'postgres', 'app');
#	add_workflow($node, 'postgres', 'app', 'wf');		# steps write to public.done
#	submit($node, 'postgres', 'wf', 1 .. 10);
#	wait_done($node, 'postgres', 10);
package Saga::Work;

use strict;
use warnings;

use Exporter 'import';
use Carp;
use Saga::Test;

our @EXPORT = qw(add_role add_workflow submit wait_done pids wait_pid workers_gone);

# A role that may use the engine, with or without other attributes.
sub add_role
{
	my ($node, $db, $role, $attributes) = @_;
	my $exists = $node->safe_psql($db, "SELECT count(*) FROM pg_roles WHERE rolname = '$role'");
	$node->safe_psql($db, "CREATE ROLE $role " . ($attributes // 'LOGIN')) unless $exists;
	$node->safe_psql($db, <<"SQL");
GRANT USAGE ON SCHEMA saga TO $role;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA saga TO $role;
GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA saga TO $role;
GRANT USAGE, CREATE ON SCHEMA public TO $role;
SQL
	return;
}

# Tables public.done and public.gate, and a workflow of one step, which notes who ran it. Input
# {"gate": true} makes the step wait while a session holds the lock on public.gate; {"sleep": s}
# makes it sleep.
sub add_workflow
{
	my ($node, $db, $role, $name) = @_;
	$node->safe_psql($db, <<"SQL");
CREATE TABLE IF NOT EXISTS public.done (x int, who text DEFAULT session_user,
	pid int DEFAULT pg_backend_pid());
CREATE TABLE IF NOT EXISTS public.gate ();
GRANT INSERT, SELECT ON public.done TO $role;
GRANT SELECT ON public.gate TO $role;
CREATE OR REPLACE FUNCTION public.work(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$f\$
BEGIN
	INSERT INTO public.done (x) VALUES ((input->>'x')::int);
	IF (input->>'gate')::boolean THEN
		LOCK TABLE public.gate IN ACCESS SHARE MODE;
	END IF;
	IF input ? 'sleep' THEN
		PERFORM pg_sleep((input->>'sleep')::float8);
	END IF;
	RETURN input;
END \$f\$;
SET SESSION AUTHORIZATION $role;
SELECT saga.create_workflow('$name',
	'{"StartAt": "Work", "States": {"Work": {"Type": "Task", "Resource": "sql:public.work", "End": true}}}');
SQL
	return;
}

# One execution for each number; a hash reference first has further members of the input. The
# workflow is whoever's has the name.
sub submit
{
	my ($node, $db, $workflow, @numbers) = @_;
	my $more = ref $numbers[0] ? shift @numbers : {};
	my $members = join('', map { ", '$_', $more->{$_}" } sort keys %$more);
	my $list = join(',', @numbers);
	$node->safe_psql($db,
		"SELECT saga.start_execution((SELECT workflow_id FROM saga.workflow WHERE name = '$workflow'), jsonb_build_object('x', x$members))"
		  . " FROM unnest(ARRAY[$list]) x");
	return;
}

sub wait_done
{
	my ($node, $db, $count) = @_;
	poll_until($node, 'SELECT count(DISTINCT x) FROM public.done', $count, $db);
	return;
}

# Processes of a type in a database, from shared memory.
sub pids
{
	my ($node, $db, $type) = @_;
	my $where = $type eq 'launcher' ? '' : "AND database = '$db'";
	return split /\n/,
	  $node->safe_psql($db, "SELECT pid FROM saga.workers WHERE pid IS NOT NULL AND type = '$type' $where ORDER BY pid");
}

# Wait for a process of that type other than those given.
sub wait_pid
{
	my ($node, $db, $type, @old) = @_;
	my $where = $type eq 'launcher' ? '' : "AND database = '$db'";
	my $not = join(',', 0, @old);
	poll_until($node,
		"SELECT count(*) > 0 FROM saga.workers WHERE type = '$type' $where AND pid NOT IN ($not)",
		't', $db);
	return (pids($node, $db, $type))[0];
}

sub workers_gone
{
	my ($node, $db) = @_;
	poll_until($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = '$db' AND backend_type LIKE 'pg_saga%'");
	return;
}

1;
