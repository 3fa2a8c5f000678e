# Small input, much memory: each function that a role can call stays within a bound of its own, where it
# took gigabytes of its backend (and an end by the kernel restarts all others).
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

plan skip_all => 'reads /proc' unless -r '/proc/self/status';

my $node = new_saga_node('main', 'log_min_messages = fatal', 'autovacuum = off');
create_extensions($node);
$node->safe_psql('postgres', 'CREATE UNLOGGED TABLE input (a text, j jsonb)');

# A string of n times what, and an object with it.
sub repeated { my ($what, $n) = @_; $what =~ s/'/''/g; return "repeat('$what', $n)" }
sub a_is { return "jsonb_build_object('x', repeat('$_[0]', $_[1]))" }
sub members { my ($n, $value) = @_; $value =~ s/'/''/g; return "(SELECT jsonb_object_agg('k' || i || '.\$', '$value'::text)::text FROM generate_series(1, $n) i)" }
my $events = sub { my ($n, $varint) = @_; return "'010200' || '00' || '010001' || '$varint' || repeat('0100000001', $n)" };
my $deep = sub { my ($n, $name) = @_; return "repeat('{\"' || repeat('$name', 1000) || '\":', $n) || '\"{x\"' || repeat('}', $n)" };

# Name, a, j, what is called, megabytes.
my @cases = (
	[ 'events that share a value', $events->(300, 'ac02'), a_is('a', 1_000_000), "(SELECT count(*) FROM saga.history_events(decode(a, 'hex'), j))", 150 ],
	[ 'more of them than a disk has room for', $events->(20_000, 'a09c01'), a_is('a', 10_000_000), "(SELECT count(*) FROM saga.history_events(decode(a, 'hex'), j))", 200 ],
	[ 'empty strings of a history', "'010200' || '80dac409' || repeat('00', 20000000) || '0000'", "'{}'", "(SELECT count(*) FROM saga.history_events(decode(a, 'hex')))", 400 ],
	(map { [ "an invoice with $_->[0], $_->[1]", $_->[2], "'{}'", $_->[3], 400 ] } map {
		my @document = @$_;
		map { [ $document[0], $_, $document[1], $_ eq 'invoice_validate' ? '(SELECT count(*) FROM invoice_validate(a::json))' : "$_(a::json)::text" ] }
			qw(invoice_validate invoice_check invoice_calculate invoice_storable) } (
		[ 'empty allowances', "'{\"allowances\": [' || " . repeated('{},', 999_999) . " || '{}]}'" ],
		[ 'empty lines', "'{\"lines\": [' || " . repeated('{},', 999_999) . " || '{}]}'" ],
		[ 'lines that are none', "'{\"lines\": [' || " . repeated('1,', 1_499_999) . " || '1]}'" ],
		[ 'a long name', "'{\"' || repeat('n', 1000000) || '\": [' || " . repeated('"\u0000",', 20_000) . " || '1]}'" ])),
	[ 'a template of many references', "'[' || " . repeated('"{x}",', 32_000) . " || '1]'", a_is('a', 100_000), 'saga.test_template(a::jsonb, j)', 300 ],
	[ 'a template of many texts', "'[' || " . repeated('"{x} ",', 32_000) . " || '1]'", a_is('a', 100_000), 'saga.test_template(a::jsonb, j)', 400 ],
	[ 'a text of many references', "'\"' || " . repeated('{x}', 32_000) . " || '\"'", a_is('a', 100_000), 'saga.test_template(a::jsonb, j)', 400 ],
	[ 'a deep template', $deep->(3000, 'k'), "'{}'", 'saga.test_template(a::jsonb, j)', 300 ],
	[ 'a mapping that shares parts', "'\$' || repeat('.{\"a\": \$, \"b\": \$}', 60)", "'{}'", 'saga.test_mapping(a, j)', 500 ],
	[ 'a condition with long operands', "'{\"body\": {\"path\": \"x\", \"in\": [' || " . repeated('"{x}",', 30_000) . " || '1]}}'", a_is('a', 100_000), "saga.test_condition(a::jsonb, 200, NULL, '{\"x\": 1}', j)", 300 ],
	[ 'intrinsics with large results', members(3000, 'States.JsonToString($)'), a_is('a', 1_000_000), 'saga.eval_template(a::jsonb, j)', 900 ],
	[ 'intrinsics with many results', members(1000, q{States.StringSplit($.x, ',')}), a_is('a,', 100_000), 'saga.eval_template(a::jsonb, j)', 900 ],
	[ 'intrinsics in an intrinsic', "'{\"k.\$\": \"States.Array(' || " . repeated(q{States.StringSplit($.x, ','),}, 1000) . " || '1)\"}'", a_is('a,', 100_000), 'saga.eval_template(a::jsonb, j)', 900 ],
	[ 'faults in a state with a long name', "'{\"StartAt\": \"A\", \"States\": {\"' || repeat('n', 1000000) || '\": {\"Type\": \"Choice\", \"Choices\": [' || " . repeated('1,', 5000) . " || '1]}}}'", "'{}'",
		'(SELECT count(*) FROM saga.validate(a::jsonb))', 200 ],
	[ 'faults of many states', "'{\"StartAt\": \"A\", \"States\": {' || (SELECT string_agg('\"S' || i || '\": 1', ',') FROM generate_series(1, 100000) i) || '}}'", "'{}'", '(SELECT count(*) FROM saga.validate(a::jsonb))', 250 ],
	[ 'a large input through many states', "'{\"StartAt\": \"S0\", \"States\": {' || (SELECT string_agg('\"S' || i || '\": {\"Type\": \"Pass\", \"Next\": \"S' || i + 1 || '\"}', ',') FROM generate_series(0, 300) i)
		|| ', \"S301\": {\"Type\": \"Succeed\"}}}'", '(SELECT jsonb_agg(i) FROM generate_series(1, 300000) i)', 'saga.simulate(a::jsonb, j)', 600 ],
);

foreach my $case (@cases)
{
	my ($name, $a, $j, $call, $limit) = @$case;

	# a session of its own that has built nothing; what it calls may well be refused
	$node->safe_psql('postgres', "TRUNCATE input; INSERT INTO input SELECT $a, ($j)::jsonb");
	my (undef, $out, $err) = $node->psql('postgres', "SET client_min_messages = error;
		SELECT length(($call)::text) IS NULL FROM input;
		SELECT substring(pg_read_file('/proc/self/status') FROM 'VmHWM:\\s+(\\d+)')::integer / 1024", on_error_stop => 0);
	my ($got) = $out =~ /(\d+)\s*\z/;
	unlike($err, qr/server closed|connection|out of memory|invalid memory alloc|invalid input|syntax/, "$name: the session lives");
	note("$name: " . ($got // 'nothing') . ' MB, ' . ($err =~ /ERROR:\s+([^\n]{1,80})/ ? $1 : 'no error'));
	cmp_ok($got // 1e9, '<', $limit, "$name: memory");
}

$node->stop;
done_testing();
