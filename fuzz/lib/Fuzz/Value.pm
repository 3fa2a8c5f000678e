# Fuzz::Value: SQL expressions for arguments, by type and by the name of the argument. A call has
# arguments that could be right, one of them spoilt, or only wild ones.
package Fuzz::Value;

use strict;
use warnings;
use utf8;

use JSON::PP;

my $json = JSON::PP->new->allow_nonref->canonical;

# ---------- what could be right ----------

my %names = (
	workflow => [qw(fuzz-pass fuzz-fail fuzz-hold fuzz-wait fuzz_alice.alice-pass fuzz_alice."alice-hold" invoice fuzz_alice.invoice invoice-inbox)],
	queue => [qw(fuzz-q fuzz-q fuzz-q2 fuzz-dlq fuzz_alice.alice-q "fuzz_mallory".fuzz-q2 fuzz-pass destination/fuzz-d invoice)],
	destination => [qw(fuzz-d fuzz-d fuzz-sns fuzz-sqs fuzz_alice.alice-d)],
	source => [qw(fuzz-s fuzz-s fuzz_alice.alice-s)],
	secret => [qw(fuzz-key fuzz-key fuzz_alice.alice-key)]);
my @other_names = ('new-1', 'new-2', 'new-3', 'New 4', 'fuzz_alice.alice-q', 'fuzz_mallory.fuzz-q', 'fuzz_alice.alice-d', 'postgres.invoice', 'größe');
my %texts = (
	kind => [qw(http sns sqs workflow queue destination source secret)], right => [qw(start operate read use)], role => [qw(fuzz_alice fuzz_team public)],
	type => [qw(STANDARD EXPRESS)], cron => ['0 6 1 * *'], currency => [qw(EUR default XXX)], type_code => [qw(380 381)], decision => [qw(approved rejected)],
	error => [qw(Fuzz States.ALL InvoiceRejected)], reason => [qw(Fuzz Saga.MaxReceives SQL.23505)], number => [qw(F-1 F-2)], seller_key => ['vat:SE556677889901'],
	resource => ['sql:fuzz.step', 'sql:fuzz.hold.waitForTaskToken', 'saga:publish', 'sql:fuzz_alice.step', 'arn:aws:states:::http:invoke'],
	arn => ['arn:aws:lambda:eu-central-1:123456789012:function:f', 'arn:aws:states:::lambda:invoke'], handler => ['fuzz.step', 'fuzz.hold', 'public.invoice_inbox'],
	path => ['$', '$.a', '$.a.b[0]', '$..*', '$.list[?(@.n > 1)].n', '$$.Execution.Name', 'States.Format(\'{}\', $.n)', 'States.ArrayRange(1, 10, 3)', 'States.MathRandom(1, 5)'],
	expr => ['number', 'lines.{"n": name}', '$string(lines)', '$join(lines.name, ", ")', '$replace("a.b", ".", "-")', '[lines.[name, amount]]'],
	value => ['secret-value', '{"access_key_id": "A", "secret_access_key": "S"}'], ordering_key => ['k', 'l'], body => ['{"a": [1, "x"]}', 'text'],
	path_of_result => ['$.a.b', '$', '$.list[1].n']);

