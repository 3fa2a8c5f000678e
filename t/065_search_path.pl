# Nothing of ours is looked up in a schema that somebody else may write to: read from the scripts, read
# from the catalog, and tried out in schemas full of traps (t/065_traps.sql).
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my $path = 'pg_catalog, pg_temp';

# Procedures that cannot have a SET clause, as they commit: they have nothing in them to be looked up.
my %bare_procedure = ('@extschema@.invoice_process' => 1);

# ---------- the scripts ----------

chomp(my $sharedir = `$ENV{PG_CONFIG} --sharedir`);

sub script { return slurp_file("$sharedir/extension/$_[0].sql") }

# The statements of a script, without comments. Each is {text => with '' for what is quoted, bodies =>
# what was between dollars, whole => as it was}, and comments are a list of their own.
sub statements
{
	my ($sql) = @_;
	my (@statements, @comments);
	my $now = sub { return { text => '', whole => '', bodies => [] } };
	my $s = $now->();

	$sql =~ s/^\\.*$//mg;
	while ($sql =~ m{\G(?:(?<comment>--[^\n]*|/\*.*?\*/) | (?<quoted>'(?:[^']|'')*') | (?<dollar>\$(?<tag>\w*)\$(?<body>.*?)\$\g{tag}\$)
			| (?<end>;) | (?<other>"[^"]*"|\w+|.))}gsx)
	{
		my %part = %+;
		if (defined $part{comment}) { push @comments, $part{comment} }
		elsif (defined $part{end}) { push @statements, $s; $s = $now->() }
		else
		{
			$s->{whole} .= $part{quoted} // $part{dollar} // $part{other};
			$s->{text} .= defined $part{other} ? $part{other} : q{''};
			if (defined $part{dollar})
			{
				push @{ $s->{bodies} }, $part{body};
				push @comments, $part{body} =~ /(--[^\n]*)/g;
			}
		}
	}
	foreach (@statements)
	{
		$_->{text} =~ s/\s+/ /g;
		$_->{text} =~ s/^ | $//g;
	}
	return (\@statements, \@comments);
}

my $object = qr/(?:OR REPLACE )?(?:UNLOGGED |UNIQUE )?(?:TABLE|VIEW|SEQUENCE|FUNCTION|PROCEDURE|ROUTINE|TYPE|DOMAIN|AGGREGATE|COLUMN)/;
my $ours = qr/(?:\@extschema\@|saga)\./;

# What is wrong with the script of an extension, a line each. An update has the names of the objects
# of the version before, and the statements that made them.
sub faults
{
	my ($sql, $before, $earlier) = @_;
	my ($statements, $comments) = statements($sql);
	my ($first, @rest) = map { $_->{text} } @$statements;
	my @faults;

	push @faults, "does not begin with the search path: $first" unless $first eq "SET LOCAL search_path = $path";
	push @faults, map { "changes the search path: $_" } grep { /^(?:SET|RESET)\b|\bset_config\b/i } @rest;
	push @faults, map { "takes over what is there: $_" } grep { /\bIF NOT EXISTS\b/i } @rest;
	push @faults, map { "a body that this test does not read: $_" } grep { /\bBEGIN ATOMIC\b/i } @rest;
	push @faults, map { "the schema's name in a comment, which it may end: $_" } grep { /\@extschema\@/ } @$comments;
	foreach my $s (@$statements)
	{
		my ($text, @bodies) = ($s->{text}, @{ $s->{bodies} });

		push @faults, "a name without its schema: $text"
		  if $text =~ /^(?:CREATE|ALTER|DROP|COMMENT ON) $object (?:IF EXISTS |ONLY )?(?!$ours)/
		  || $text =~ /^CREATE (?:UNIQUE )?INDEX \w+ ON (?!$ours)/
		  || $text =~ /^CREATE (?:TRIGGER|POLICY|RULE) .*? ON (?!$ours)/
		  || $text =~ /\bEXECUTE (?:FUNCTION|PROCEDURE) (?!$ours)/;
		push @faults, "replaces what was not there: $text"
		  if $text =~ /^CREATE OR REPLACE \w+ ($ours\w+)/ && !($before && $before->{$1});
		if ($text =~ /^CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE) ($ours\w+)/ && $text !~ /\bLANGUAGE C\b/i)
		{
			if ($bare_procedure{$1}) { push @faults, map { "something to look up in $1: $_" } to_look_up($bodies[0]) }
			elsif ($text !~ /\bSET search_path = \Q$path\E\b/) { push @faults, "no search path of its own: $text" }
		}
		push @faults, "the schema's name in a format: $1" if join("\n", @bodies) =~ /\bformat\(\s*('(?:[^']|'')*\@extschema\@(?:[^']|'')*')/;
	}
	push @faults, inexact_calls($statements, $earlier // []);
	return join("\n", @faults);
}

# Functions without a schema, and operators, in the body of a procedure.
sub to_look_up
{
	my ($body) = @_;
	$body =~ s/--[^\n]*|'(?:[^']|'')*'|\@extschema\@|\.\.|:=//g;
	my @found = $body =~ /(?<![."\w])(\w+)\s*\(/g;
	push @found, $body =~ m{([-+*/<>=~!@#%^&|?]+)}g;
	push @found, $body =~ /\b(NULLIF|DISTINCT FROM|LIKE|SIMILAR|BETWEEN|USING|CASE \w+)\b/g;
	return @found;
}

# Who may create functions in the target schema can put one beside ours that fits better, unless ours
# fits exactly: all arguments are there, and none is a literal without a type.
sub inexact_calls
{
	my ($statements, $earlier) = @_;
	my (%arity, @faults);

	foreach my $s (@$earlier, @$statements)
	{
		my ($name, $parameters) = $s->{whole} =~ /^\s*CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE) (?:\@extschema\@\.)?(\w+)\((.*)/s or next;
		$arity{"\@extschema\@.$name"}{ scalar grep { !/^\s*OUT\b/ } arguments($parameters) } = 1;
	}
	foreach my $s (@$statements)
	{
		next if $s->{text} =~ /^(?:COMMENT ON|DROP|GRANT|REVOKE|ALTER)\b/;
		my $whole = $s->{whole};
		$whole =~ s/^\s*CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE) \S+?\(//;
		$whole =~ s/--[^\n]*//g;
		while ($whole =~ /(\@extschema\@\.\w+)\(/g)
		{
			my $name = $1;
			my @arguments = arguments(substr($whole, pos $whole));
			push @faults, "a call of $name with " . @arguments . ' arguments' if $arity{$name} && !$arity{$name}{ scalar @arguments };
			push @faults, map { "a call of $name with $_, which has no type" }
			  grep { /^\s*(?:'(?:[^']|'')*'|NULL|[0-9.]+)\s*$/i } @arguments;
		}
	}
	return @faults;
}

# The arguments at the start of a text that follows "(".
sub arguments
{
	my ($text) = @_;
	my ($depth, $now, @arguments) = (0, '');
	while ($text =~ /('(?:[^']|'')*'|.)/gs)
	{
		my $part = $1;
		last if $part eq ')' && $depth == 0;
		$depth += $part eq '(' ? 1 : $part eq ')' ? -1 : 0;
		if ($part eq ',' && $depth == 0) { push @arguments, $now; $now = '' }
		else { $now .= $part }
	}
	push @arguments, $now if $now =~ /\S/ || @arguments;
	return @arguments;
}

foreach my $extension ('pg_saga', 'pg_invoice')
{
	my ($earlier) = statements(script("$extension--0.1"));
	my %before = map { /^CREATE \w+ ($ours)?(\w+)/ ? (($1 // '@extschema@.') . $2 => 1) : () } map { $_->{text} } @$earlier;
	my ($version) = slurp_file("$sharedir/extension/$extension.control") =~ /default_version = '(.*)'/;

	is(faults(script("$extension--$version")), '', "$extension--$version.sql");
	is(faults(script("$extension--0.1--$version"), \%before, $earlier), '', "$extension--0.1--$version.sql");
}
like(faults(script('pg_invoice--0.1')), qr/^does not begin with the search path.*a name without its schema/s, 'the script of 0.1 had faults');
foreach my $try (
	[ 'SELECT @extschema@.f()', qr/call of \S+f with 0 arguments/ ],
	[ 'SELECT @extschema@.f(\'x\')', qr/which has no type/ ],
	[ 'SELECT @extschema@.f(g(1, \'x\')::json)', qr/^$/ ],
	[ 'CREATE FUNCTION saga.g() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$', qr/no search path of its own/ ],
	[ 'CREATE FUNCTION g() RETURNS int LANGUAGE c AS \'x\'', qr/a name without its schema/ ],
	[ 'CREATE OR REPLACE VIEW saga.v AS SELECT 1', qr/replaces what was not there/ ],
	[ 'CREATE TABLE IF NOT EXISTS saga.t ()', qr/takes over what is there/ ],
	[ 'SET search_path = public', qr/changes the search path/ ],
	[ "SELECT 1 -- \@extschema\@\n", qr/in a comment/ ],
	[ 'CREATE PROCEDURE @extschema@.invoice_process() LANGUAGE plpgsql AS $$ BEGIN PERFORM length(name); END $$', qr/something to look up in \S+: length/ ],
	[ 'CREATE PROCEDURE @extschema@.invoice_process() LANGUAGE plpgsql AS $$ BEGIN EXIT WHEN a = b; END $$', qr/something to look up in \S+: =/ ])
{
	like(faults("SET LOCAL search_path = $path; CREATE FUNCTION \@extschema\@.f(document json DEFAULT NULL) RETURNS int LANGUAGE c; $try->[0];"),
		$try->[1], "this test on: $try->[0]");
}

# ---------- the catalog ----------

# The publisher finds the credentials in the server's environment.
$ENV{AWS_ACCESS_KEY_ID} = $ENV{AWS_SECRET_ACCESS_KEY} = 'test';
my $node = new_saga_node('path', "pg_saga.databases = 'updated'", 'pg_saga.workers = 2');
my $at = 0;

# Without a trap in sight: for questions of this test.
sub sql
{
	my ($db, $sql) = @_;
	return $node->safe_psql($db, "SET search_path = pg_catalog; $sql");
}

sub wait_for
{
	my ($db, $sql, $expected) = @_;
	return poll_until($node, "SET search_path = pg_catalog; $sql", $expected, $db);
}

# What an object of ours depends on that is neither ours nor the catalog's: a function or operator in a
# view, a default, a check, an index, a policy, a rule, a trigger or a body of the standard's kind.
my $foreign = <<'SQL';
WITH RECURSIVE extension AS (
	SELECT oid FROM pg_extension WHERE extname IN ('pg_saga', 'pg_invoice')
), ours AS (
	SELECT d.classid, d.objid FROM pg_depend d JOIN extension e ON d.refobjid = e.oid
	 WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
	UNION
	SELECT d.classid, d.objid FROM pg_depend d JOIN ours o ON d.refclassid = o.classid AND d.refobjid = o.objid
	 WHERE d.deptype IN ('i', 'a')
)
SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid) || ' needs ' || pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid)
  FROM ours o JOIN pg_depend d USING (classid, objid)
 WHERE d.refclassid NOT IN ('pg_namespace'::regclass, 'pg_extension'::regclass, 'pg_language'::regclass)
   AND (d.refclassid, d.refobjid) NOT IN (SELECT classid, objid FROM ours)
   AND (pg_identify_object(d.refclassid, d.refobjid, d.refobjsubid)).schema IS DISTINCT FROM 'pg_catalog'
SQL

# Functions of ours with a language's body that are run in the caller's search path.
my $unpinned = <<"SQL";
SELECT string_agg(p.oid::regprocedure::text, ' ')
  FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
  JOIN pg_language l ON l.oid = p.prolang
 WHERE e.extname IN ('pg_saga', 'pg_invoice') AND l.lanname <> 'c'
   AND NOT ('search_path=$path' = ANY (coalesce(p.proconfig, '{}'))) AND p.proname <> 'invoice_process'
SQL

# Where objects of ours are, other than schema saga and the extension's own.
my $elsewhere = <<'SQL';
SELECT string_agg(pg_describe_object(d.classid, d.objid, 0), ', ')
  FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
 WHERE e.extname IN ('pg_saga', 'pg_invoice') AND d.deptype = 'e' AND d.classid <> 'pg_namespace'::regclass
   AND (pg_identify_object(d.classid, d.objid, 0)).schema IS DISTINCT FROM
	CASE e.extname WHEN 'pg_saga' THEN 'saga' ELSE e.extnamespace::regnamespace::name END::text
SQL

sub catalog_ok
{
	my ($db, $when) = @_;
	is(sql($db, $foreign), '', "$when: nothing of ours depends on anything but ours and the catalog");
	is(sql($db, $unpinned), '', "$when: functions of ours have a search path");
	is(sql($db, $elsewhere), '', "$when: everything of ours is in the extension's schema");
	return;
}

# ---------- traps ----------

my $schema = 'Trap-schema 100%s';

# The traps that ran since the last look.
sub fired
{
	my $log = slurp_file($node->logfile, $at);
	$at += length $log;
	my %seen = map { $_ => 1 } $log =~ /trap fired: (.*)/g;
	return join("\n", sort keys %seen);
}

sub no_trap
{
	my ($when) = @_;
	is(fired(), '', "$when: no trap fires");
	is(sql('postgres', "SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'"), 'f', "$when: mallory is no superuser");
	return;
}

# Under a path in which the traps come first. Statements may fail; an answer is the last line of all.
sub hostile
{
	my ($db, $target, @sql) = @_;
	my ($out, $err) = ('', '');
	$node->psql($db, join(";\n", qq(SET search_path = "$target", pg_catalog), @sql), stdout => \$out, stderr => \$err, on_error_stop => 0);
	note($err) if $err;
	$out =~ s/.*\n//s;
	return $out;
}

# Every view of ours is read, and every function is called with nothing.
sub read_and_call_everything
{
	my ($db, $target) = @_;
	my $members = <<'SQL';
  JOIN pg_depend d ON d.objid = o.oid AND d.deptype = 'e' JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
 WHERE e.extname IN ('pg_saga', 'pg_invoice')
SQL
	my @statements = split /\n/, sql($db, "SELECT format('SELECT * FROM %s', o.oid::regclass) FROM pg_class o $members AND o.relkind IN ('v', 'r')");
	push @statements, split /\n/, sql($db, <<"SQL");
SELECT format('SELECT %s.%I(%s)', o.pronamespace::regnamespace, o.proname, (
		SELECT string_agg(format('NULL::%s.%I', t.typnamespace::regnamespace, t.typname), ', ' ORDER BY n)
		  FROM unnest(o.proargtypes::oid[]) WITH ORDINALITY AS u (type, n) JOIN pg_type t ON t.oid = type))
  FROM pg_proc o $members AND o.prokind = 'f' AND o.prorettype <> 'trigger'::regtype
SQL
	cmp_ok(scalar @statements, '>', 100, "$db: views are read and functions called");
	hostile($db, $target, @statements);
	return;
}

my $accounting = start_accounting();
$accounting->faults({ modes => { duplicate => 'allow' } });		# each database has the same invoices
my $fauxqs = start_fauxqs();
my %http = (url => $accounting->url, allow_private => JSON::PP::true);
my %destination = (payments => [ 'http', \%http ], accounting => [ 'http', \%http ], 'invoice-events' => [ 'sns', {
	topic_arn => $fauxqs->setup('invoice-events', 'invoice-reader')->{topic_arn}, endpoint_url => $fauxqs->url, allow_private => JSON::PP::true } ]);

my $source = { queue_url => $fauxqs->queue('door'), endpoint_url => $fauxqs->url, region => 'us-east-1', wait_s => 1, allow_private => JSON::PP::true };

sub document
{
	my ($file) = @_;
	my ($json) = map { s/'/''/gr } slurp_file((glob "demo/invoices/$file-*.json")[0]);
	return "'$json'::pg_catalog.json";
}

# A call of a function of pg_invoice's; arguments have their type, or an overload would rightly be taken.
sub call
{
	my ($target, $function, @arguments) = @_;
	return qq(SELECT "$target".$function\() . join(', ', map { /::|^t\./ ? $_ : "'$_'::pg_catalog.text" } @arguments) . ')';
}

# What invoices need on their way. The owner of the workflow is no superuser.
sub road
{
	my ($db, $target) = @_;
	hostile($db, $target,
		(map { "SELECT saga.create_destination('$_', '$destination{$_}[0]', '" . encode_json($destination{$_}[1]) . "')" } sort keys %destination),
		(map { "SELECT saga.set_destination_owner('$_', 'invoice_owner')" } sort keys %destination),
		call($target, 'invoice_setup', "'invoice_owner'::pg_catalog.regrole"),
		call($target, 'invoice_set_approval_limit', 'default', '250000::pg_catalog."numeric"'),
		call($target, 'invoice_source', 'door', '\'' . encode_json($source) . q('::pg_catalog.jsonb), 'sqs'));
	return;
}

# A queue, a workflow, and the small functions, with arguments.
my @saga = (
	"SELECT saga.create_queue('q', dead_letter_queue => NULL)",
	"SELECT saga.send('q', '{\"a\": 1}', headers => '{\"b\": 2}')",
	"SELECT saga.send_batch('q', ARRAY['1', '2']::pg_catalog._jsonb, '1 hour')",
	"SELECT * FROM saga.receive('q', 1, '0 seconds')",
	"SELECT saga.change_visibility('q', ARRAY[saga.make_id()], '0')",
	"SELECT saga.delete('q', ARRAY[saga.make_id()])",
	"SELECT saga.purge('q')",
	"SELECT saga.redrive('q', 'reason', 3)",
	"SELECT saga.create_workflow('w', '{\"StartAt\": \"A\", \"States\": {\"A\": {\"Type\": \"Pass\", \"Next\": \"B\"}, \"B\": {\"Type\": \"Fail\", \"Error\": \"E\"}}}')",
	"SELECT saga.bind_resource('arn:aws:lambda:eu-central-1:1:function:f', 'sql:public.f')",
	"SELECT saga.start_execution('w', '{}', 'name')",
	"CALL saga.drain()",
	"SELECT saga.redrive('w')",
	"CALL saga.drain()",
	"SELECT saga.set_secret('s', 'value'), saga.drop_secret('s')",
	"SELECT * FROM saga.validate('{}'), saga.test_mapping('\$.a', '{\"a\": 1}')",
	"SELECT saga.simulate('{\"StartAt\": \"A\", \"States\": {\"A\": {\"Type\": \"Succeed\"}}}')",
	"SELECT saga.eval_path('\$.a', '{\"a\": 1}'), saga.eval_choice('{\"Variable\": \"\$.a\", \"NumericEquals\": 1}', '{\"a\": 1}')",
	"SELECT saga.publish_to('payments', '{\"x\": 1}')",
	"SELECT saga.pause_destination('payments'), saga.resume_destination('payments')",
	"CALL saga.publish()",
	"SELECT saga.drop_queue('q')");

sub number { return decode_json(slurp_file((glob "demo/invoices/$_[0]-*.json")[0]))->{number} }

# Straight on, a credit note, and one for each of: approved, rejected, cancelled, wrong; and two in a batch.
sub submit
{
	my ($db, $target) = @_;
	hostile($db, $target, (map { call($target, 'invoice_submit', document($_)) } '01', '15', '20', '21', '22', '24'),
		call($target, 'invoice_submit_batch', 'pg_catalog.json_build_array(' . document('10') . ', ' . document('01') . ')'),
		call($target, 'invoice_validate', document('28')),
		"SELECT saga.start_execution('invoice_owner.invoice-inbox', '" . encode_json({ body => slurp_file('demo/invoices/01-de-consulting.json'),
			source => 'door', source_message_id => 'm', sent_at => '2025-01-01T00:00:00Z' }) =~ s/'/''/gr . "')");
	is(sql($db, qq(SELECT count(*) FROM "$target".invoice_tracking)), '7', "$db: the invoices were taken");
	return;
}

# Each of the decisions, on invoices that are held, wait for payment, or are dead.
sub decide
{
	my ($db, $target) = @_;
	my $corrected = document('24') =~ s/"number": *"/$&X-/r;
	my $on = sub {
		my ($file, @call) = @_;
		return call($target, @call) . qq( FROM "$target".invoice_tracking t WHERE t.number OPERATOR(pg_catalog.=) ') . number($file) . q('::pg_catalog.text);
	};
	hostile($db, $target,
		$on->('20', 'invoice_approve', 't.tracking_id'),
		$on->('21', 'invoice_reject', 't.tracking_id', 'no'),
		$on->('22', 'invoice_cancel', 't.tracking_id'),
		$on->('24', 'invoice_retry', 't.tracking_id', $corrected, 'true::pg_catalog.bool'));
	return;
}

sub statuses
{
	my ($target) = @_;
	return qq(SELECT string_agg(status || ' ' || n, ', ' ORDER BY status) FROM (SELECT status, count(*) AS n FROM "$target".invoice_tracking GROUP BY 1) AS s);
}

sql('postgres', 'CREATE DATABASE traps; CREATE ROLE invoice_owner LOGIN');
$node->safe_psql('traps', slurp_file('t/065_traps.sql'));
sub set_traps { return sql($_[0], qq(GRANT CREATE, USAGE ON SCHEMA "$_[1]" TO mallory; SET ROLE mallory; SELECT mallory.set_traps('$_[1]'))) }
sub set_overloads { return sql($_[0], qq(SET ROLE mallory; SELECT mallory.set_overloads('$_[1]'))) }
sql('traps', qq(CREATE SCHEMA "$schema"; GRANT USAGE ON SCHEMA "$schema" TO invoice_owner));
set_traps('traps', $schema);
sql('postgres', "CREATE DATABASE $_ TEMPLATE traps") foreach 'trapped', 'old';

# ---------- the traps work, and 0.1 falls into them ----------

foreach my $try ('SELECT pg_catalog.to_json(1 = 1)', "SELECT to_json('x'::pg_catalog.text)", "SELECT count('x'::pg_catalog.text)",
	"SELECT 'x'::text", 'SELECT * FROM pg_extension', 'SELECT - 1::pg_catalog.int4', 'SELECT 1 IN (2, 3)', 'SELECT nullif(1, 2)',
	'SELECT 1 IS DISTINCT FROM 2', 'SELECT CASE 1 WHEN 2 THEN 3 END')
{
	hostile('old', $schema, $try);
	isnt(fired(), '', "a trap: $try");
}
sql('postgres', 'ALTER ROLE mallory NOSUPERUSER');
hostile('old', $schema, "CREATE EXTENSION pg_saga VERSION '0.1'", qq(CREATE EXTENSION pg_invoice VERSION '0.1' SCHEMA "$schema"));
like(fired(), qr/^function pg_extension_config_dump\(text, text\) as/m, '0.1 calls what it finds in the target schema');

# ---------- a new installation, everything in this session ----------

set_traps('trapped', 'public');
hostile('trapped', $schema, 'CREATE EXTENSION pg_saga', qq(CREATE EXTENSION pg_invoice SCHEMA "$schema"));
is(sql('trapped', "SELECT count(*) FROM pg_extension WHERE extname IN ('pg_saga', 'pg_invoice')"), '2', 'both are installed among traps');
no_trap('installed');
catalog_ok('trapped', 'installed');
set_overloads('trapped', $schema);
road('trapped', $schema);
hostile('trapped', $schema, @saga);
submit('trapped', $schema);
my @steps = ('SET ROLE invoice_owner', "CALL saga.drain('invoice')", "CALL saga.drain('invoice-inbox')", 'RESET ROLE');
my @run = ('SET ROLE invoice_owner', qq(CALL "$schema".invoice_process()), 'CALL saga.publish()', 'RESET ROLE');
hostile('trapped', $schema, @steps);
decide('trapped', $schema);
hostile('trapped', $schema, (@run) x 3);
is(sql('trapped', qq(SELECT count(*) FROM "$schema".invoice_source_message)), '1', 'trapped: the inbox takes an invoice');
no_trap('used');
is(sql('trapped', statuses($schema)), 'cancelled 1, completed 4, failed 1, rejected 1', 'what became of the invoices');
read_and_call_everything('trapped', $schema);
no_trap('read and called');
catalog_ok('trapped', 'used');

# ---------- an update, and then workers whose sessions have the traps in their path ----------

sql('postgres', 'CREATE DATABASE updated TEMPLATE traps');
sql('updated', "CREATE EXTENSION pg_saga VERSION '0.1'; CREATE EXTENSION pg_invoice VERSION '0.1' SCHEMA public");
set_traps('updated', 'public');
set_overloads('updated', 'public');
# functions that 0.2 makes: where the very same is there, the update is refused
sql('updated', "DROP FUNCTION public.$_(pg_catalog.json, pg_catalog.text)") foreach qw(invoice_submit invoice_submit_batch invoice_validate);
hostile('updated', 'public', "ALTER DATABASE updated SET search_path = public, pg_catalog",
	'ALTER EXTENSION pg_saga UPDATE', 'ALTER EXTENSION pg_invoice UPDATE');
is(sql('updated', "SELECT count(*) FROM pg_extension e JOIN pg_available_extensions a ON a.name = e.extname
	WHERE extname IN ('pg_saga', 'pg_invoice') AND extversion = default_version"), '2', 'both are updated among traps');
no_trap('updated');
catalog_ok('updated', 'updated');
# processes from before the new path
sql('updated', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'updated' AND backend_type LIKE 'pg_saga%'");
road('updated', 'public');
submit('updated', 'public');
wait_for('updated', "SELECT (SELECT count(*) FROM public.invoice_held) || ' ' || (SELECT count(*) FROM public.invoice_dlq)", '2 1');
decide('updated', 'public');
wait_for('updated', 'SELECT count(*) FROM public.invoice_tracking WHERE finished_at IS NULL', '0');
like(sql('updated', statuses('public')), qr/^(?:cancelled 1, completed 4|completed 5), failed 1, rejected 1$/, 'what became of the invoices');
wait_for('updated', 'SELECT count(*) FROM public.invoice_source_message', '1');
no_trap('used after the update');
read_and_call_everything('updated', 'public');
no_trap('read and called after the update');

# ---------- what 0.1 kept of somebody else's is gone with the update ----------

sql('postgres', 'CREATE DATABASE healed TEMPLATE traps');
sql('healed', 'GRANT CREATE ON SCHEMA public TO mallory');
sql('healed', "SET ROLE mallory; SELECT mallory.add_function('public', 'to_json', 'text', 'json'),
	mallory.add_function('public', 'concat_ws', 'text, text, text', 'text'),
	mallory.add_function('public', 'pg_extension_config_dump', 'text, text', 'text'),
	mallory.add_operator('public', '>=', 'numeric', 'int4', 'boolean')");
sql('healed', "CREATE EXTENSION pg_saga VERSION '0.1'; CREATE EXTENSION pg_invoice VERSION '0.1' SCHEMA public");
like(sql('healed', $foreign), qr/invoice_dlq needs function public\.to_json\(text\)/, '0.1 keeps what it finds in the target schema');
sql('healed', 'ALTER EXTENSION pg_saga UPDATE; ALTER EXTENSION pg_invoice UPDATE');
catalog_ok('healed', 'after the update');
is(sql('healed', "SELECT cardinality(extconfig) FROM pg_extension WHERE extname = 'pg_invoice'"), '11', 'after the update: pg_dump knows the tables');

$node->stop;
done_testing();