my %documents = map { my $k = $_->[0]; $k => [ map { $json->decode($_) } @{ $_->[1] } ] } (
	[ definition => [
		'{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:fuzz.step", "Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 2, "IntervalSeconds": 1}],
			"Catch": [{"ErrorEquals": ["Fuzz"], "Next": "B", "ResultPath": "$.e"}], "Compensate": "U", "Next": "B"}, "B": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericEquals": 1, "Next": "C"},
			{"And": [{"Variable": "$.s", "IsPresent": true}, {"Not": {"Variable": "$.s", "StringMatches": "a*"}}], "Next": "D"}], "Default": "C"}, "C": {"Type": "Wait", "Seconds": 1, "Next": "D"},
			"D": {"Type": "Pass", "Parameters": {"x.$": "States.Format(\'{}\', $)", "y": {"z.$": "$$.Execution.Id"}}, "End": true}, "U": {"Type": "Task", "Resource": "sql:fuzz.step"}}}',
		'{"StartAt": "P", "TimeoutSeconds": 60, "States": {"P": {"Type": "Parallel", "Branches": [{"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": 1, "End": true}}},
			{"StartAt": "B", "States": {"B": {"Type": "Task", "Resource": "saga:publish", "Parameters": {"Destination": "fuzz-d", "Payload.$": "$"}, "End": true}}}], "ResultSelector": {"a.$": "$[0]"}, "Next": "F"}, "F": {"Type": "Fail", "Error": "E", "Cause": "c"}}}',
		'{"StartAt": "H", "States": {"H": {"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Parameters": {"ApiEndpoint": "saga:fuzz-d/v1", "Method": "POST", "RequestBody.$": "$"}, "Assign": {"v.$": "$"}, "TimeoutSeconds": 5, "Next": "S"}, "S": {"Type": "Succeed"}}}' ] ],
	[ settings => [
		'{"url": "https://a.invalid/{number}", "headers": {"X-Key": "{secret:fuzz-key}", "X-A": "{a.b[0]}"}, "max_attempts": 3, "timeout_ms": 1000}',
		'{"request": {"method": "POST", "url": "https://b.invalid/v1", "content_type": "form", "form_arrays": "brackets", "body": {"expr": "{\'n\': number, \'l\': lines.{\'d\': name}}"}}, "auth": {"type": "bearer", "token": "{secret:fuzz-key}"},
			"idempotency": {"in": "header", "name": "X-Idem", "prefix": "i-", "ttl_s": 3600}, "classify": [{"status": [422, "5xx"], "body": {"path": "e[0].code", "in": ["1", 2]}, "as": "duplicate"}, {"header": {"name": "Retry-After", "exists": true}, "as": "retry"}],
			"capture": {"id": "data.id"}, "lookup": {"url": "https://b.invalid/q?n={number}", "found": "[0]", "same": {"path": "[0].t", "equals": "{total}"}, "delay_ms": 100}, "compensate": {"url": "https://b.invalid/undo", "body": {"template": {"id": "{id}"}}},
			"retry": {"max_attempts": 3, "base_ms": 1, "cap_ms": 10, "deadline_s": 60}, "limits": {"group": "g", "concurrency": 2, "per_second": 10, "per_minute": 500}}',
		'{"like": "fuzz-d", "auth": {"type": "oauth2_client_credentials", "token_url": "https://c.invalid/t", "client_id": "x", "client_secret": "{secret:fuzz-key}"}}',
		'{"topic_arn": "arn:aws:sns:eu-central-1:123456789012:t", "attributes": {"a": "{b}"}, "credentials": {"secret": "fuzz-key"}}',
		'{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q", "credentials": {"secret": "fuzz-key"}, "wait_s": 1, "batch": 10, "content": "json", "max_queued": 10}' ] ],
	[ input => [ '{"a": {"b": [1, 2, {"c": "x"}]}, "n": 2.50, "s": "a,é b", "list": [{"n": 1}, {"n": 3}], "tracking_id": "00000000-0000-0000-0000-000000000000"}', '{}', '[1, [2]]', '"text"', '1',
		'{"body": "{\"number\": \"F-9\", \"seller\": {\"name\": \"A\"}}", "source": "fuzz-s", "source_message_id": "m", "sent_at": "2025-03-01T12:00:00Z", "token": "t"}' ] ],
	[ context => [ '{"Execution": {"Id": "00000000-0000-0000-0000-000000000000", "Name": "run"}, "Task": {"Token": "x"}}' ] ],
	[ responses => [ '{"A": {"error": "Fuzz"}, "H": {"output": {"x": 1}, "after": 2}, "fuzz.step": [{"error": "E"}, {"output": 1}]}' ] ],
	[ options => [ '{"freeze": true}', '{"seed": 1, "max_steps": 100}' ] ],
	[ rule => [ '{"And": [{"Variable": "$.n", "NumericGreaterThan": 1}, {"Not": {"Variable": "$.s", "StringMatches": "a*b*"}}]}' ] ],
	[ condition => [ '{"status": [200, "5xx"], "header": {"name": "Retry-After", "equals": "5"}, "body": [{"path": "a[0]", "in": [1, "x"]}, {"matches": "a(b|c)*\\\\d{2,3}$"}]}' ] ],
	[ template => [ '{"id": "{remote_id}", "text": "Invoice {number}: {a.b[0]}", "x.$": "$.n", "list": ["{lines[0].tags}", null]}' ] ],
	[ headers => [ '{"X-A": "b", "Retry-After": "5"}', '{}' ] ],
	[ message => [ '{"number": "INV-7", "lines": [{"name": "A", "amount": 10, "tags": ["x"]}, {"name": "B"}], "total": "1.50"}' ] ],
	[ document => [
		'{"number": "F-7", "issue_date": "2025-03-01", "due_date": "2025-03-31", "type_code": "380", "currency": "EUR", "seller": {"name": "Lindqvist AB", "vat_id": "SE556677889901", "address": {"country": "SE"}},
			"buyer": {"name": "Weber GmbH", "address": {"country": "DE"}}, "allowances": [{"amount": "1.00", "reason": "r", "vat_category": "S", "vat_rate": "25"}],
			"lines": [{"id": "1", "name": "Oak table", "quantity": "2", "unit_code": "C62", "unit_price": "149.90", "vat_category": "S", "vat_rate": "25", "charges": [{"amount": 1, "reason": "x"}]}]}' ] ]);
# names of arguments that mean the same
my %like = (dead_letter_queue => 'queue', documents => 'document', corrected => 'document', a => 'document', b => 'document', output => 'input', result => 'input', violations => 'input', cause => 'error',
	variables => 'input', bodies => 'input', payload => 'message');

# ---------- what is hostile ----------

my @wild_texts = (q(''), q(' '), q('a.b'), q('"'), q(''''), q('%s%n%d'), q('$$'), q('..'), q('/'), q('"a".'), q('"a'), q('10.x'), q('99999999999.x'), q('"".""'), q('saga:'), q('sql:'), q('{secret:fuzz-key}'), q('{secret:file:/etc/passwd}'), q(U&'\FFFF'), q(E'\x01\x7f\n\r\t'), q('é𝕏ẞŉ'),
	q('null'), q('-0'), q('1e100000'), q('00000000-0000-0000-0000-000000000000'), q(repeat('x', 63)), q(repeat('é', 64)), q(repeat('x', 101)), q(repeat('x', 8192)), q(repeat('a.', 5000)), q<repeat('(', 9000)>, q(repeat('[', 10000)),
	q('$' || repeat('[0]', 2000)), q('$' || repeat('..*', 200)), q(repeat('{', 5000) || repeat('}', 5000)), q<repeat('$string(', 3000)>);
my @huge_texts = (q(repeat('x', 3000000)), q(repeat('é', 1000000)), q('$.' || repeat('a', 1000000)), q(repeat('a b', 700000)), q('[' || repeat('1,', 500000) || '1]'));
my @wild_json = ('null', 'true', '0', '-0', '1e100000', '-1e-16000', '1e308', '9' x 1001, '0.' . '3' x 1001, '9223372036854775808', '""', '"a"', '"\\u00e9\\ud83d\\ude00"', '[]', '{}', '[[]]', '[null]', '[{}]', '{"": ""}', '{"a": null}', '{"a": {"a": {"a": []}}}',
	'{"Type": "Task"}', '"{number}"', '"$..*"', '[1, "1", 1.0, true, null, {"a": 1}, [1]]', '{"é𝕏": "\\n\\t\\"\\\\"}');
my @wild_json_only = ('"\\u0000"', '"\\ud800"', '{"\\u0000": 1}', '{"a": 1, "a": 2}', '1e999999999', '"\\udc00\\ud800"', ' [1 , 2 ] ');
# each is a text that reads as JSON
my @huge_json = (q(repeat('[', 500) || repeat(']', 500)), q(repeat('[', 3000) || repeat(']', 3000)), q(repeat('[', 10000) || repeat(']', 10000)), q(repeat('{"a":', 2000) || '1' || repeat('}', 2000)),
	q('[' || repeat('{},', 100000) || '1]'), q('[' || repeat('1,', 500000) || '1]'), q('"' || repeat('x', 3000000) || '"'), q('{"a": "' || repeat('é', 1000000) || '"}'),
	q((SELECT json_object_agg(i::text, i)::text FROM generate_series(1, 50000) i)), q((SELECT json_agg(json_build_object('a', i, 'b', '{number}'))::text FROM generate_series(1, 20000) i)),
	q('{"lines": [' || repeat('{"name": "x", "amount": 1.5},', 40000) || '{}]}'));
my %wild = (
	integer => [qw(0 -1 1 2 10 10000 2147483647 -2147483648)], bigint => [qw(0 -1 1 9223372036854775807)], smallint => [qw(0 1 -1 32767)],
	numeric => [ qw(0 -1 1.50), map { "'$_'" } 'NaN', 'Infinity', '-Infinity', '1e100000', '-1e-16000', '9' x 1001 ], 'double precision' => [ map { "'$_'" } qw(0 NaN -Infinity 1e308) ],
	boolean => [qw(true false)], oid => [qw(0 1 10 1255 4294967295)],
	interval => [ map { "'$_'" } '0', '1 ms', '-1 s', '20 s', '1 day', '178000000 years', '-178000000 years', '2147483647 months', '1 mon -30 days', '-2147483648 days', '9223372036854 s', '1e-6 s' ],
	'timestamp with time zone' => [ map { "'$_'" } qw(infinity -infinity epoch now), '4714-11-24 00:00:00+00 BC', '294276-12-31 23:59:59.999999+00' ],
	date => [ map { "'$_'" } qw(infinity -infinity epoch), '5874897-12-31', '4713-01-01 BC' ],
	regrole => [ map { "'$_'" } qw(fuzz_mallory fuzz_mallory fuzz_team fuzz_alice fuzz_other postgres pg_database_owner pg_read_all_data 0 10 4294967295 987654321) ],
	regclass => [ map { "'$_'" } qw(saga.queue pg_class 0 987654321) ], regprocedure => [ map { "'$_'" } 'fuzz.step(jsonb)', '0' ],
	name => [ map { "'$_'" } '', 'fuzz_mallory', 'x' x 63 ], '"char"' => [ map { "'$_'" } '', 'q', 'w', 'é' ],
	bytea => [ q(''), q('\x00'), q('\x01ff'), q(decode(repeat('ff', 300000), 'hex')), q(decode(repeat('01', 3000), 'hex')), q(decode(repeat('00', 3000000), 'hex')) ],
	'timestamp without time zone' => [ map { "'$_'" } qw(infinity -infinity) ]);

sub any { return $_[int rand @_] }

sub quoted
{
	my ($s) = @_;
	$s =~ s/\0//g;
	return "'$s'" unless $s =~ /['\\]/;
	$s =~ s/\\/\\\\/g;
	$s =~ s/'/''/g;
	return "E'$s'";
}

# What is there to be named: ids and tokens of the two roles, stored histories, types of rows.
sub new
{
	my ($class, $server) = @_;
	my $self = bless { server => $server, composite => {} }, $class;
	my $list = sub { return [ split /\n/, $server->sql($_[0]) ] };

	$self->{token} = $list->('SELECT token FROM (SELECT token FROM fuzz.token UNION ALL SELECT token FROM fuzz_alice.token) t ORDER BY token');
	$self->{ids} = {
		tracking_id => $list->('SELECT tracking_id FROM invoice_submission ORDER BY 1'),
		dead_letter_id => $list->('SELECT dead_letter_id FROM saga.dead_letter ORDER BY 1'),
		ids => $list->('SELECT message_id FROM saga.message UNION ALL SELECT message_id FROM saga.timer ORDER BY 1'),
		id => $list->('SELECT execution_id FROM saga.execution UNION ALL SELECT execution_id FROM saga.continuation ORDER BY 1') };
	$self->{uuid} = [ map { @{ $self->{ids}{$_} } } sort keys %{ $self->{ids} } ];
	$self->{history} = $list->(q(SELECT encode(history, 'hex') FROM saga.execution WHERE history IS NOT NULL ORDER BY execution_id));
	die "there is nothing to name\n" unless @{ $self->{token} } && @{ $self->{uuid} } && @{ $self->{history} };
	return $self;
}

# The arguments of one call, as SQL. Some of those that have defaults are left out.
sub arguments
{
	my ($self, $routine) = @_;
	my @arguments = @{ $routine->{arguments} };
	splice @arguments, @arguments - int rand($routine->{defaults} + 1) if $routine->{defaults} && rand() < 0.5;
	my $how = rand;
	my $spoilt = int rand(@arguments || 1);
	return map {
		my $right = $how < 0.3 || ($how < 0.85 && $_ != $spoilt);
		$right ? $self->plausible($routine, $arguments[$_]) : $self->hostile($arguments[$_]->{type}, $routine, $arguments[$_])
	} 0 .. $#arguments;
}

sub plausible
{
	my ($self, $routine, $argument) = @_;
	my ($type, $name) = @$argument{qw(type name)};
	$name = $like{$name} // $name;

	return 'ARRAY[' . join(', ', map { $self->plausible($routine, { type => $1, name => $name }) } 1 .. any(0, 1, 2, 5)) . "]::$type" if $type =~ /^(.*)\[\]$/;
	if ($type eq 'text')
	{
		return quoted($self->name_for($routine, $name)) if $name =~ /^(?:name|workflow|queue|destination|source|secret)$/;
		return quoted(any(@{ $self->{token} })) if $name eq 'token';
		$name = 'path_of_result' if $name eq 'path' && $routine->{name} =~ /result/;
		return quoted(any(@{ $texts{$name} })) if $texts{$name};
		return quoted(any(qw(a Fuzz fuzz-q x-1)));
	}
	return quoted(any(@{ $self->{ids}{$name} // $self->{uuid} })) . '::uuid' if $type eq 'uuid';
	if ($type eq 'jsonb' || $type eq 'json')
	{
		my $of = $documents{$name} // $documents{input};
		my $text = $json->encode(any(@$of));
		$text = "[$text]" if ($argument->{name} // '') eq 'documents';
		return quoted($text) . "::$type";
	}
	return "'\\x" . any(@{ $self->{history} }) . "'::bytea" if $type eq 'bytea';
	return any(q('0'), q('1 s'), q('1 hour')) . '::interval' if $type eq 'interval';
	return any(1, 2, 10, 200) . "::$type" if $type =~ /^(?:integer|bigint|smallint|numeric|double precision)$/;
	return $self->hostile($type, $routine, $argument);
}

# a name of something of the kind that the function is about
sub name_for
{
	my ($self, $routine, $argument) = @_;
	my $kind = $names{$argument} ? $argument : $routine->{name} =~ /(workflow|queue|destination|source|secret)/ ? $1 : any(sort keys %names);
	return rand() < 0.2 ? any(@other_names) : any(@{ $names{$kind} });
}

sub hostile
{
	my ($self, $type, $routine, $argument) = @_;
	return "NULL::$type" if rand() < 0.12;
	if ($type =~ /^(.*)\[\]$/)
	{
		my $of = $1;
		my $element = $self->hostile($of, $routine, $argument);
		my @shapes = ("'{}'::$type", "ARRAY[NULL, $element]::$type", "ARRAY[[$element], [NULL]]::$type", "ARRAY[[[[[[$element]]]]]]::$type",
			"array_fill($element, ARRAY[2, 2], ARRAY[-5, 7])", "array_fill($element, ARRAY[1], ARRAY[2147483646])");
		# many of a large one would be memory of the server's own
		push @shapes, "array_fill($element, ARRAY[" . any(3, 1000, 20000) . '])' unless length $element > 100 || $element =~ /repeat|SELECT/;
		return any(@shapes);
	}
	return $self->hostile_text($routine, $argument) . '::text' if $type eq 'text' || $type =~ /^character/;
	return $self->hostile_json($type, $routine, $argument) if $type eq 'jsonb' || $type eq 'json';
	if ($type eq 'bytea' && rand() < 0.8)
	{
		return "decode('" . $self->mutated_history . "', 'hex')";
	}
	if ($type eq 'uuid')
	{
		return any(q('00000000-0000-0000-0000-000000000000'), q('ffffffff-ffff-ffff-ffff-ffffffffffff'), 'gen_random_uuid()', 'saga.make_id()', quoted(any(@{ $self->{uuid} })),
			'(SELECT execution_id FROM saga.executions ORDER BY execution_id DESC LIMIT 1)', '(SELECT dead_letter_id FROM saga.dead_letters ORDER BY dead_letter_id LIMIT 1)') . '::uuid';
	}
	return any(@{ $wild{$type} }) . "::$type" if $wild{$type};
	return $self->row($type, $routine) // "NULL::$type";
}

sub hostile_text
{
	my ($self, $routine, $argument) = @_;
	my $what = rand;
	return any(@huge_texts) if $what < 0.04;
	return any(@wild_texts) if $what < 0.5;
	if ($argument && ($argument->{name} // '') eq 'token')
	{
		my $token = any(@{ $self->{token} });
		return quoted(any(substr($token, 0, int rand length $token), "$token$token", reverse($token), mutated_text($token), mutated_text($token)));
	}
	my $right = $argument ? $self->plausible($routine, { %$argument, type => 'text' }) : q('a');
	return "$right || " . any(@wild_texts) if $what < 0.6;
	$right =~ s/^E?'(.*)'$/$1/s;
	return quoted(mutated_text($right));
}

my @tokens = ('$', '.', '..', '[', ']', '(', ')', '{', '}', '[*]', '[?(', '\'', '"', '\\', '\\u', '\ud800', ',', ':', '-', '*', '/', '%', '&', '=', '!', '~', ' and ', '0', '-1', '1e9999', 'null', 'é', '𝕏', "\n", "\x01", 'States.', 'saga:', 'sql:', 'fuzz', '#', '@', ' ');

sub mutated_text
{
	my ($s) = @_;
	for (1 .. any(1, 1, 2, 5))
	{
		my $at = int rand(length($s) + 1);
		my $what = int rand 4;
		if ($what == 0) { substr($s, $at, 1 + int rand 4) = '' if $at < length $s }
		elsif ($what == 1) { substr($s, $at, 0) = any(@tokens) }
		elsif ($what == 2) { substr($s, $at, 1) = any(@tokens) if $at < length $s }
		else { my $part = substr($s, $at, 1 + int rand 12); substr($s, $at, 0) = $part x any(1, 2, 50) }
	}
	return $s;
}

sub hostile_json
{
	my ($self, $type, $routine, $argument) = @_;
	my $what = rand;
	return '(' . any(@huge_json) . ")::$type" if $what < 0.05;
	return quoted(any(@wild_json, $type eq 'json' ? @wild_json_only : ())) . "::$type" if $what < 0.3;
	my $name = $argument->{name} // '';
	my $text = $json->encode(mutated_value(any(@{ $documents{ $like{$name} // $name } // $documents{input} }), any(0.03, 0.1, 0.3)));
	$text =~ s/(?<=[:\[,])(?:0|1|2|1\.5|2\.50)(?=[,\]}])/any('1e100000', '-1e-16000', '9223372036854775808', '1e308')/e if rand() < 0.2;
	$text =~ s/"([^"\\]*)"/any(map { qq("$1$_") } '\\u0000', '\\ud800')/e if $type eq 'json' && rand() < 0.1;
	return quoted($text) . "::$type";
}

my @leaves = (undef, JSON::PP::true, JSON::PP::false, 0, -1, 1.5, 2147483648, '', 'a', 'é𝕏', 'x' x 300, [], {}, [ [] ], '{number}', '{', '$.a', '$..*', 'fuzz-d', 'sql:fuzz.step', 'https://d.invalid/', '{secret:fuzz-key}', '2024-02-30', 'A');

# a changed copy
sub mutated_value
{
	my ($v, $rate) = @_;
	return any(@leaves) if rand() < $rate / 2;
	if (ref $v eq 'HASH')
	{
		my %copy = map { (rand() < $rate / 2 ? mutated_text($_) : $_) => mutated_value($v->{$_}, $rate) } sort keys %$v;
		delete $copy{any(sort keys %copy)} if %copy && rand() < $rate;
		if (%copy && rand() < $rate)
		{
			my ($from, $to) = (any(sort keys %copy), any(sort keys %copy));
			$copy{$to} = $copy{$from};
		}
		return \%copy;
	}
	if (ref $v eq 'ARRAY')
	{
		my @copy = map { mutated_value($_, $rate) } @$v;
		push @copy, @copy if rand() < $rate;
		return rand() < $rate ? [ \@copy ] : \@copy;
	}
	return mutated_text($v) if defined $v && !ref $v && $v =~ /[^0-9.e-]/ && rand() < 2 * $rate;
	return $v;
}

# hex digits of a stored history with some bytes changed, left out, put in, or a part repeated
sub mutated_history
{
	my ($self) = @_;
	my $hex = any(@{ $self->{history} });
	for (1 .. any(1, 1, 2, 8))
	{
		my $at = 2 * int rand(length($hex) / 2 + 1);
		my $byte = sprintf '%02x', any(0, 1, 127, 128, 255, int rand 256);
		my $what = int rand 5;
		if ($what == 0) { substr($hex, $at, 2) = $byte if $at < length $hex }
		elsif ($what == 1) { substr($hex, $at, 2 + 2 * int rand 4) = '' if $at < length $hex }
		elsif ($what == 2) { substr($hex, $at, 0) = $byte x any(1, 2, 8) }
		elsif ($what == 3) { my $part = substr($hex, $at, 2 + 2 * int rand 12); substr($hex, $at, 0) = $part x any(1, 20) }
		else { $hex = substr($hex, 0, $at) }
	}
	return $hex;
}

# a row of a type that a table or CREATE TYPE made; nothing when it is none
sub row
{
	my ($self, $type, $routine) = @_;
	my $types = $self->{composite}{$type} //= [ split /\n/, $self->{server}->sql("SELECT format_type(a.atttypid, NULL) FROM pg_attribute a JOIN pg_type t ON t.typrelid = a.attrelid
		WHERE t.oid = '$type'::regtype AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum") ];
	return undef unless @$types;
	return 'ROW(' . join(', ', map { $self->hostile($_, $routine, { type => $_, name => 'document' }) } @$types) . ")::$type";
}

1;
