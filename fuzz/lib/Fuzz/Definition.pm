# Fuzz::Definition: definitions in Amazon States Language that nobody would write. It takes real ones,
# of the shared cases, the documentation, the demonstration and the tests, and changes them in their
# structure (members, states, machines in machines), in their texts (paths, intrinsic functions) and
# in their numbers.
package Fuzz::Definition;

use strict;
use warnings;
no warnings 'recursion';
use utf8;

use File::Find;
use JSON::PP;

my $json = JSON::PP->new->allow_nonref->canonical->allow_bignum(0);

# what a Task may call here: functions of the harness, and of outside what is never asked
my @resources = (('sql:fuzz.id') x 6, ('sql:fuzz.fail') x 3, 'sql:fuzz.raise', 'sql:fuzz.id.waitForTaskToken', 'sql:fuzz.absent', 'saga:publish', 'arn:aws:states:::http:invoke',
	'arn:aws:states:::sqs:sendMessage', 'arn:aws:states:::sns:publish', 'arn:aws:states:::states:startExecution', 'arn:aws:states:::states:startExecution.sync:2',
	'arn:aws:lambda:us-east-1:111111111111:function:id', 'arn:aws:states:::lambda:invoke', 'arn:aws:states:us-east-1:111111111111:activity:fuzz', 'arn:aws:states:::dynamodb:getItem');

# written as numbers, which Perl would round
my @numbers = map { "\@\@$_\@\@" } ('1e100000', '-1e-16000', '9223372036854775807', '-9223372036854775808', '9223372036854775808', '2147483648', '99999999', '100000000', '0.5', '1e300', '-0.0',
	'123456789012345678901234567890.5', '1E2', '31622401');
my @leaves = (undef, JSON::PP::true, JSON::PP::false, 0, 1, -1, 1.5, 2, 100, '', 'a', ' ', 'é𝕏', "\x{1F600}" x 20, 'x' x 300, "a\"b\\c\n\t", "\x{7f}\x{85}", [], {}, [ [] ], [ {} ], '$', '$$', '$.a', '$.a[0]', '$..*', '$.list[*]',
	'$.list[?(@.n > 1)]', '$$.Execution.Input', '$$.Map.Item.Value', '$$.Map.Item.Index', '$$.State.RetryCount', '$v', '$v.a', 'States.ALL', 'States.TaskFailed', 'States.Timeout', 'Fuzz', '2024-02-29T12:00:00Z', '2024-02-30T00:00:00Z',
	'{} {}', 'A*\\*', 'States.Array($, 1)', 'States.UUID()', 'States.Format(\'{}\', $)', 'States.MathAdd($.n, 1)', 'States.StringToJson($.s)', 'States.ArrayRange(1, 900, 1)', 'States.JsonMerge($, $, false)', @numbers);
my @tokens = ('$', '$$', '@', '.', '..', '[', ']', '(', ')', '[*]', '.*', '[?(', ')]', '\'', '"', '\\', '\\u', ',', ':', '-', '{}', '\\{', '==', '&&', '||', '!', ' in ', '0', '-1', '9999999999', '1e999999', 'null', 'true', 'é', '𝕏', ' ', "\n",
	"\x{1}", 'States.', 'States.Array(', '.length()', '[0]', '[1:2]', '{', '}', '.waitForTaskToken', '.sync', '.$', '/', '~', '#', '%', '&', '*', '?');

# expressions of JSONata
my @queries = map { "{% $_ %}" } ('$states.input', '$states', '$states.result', '$states.errorOutput', '$states.context.Map.Item.Value', '$states.context.State.Name', '$states.input.list', '$states.input.n + 1', '$states.input.n > 1', '$v', '$v.a', '$absent',
	'$states.input.list[n > 1]', '$states.input.**', '[1..3]', '$map([1..3], function($x) { $x * $states.input.n })', '{"a": $states.input.a, "v": $v}', '$merge([$states.input, {"b": 1}])', 'function($x) { $x }', '$states.input^(n)', '1/0', '$sum($states.input.list.n)',
	'"é"', 'null', 'true', '0', '1', '$string($states)', '$partition($states.input.list, 2)', '$parse($states.input.s)', '$states.input.list{s: n}', '%', '(', '$states := 1', '$keys($states.context)', '$error("Fuzz")', '$states.input.a@$x.b#$i.{"x": $x, "i": $i}');

# members of states, and what they may be
my @errors = ([ 'States.ALL' ], [ 'Fuzz' ], [ 'Fuzz', 'States.TaskFailed' ], [ 'States.Timeout', 'States.HeartbeatTimeout' ], [ 'States.Runtime' ], [ 'SQL.22012' ], []);
my %members = (
	Retry => sub { [ map { { ErrorEquals => any(@errors), any(MaxAttempts => MaxAttempts => 'BackoffRate', 'IntervalSeconds', 'MaxDelaySeconds') => any(0, 1, 2, 1.5, @numbers), any('JitterStrategy', 'Comment') => any('FULL', 'NONE', 'x') } } 1 .. any(0, 1, 2, 12) ] },
	Catch => sub { [ map { { ErrorEquals => any(@errors), Next => $_[0]->(), any('ResultPath', 'Comment') => any('$', '$.e', undef, '$.a.b'), any('Assign', 'Comment') => { 'v.$' => '$' } } } 1 .. any(0, 1, 3) ] },
	Compensate => sub { any($_[0]->(), $_[0]->(), any(@leaves)) },
	Commit => sub { any(JSON::PP::true, JSON::PP::false, 1) },
	Next => sub { $_[0]->() },
	End => sub { any(JSON::PP::true, JSON::PP::true, JSON::PP::false, 'true') },
	StartAt => sub { $_[0]->() },
	Default => sub { $_[0]->() },
	TimeoutSeconds => sub { any(1, 60, 0, @numbers) },
	HeartbeatSeconds => sub { any(1, 2, @numbers) },
	TimeoutSecondsPath => sub { any('$.n', '$.s', '$$.Execution.Input.n') },
	Seconds => sub { any(0, 1, @numbers) },
	Timestamp => sub { any('2024-02-29T12:00:00Z', '9999-12-31T23:59:59Z', '0001-01-01T00:00:00Z', 'x') },
	InputPath => sub { any('$', undef, '$.a', '$.list[0]', '$$', '$v', '$..*') },
	OutputPath => sub { any('$', undef, '$.a', '$.a.b', '$.list[*]') },
	ResultPath => sub { any('$', undef, '$.r', '$.a.b.c', '$.list[0]', '$[\'a.b\']', '$$.x') },
	ResultSelector => sub { { 'r.$' => any('$', '$.a', '$$.Map.Item.Index', 'States.JsonToString($)') } },
	Parameters => sub { any({ 'a.$' => '$', b => [ 1, { 'c.$' => '$$.State.Name' } ] }, { 'x.$' => any(@leaves) }, [], any(@leaves)) },
	ItemSelector => sub { { 'v.$' => any('$$.Map.Item.Value', '$', '$$.Map.Item.Index', '$$.Map.Item.Key', '$$.Map.Item.Source') } },
	Assign => sub { { 'v.$' => any('$', '$.a', '$v'), 'größe' => 1 } },
	Result => sub { any({ a => { b => [ 1, 2 ] }, list => [ { n => 1 }, { n => 2 } ] }, any(@leaves)) },
	ItemsPath => sub { any('$', '$.list', '$.a.b', '$..*', '$$.Execution.Input.list') },
	MaxConcurrency => sub { any(0, 1, 2, 40, @numbers) },
	MaxConcurrencyPath => sub { '$.n' },
	ToleratedFailureCount => sub { any(0, 1, @numbers) },
	ToleratedFailurePercentage => sub { any(0, 50, 100, 33.3, @numbers) },
	ToleratedFailurePercentagePath => sub { any('$.n', '$.s') },
	Label => sub { any('L', 'é', 'x' x 41, 'a b') },
	ItemReader => sub { { Resource => any('sql:fuzz.rows', 'saga:table', 'arn:aws:states:::s3:getObject', 'sql:fuzz.id', 'sql:fuzz.raise_rows'), Parameters => any({ 'n.$' => '$' }, { Bucket => 'b', Key => 'k' }, {}), ReaderConfig => any({ MaxItems => any(1, 2, @numbers) }, {}, { InputType => 'CSV', CSVHeaderLocation => 'FIRST_ROW' }) } },
	ItemBatcher => sub { { any('MaxItemsPerBatch', 'MaxInputBytesPerBatch') => any(1, 2, 100, @numbers), any('BatchInput', 'MaxItemsPerBatchPath') => any({ 'i.$' => '$' }, '$.n', {}) } },
	ResultWriter => sub { { Resource => any('saga:table', 'arn:aws:states:::s3:putObject', 'sql:fuzz.id'), Parameters => any({}, { Bucket => 'b' }, { 'Table.$' => '$.s', Table => 'fuzz.results' }, { Table => 'fuzz.results' }) } },
	ProcessorConfig => sub { any({ Mode => 'INLINE' }, { Mode => 'DISTRIBUTED', ExecutionType => any('STANDARD', 'EXPRESS') }, { Mode => any(@leaves) }) },
	QueryLanguage => sub { any('JSONPath', 'JSONata', 'x') },
	Choices => sub { [ map { { any({ Variable => any('$.n', '$.s', '$.absent', '$v'), any('NumericEquals', 'StringMatches', 'IsPresent', 'IsNull', 'BooleanEquals', 'TimestampLessThan', 'NumericLessThanPath') => any(@leaves) },
		{ Not => { Variable => '$.n', NumericLessThan => any(1, @numbers) } }, { Or => [ { Variable => '$.a', IsPresent => JSON::PP::true } ] })->%*, Next => $_[0]->() } } 1 .. any(1, 2, 5) ] },
	Type => sub { any(qw(Task Pass Choice Wait Succeed Fail Parallel Map)) },
	Error => sub { any('E', '', @leaves) },
	ErrorPath => sub { any('$.s', 'States.UUID()', '$.n') },
	CausePath => sub { any('$.s', 'States.JsonToString($)') },
	Credentials => sub { { RoleArn => 'arn:aws:iam::111111111111:role/x' } },
	Arguments => sub { any({ a => any(@queries), b => [ 1, { c => any(@queries) } ] }, any(@queries), any(@leaves)) },
	Output => sub { any({ a => any(@queries), b => [ any(@queries), any(@leaves) ] }, any(@queries), any(@leaves)) },
	Items => sub { any([ 1, any(@queries) ], any(@queries), any(@leaves)) },
	Condition => sub { any(@queries, JSON::PP::true) },
	Cause => sub { any(@queries, @leaves) },
	Comment => sub { any(@leaves) });
# of a JSONata state some are expressions
for my $name (qw(Assign ItemSelector Seconds Timestamp TimeoutSeconds HeartbeatSeconds MaxConcurrency ToleratedFailureCount ToleratedFailurePercentage Error Credentials))
{
	my $plain = $members{$name};
	my $is_object = $name =~ /Assign|ItemSelector|Credentials/;
	$members{$name} = sub { rand() < 0.7 ? $plain->(@_) : $is_object ? { any('v', 'x', 'RoleArn', 'states') => any(@queries) } : any(@queries) };
}

my @built_in = map { $json->decode($_) } (
	'{"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": "sql:fuzz.id", "Retry": [{"ErrorEquals": ["Fuzz"], "MaxAttempts": 1, "IntervalSeconds": 1}], "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "C", "ResultPath": "$.e"}], "Compensate": "U", "Next": "C"},
		"C": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericGreaterThan": 2, "Next": "F"}], "Default": "S"}, "S": {"Type": "Succeed"}, "F": {"Type": "Fail", "Error": "E", "Cause": "c"}, "U": {"Type": "Task", "Resource": "sql:fuzz.id"}}}',
	'{"StartAt": "M", "States": {"M": {"Type": "Map", "ItemsPath": "$.list", "MaxConcurrency": 2, "ToleratedFailureCount": 1, "ItemSelector": {"i.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value"},
		"ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Task", "Resource": "sql:fuzz.id", "Compensate": "U", "End": true}, "U": {"Type": "Task", "Resource": "sql:fuzz.id"}}}, "End": true}}}',
	'{"StartAt": "D", "States": {"D": {"Type": "Map", "ItemReader": {"Resource": "sql:fuzz.rows", "Parameters": {"n": 5}}, "ItemBatcher": {"MaxItemsPerBatch": 2, "BatchInput": {"b.$": "$.n"}}, "ToleratedFailurePercentage": 40, "Label": "L",
		"ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "I", "States": {"I": {"Type": "Task", "Resource": "sql:fuzz.id", "End": true}}}, "Next": "F"}, "F": {"Type": "Fail"}}}',
	'{"StartAt": "P", "States": {"P": {"Type": "Parallel", "Branches": [{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:fuzz.id", "Compensate": "U", "End": true}, "U": {"Type": "Pass", "End": true}}},
		{"StartAt": "B", "States": {"B": {"Type": "Task", "Resource": "sql:fuzz.fail", "End": true}}}], "Catch": [{"ErrorEquals": ["Fuzz"], "Next": "W"}], "ResultPath": "$.p", "Next": "W"}, "W": {"Type": "Wait", "Seconds": 0, "End": true}}}');
push @built_in, map { $json->decode($_) } (
	'{"QueryLanguage": "JSONata", "StartAt": "C", "States": {"C": {"Type": "Choice", "Choices": [{"Condition": "{% $states.input.n > 1 %}", "Assign": {"v": "{% $states.input.n %}"}, "Output": {"list": "{% $states.input.list %}", "n": "{% $states.input.n %}"}, "Next": "T"}], "Default": "S"},
		"T": {"Type": "Task", "Resource": "sql:fuzz.id", "Arguments": {"l": "{% $states.input.list %}", "n": "{% $v %}"}, "Output": "{% $merge([$states.input, $states.result]) %}", "Catch": [{"ErrorEquals": ["States.ALL"], "Assign": {"e": "{% $states.errorOutput.Error %}"}, "Output": {"list": []}, "Next": "M"}],
		"Compensate": "U", "Next": "M"}, "U": {"Type": "Task", "Resource": "sql:fuzz.id", "Arguments": "{% $states.input.output %}"}, "S": {"Type": "Succeed", "Output": ["{% $states.input %}", 1.50]},
		"M": {"Type": "Map", "Items": "{% [$states.input.list] %}", "ItemSelector": {"i": "{% $states.context.Map.Item.Index %}", "v": "{% $states.context.Map.Item.Value %}"}, "ToleratedFailureCount": "{% 1 %}", "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Pass", "Output": "{% $states.input.v.n * 2 %}", "End": true}}},
		"Output": "{% $count($states.result) %}", "Next": "W"}, "W": {"Type": "Wait", "Seconds": "{% 0 %}", "Next": "F"}, "F": {"Type": "Fail", "Error": "{% \"E\" & $v %}", "Cause": "{% $string($states.input) %}"}}}',
	'{"StartAt": "A", "States": {"A": {"Type": "Pass", "Assign": {"v.$": "$"}, "Next": "P"}, "P": {"Type": "Parallel", "QueryLanguage": "JSONata", "Arguments": {"n": "{% $states.input.n %}"}, "Branches": [{"StartAt": "B", "States": {"B": {"Type": "Pass", "End": true}}},
		{"StartAt": "Q", "States": {"Q": {"Type": "Pass", "QueryLanguage": "JSONata", "Assign": {"v": "{% $v.n %}"}, "Output": "{% $keys($v) %}", "End": true}}}], "Output": {"r": "{% $states.result %}", "v": "{% $v %}"}, "End": true}}}');
my @inputs = map { $json->decode($_) } ('{"a": {"b": [1, 2, {"c": "x"}]}, "n": 2, "s": "a,é b", "t": "z", "b": true, "time": "2024-02-29T10:00:00Z", "list": [{"n": 1, "s": "x"}, {"n": 3, "s": null}, 4]}', '{}', '[[1, "a"], {}, null]', '"text"', 'null',
	'{"list": {"k1": 1, "k2": {"n": 2}}, "n": 1, "s": "{\"a\": 1}"}', '{"n": 0, "list": []}');

# names of states that are made anew
my $names = 0;

sub any { return $_[int rand @_] }

# Reads what there is; the folder of the tree, and of the shared cases (may be undef).
sub new
{
	my ($class, $tree, $shared) = @_;
	$names = 0;
	my $self = bless { definitions => [@built_in], inputs => [@inputs], input_of => {} }, $class;
	$self->read_shared("$shared/asl-conformance") if defined $shared && -d "$shared/asl-conformance";
	$self->read_tree($tree);
	return $self;
}

sub slurp
{
	my ($file) = @_;
	open my $in, '<:utf8', $file or die "$file: $!\n";
	local $/;
	return scalar <$in>;
}

sub read_shared
{
	my ($self, $folder) = @_;
	my $operators = 0;
	foreach my $file (sort glob("$folder/*.jsonl"))
	{
		foreach my $line (split /\n/, slurp($file))
		{
			my $case = eval { $json->decode($line) } or next;
			next unless ref $case->{definition} eq 'HASH' && $case->{definition}{States};
			# hundreds of them are one operator each
			next if $file =~ /choice_operators/ && $operators++ % 8;
			push @{ $self->{definitions} }, $case->{definition};
			next unless ref $case->{input} && length $json->encode($case->{input}) < 5000;
			push @{ $self->{inputs} }, $case->{input};
			$self->{input_of}{ $case->{definition} } = $case->{input};
		}
	}
	return;
}

# Every machine in a text of the tree, also within quotation marks of SQL.
sub read_tree
{
	my ($self, $tree) = @_;
	my @files;
	find({ no_chdir => 1, wanted => sub { push @files, $_ if /\.(?:md|sql|json|pl)$/ && -f && !/node_modules|tmp_check/ } }, grep { -d } map { "$tree/$_" } qw(docs demo sql t src/invoice));
	foreach my $text (map { slurp($_) } sort @files)
	{
		while ($text =~ /\{\s*"(?:Comment|StartAt)"\s*:/g)
		{
			my $rest = substr($text, $-[0], 20_000);
			my $definition = eval { ($json->decode_prefix($rest))[0] } // eval { ($json->decode_prefix($rest =~ s/''/'/gr))[0] };
			push @{ $self->{definitions} }, $definition if ref $definition eq 'HASH' && ref $definition->{States} eq 'HASH';
		}
	}
	return;
}

# ---------- changes ----------

sub copy { return $json->decode($json->encode($_[0])) }

sub mutated_text
{
	my ($s) = @_;
	return any(@numbers) if $s =~ /\@\@/;
	for (1 .. any(1, 1, 2, 5))
	{
		my $at = int rand(length($s) + 1);
		my $what = int rand 4;
		if ($what == 0) { substr($s, $at, 1 + int rand 4) = '' if $at < length $s }
		elsif ($what == 1) { substr($s, $at, 0) = any(@tokens) }
		elsif ($what == 2) { substr($s, $at, 1) = any(@tokens) if $at < length $s }
		else { my $part = substr($s, $at, 1 + int rand 12); substr($s, $at, 0) = $part x any(1, 2, 20) }
	}
	return substr($s, 0, 2000);
}

# All objects and arrays within a value, it first.
sub containers
{
	my ($v, $list) = @_;
	return unless ref $v eq 'HASH' || ref $v eq 'ARRAY';
	push @$list, $v;
	containers($_, $list) foreach ref $v eq 'HASH' ? map { $v->{$_} } sort keys %$v : @$v;
	return;
}

# The objects that have states.
sub machines { return grep { ref $_ eq 'HASH' && ref $_->{States} eq 'HASH' && %{ $_->{States} } } @{ $_[0] } }

# Another name for a state, where it is defined and, mostly, where it is named.
sub rename_state
{
	my ($machine, $all) = @_;
	my $old = any(sort keys %{ $machine->{States} });
	my $new = any(mutated_text($old), any('é', "\x{1F600}", 'x' x 80, 'x' x 81, 'a "quoted" \\ name', "line\nbreak", '', ' ', 'States', '/~0', '{}', '$'), any(sort keys %{ $machine->{States} }));
	$machine->{States}{$new} = delete $machine->{States}{$old};
	return if rand() < 0.1;
	foreach my $o (grep { ref $_ eq 'HASH' } @$all)
	{
		foreach my $member (qw(Next StartAt Default Compensate))
		{
			$o->{$member} = $new if defined $o->{$member} && !ref $o->{$member} && $o->{$member} eq $old;
		}
	}
	return;
}

# A machine inside a state of another one: a branch, or what processes items.
sub nested
{
	my ($self, $machine) = @_;
	my %inner = (StartAt => $machine->{StartAt}, States => $machine->{States});
	my $config = any(undef, { Mode => 'INLINE' }, { Mode => 'DISTRIBUTED', ExecutionType => any('STANDARD', 'EXPRESS') });
	$inner{ProcessorConfig} = $config if $config;
	my $state = rand() < 0.4
	  ? { Type => 'Parallel', Branches => [ \%inner, any(map { copy($_) } { StartAt => 'B', States => { B => { Type => 'Pass', End => JSON::PP::true } } }, { StartAt => 'Bf', States => { Bf => { Type => 'Task', Resource => 'sql:fuzz.fail', End => JSON::PP::true } } }) ] }
	  : { Type => 'Map', ItemProcessor => \%inner, ItemsPath => any('$', '$.list', '$.a.b') };
	delete $inner{ProcessorConfig} if $state->{Branches};
	my $name = 'Outer' . int rand 100;
	$state->{End} = JSON::PP::true;
	if (rand() < 0.4)
	{
		my $member = any(qw(Retry Catch Compensate ResultPath ResultSelector ToleratedFailureCount MaxConcurrency ItemBatcher ItemReader ItemSelector ResultWriter));
		$state->{$member} = $members{$member}->(sub { $name });
	}
	return { StartAt => $name, States => { $name => $state } };
}

# One change at one place.
sub change
{
	my ($self, $definition) = @_;
	my @all;
	containers($definition, \@all);
	my @machines = machines(\@all);
	my @states = map { my $m = $_; map { [ $m, $_ ] } grep { ref $m->{States}{$_} eq 'HASH' } sort keys %{ $m->{States} } } @machines;
	my $what = int rand 16;
	if ($what < 6 && @states)
	{
		my ($machine, $name) = @{ any(@states) };
		my $state = $machine->{States}{$name};
		my $some_name = sub { rand() < 0.9 ? any(sort keys %{ $machine->{States} }) : mutated_text($name) };
		if ($what < 4)
		{
			my $member = any(sort keys %members);
			my $at = rand() < 0.1 ? $machine : $state;
			$at->{$member} = $members{$member}->($some_name);
			delete $at->{ $member eq 'Next' ? 'End' : 'Next' } if $member =~ /^(?:Next|End)$/;
		}
		elsif ($what == 4) { rename_state($machine, \@all) }
		else
		{
			my @other;
			containers(any(@{ $self->{definitions} }), \@other);
			my $donor = any(machines(\@other));
			$machine->{States}{$name} = copy(any(map { $donor->{States}{$_} } sort keys %{ $donor->{States} })) if $donor;
		}
		return $definition;
	}
	return $self->nested($definition) if $what < 8 && ref $definition eq 'HASH' && length $json->encode($definition) < 20_000;
	my $at = any(@all) // return $definition;
	my $hash = ref $at eq 'HASH';
	my @keys = $hash ? sort keys %$at : 0 .. $#$at;
	return $definition unless @keys;
	my $key = any(@keys);
	my $value = $hash ? $at->{$key} : $at->[$key];
	if ($what == 8) { if ($hash) { delete $at->{$key} } else { splice @$at, $key, 1 } return $definition }
	if ($what == 9) { if ($hash) { $at->{ any(mutated_text($key), any(sort keys %members)) } = copy($value) } else { push @$at, copy($value) } return $definition }
	if ($what == 10 && $hash) { $at->{ mutated_text($key) } = delete $at->{$key}; return $definition }
	if ($what == 11)
	{
		# two values change places
		my $other = any(@keys);
		if ($hash) { @{$at}{ $key, $other } = @{$at}{ $other, $key } } else { @{$at}[ $key, $other ] = @{$at}[ $other, $key ] }
		return $definition;
	}
	if ($what == 12) { $value = copy($value); $value = rand() < 0.5 ? [$value] : { any('a', 'And', 'States', 'x.$') => $value } for 1 .. any(1, 3, 40, 250) }
	elsif (defined $value && !ref $value && $value =~ /\D/) { $value = mutated_text($value) }
	elsif (defined $value && !ref $value) { $value = any(@numbers, 0, 1, 2) }
	else { $value = any(@leaves) }
	if ($hash) { $at->{$key} = $value } else { $at->[$key] = $value }
	return $definition;
}

# So that most of it can run here, and soon: functions that are there, short waits.
sub tame
{
	my ($v) = @_;
	if (ref $v eq 'ARRAY') { tame($_) foreach @$v }
	return unless ref $v eq 'HASH';
	foreach my $key (sort keys %$v)
	{
		if ($key eq 'Resource' && !ref $v->{$key} && defined $v->{$key} && ($v->{Type} // '') eq 'Task' && rand() < 0.9) { $v->{$key} = any(@resources) }
		elsif ($key eq 'Seconds' && rand() < 0.7) { $v->{$key} = 0 }
		else { tame($v->{$key}) }
	}
	return;
}

# ---------- made anew ----------

sub maybe { my ($rate, %members) = @_; return rand() < $rate ? %members : () }

# What is done about an error: tried again at once, or another state that comes later.
sub on_error
{
	my (@later) = @_;
	return (maybe(0.15, Retry => [ { ErrorEquals => any([ 'Fuzz' ], [ 'States.ALL' ], [ 'States.TaskFailed' ]), MaxAttempts => any(0, 1, 2), IntervalSeconds => 1 } ]),
		@later ? maybe(0.5, Catch => [ { ErrorEquals => any([ 'States.ALL' ], [ 'Fuzz', 'SQL.22012' ]), Next => any(@later), maybe(0.5, ResultPath => any('$.error', '$')), maybe(0.2, Assign => { 'caught.$' => '$' }) } ]) : ());
}

sub made_state
{
	my ($self, $name, $depth, $states, @later) = @_;
	my $type = any(qw(Task Task Task Pass Pass Wait), @later ? qw(Choice Choice) : (), $depth > 0 ? qw(Parallel Parallel Map Map Map) : ());
	my %state = (Type => $type);
	return { Type => 'Choice', Choices => [ map { { Variable => any('$.n', '$n', '$.absent'), any([ NumericGreaterThan => 1 ], [ NumericEquals => 2 ], [ IsPresent => JSON::PP::true ], [ IsNumeric => JSON::PP::false ])->@*, Next => any(@later) } } 1 .. any(1, 2) ], Default => $later[0] } if $type eq 'Choice';
	%state = (%state, Seconds => 0) if $type eq 'Wait';
	%state = (%state, maybe(0.3, Result => { n => any(0, 1, 2), list => [ 1, 2, 3 ] }), maybe(0.3, Parameters => { 'n.$' => '$.n', 'all.$' => '$' })) if $type eq 'Pass';
	%state = (%state, Resource => any(('sql:fuzz.id') x 5, 'sql:fuzz.fail', 'sql:fuzz.raise'), maybe(0.3, Parameters => { 'n.$' => '$.n', 'list.$' => '$.list' }), maybe(0.1, TimeoutSeconds => 60), on_error(@later)) if $type eq 'Task';
	%state = (%state, Branches => [ map { $self->made($depth - 1) } 1 .. any(1, 2, 2, 3) ], on_error(@later)) if $type eq 'Parallel';
	%state = (%state, $self->made_map($depth), on_error(@later)) if $type eq 'Map';
	%state = (%state, maybe(0.7, ResultPath => any('$.r', '$.list[0]', '$.a', undef))) if $type !~ /Wait/;
	%state = (%state, maybe(0.2, Assign => { 'n.$' => '$' }), maybe(0.1, OutputPath => any('$', '$.a', '$')));
	if ($type =~ /Task|Parallel|Map/ && rand() < 0.4)
	{
		my $handler = 'U' . ++$names;
		$states->{$handler} = { Type => 'Task', Resource => any('sql:fuzz.id', 'sql:fuzz.id', 'sql:fuzz.id', 'sql:fuzz.fail') };
		$state{Compensate} = $handler;
	}
	return \%state;
}

sub made_map
{
	my ($self, $depth) = @_;
	my $processor = $self->made($depth - 1);
	my %map = (ItemProcessor => $processor, maybe(0.6, ItemsPath => '$.list'), maybe(0.3, MaxConcurrency => any(1, 2)), maybe(0.3, any('ToleratedFailureCount', 'ToleratedFailurePercentage') => any(1, 50)),
		maybe(0.4, ItemSelector => { 'n.$' => '$$.Map.Item.Index', 'list.$' => '$.list', 'v.$' => '$$.Map.Item.Value' }));
	return %map if rand() < 0.6;
	$processor->{ProcessorConfig} = { Mode => 'DISTRIBUTED', ExecutionType => any('STANDARD', 'EXPRESS') };
	if (rand() < 0.5)
	{
		delete $map{ItemsPath};
		$map{ItemReader} = { Resource => any(('sql:fuzz.rows') x 3, 'sql:fuzz.raise_rows'), Parameters => { 'n.$' => '$.n' }, maybe(0.3, ReaderConfig => { MaxItems => any(1, 3) }) };
	}
	return (%map, maybe(0.3, ItemBatcher => { MaxItemsPerBatch => any(1, 2), maybe(0.5, BatchInput => { 'b.$' => '$.n' }) }), maybe(0.2, Label => 'L' . ++$names));
}

# A machine without a fault, which goes on to states that come later only.
sub made
{
	my ($self, $depth) = @_;
	my @names = map { 'S' . ++$names } 1 .. any(1, 1, 2, 3, 4);
	my %states;
	foreach my $i (0 .. $#names)
	{
		my @later = @names[ $i + 1 .. $#names ];
		if (!@later && rand() < 0.25)
		{
			$states{ $names[$i] } = any({ Type => 'Fail', Error => 'E', Cause => 'c' }, { Type => 'Succeed' });
			last;
		}
		my $state = $states{ $names[$i] } = $self->made_state($names[$i], $depth, \%states, @later);
		if ($state->{Type} eq 'Choice') { }
		elsif (@later) { $state->{Next} = $later[0] }
		else { $state->{End} = JSON::PP::true }
	}
	return { StartAt => $names[0], States => \%states };
}

# A definition and an input for it.
sub definition
{
	my ($self) = @_;
	my $from = any(@{ $self->{definitions} });
	my $kind = rand;
	my $definition = copy($kind < 0.5 ? $self->made(any(1, 2, 2, 3)) : $kind < 0.6 ? any(@built_in) : $from);
	my $own = $kind >= 0.6 ? $self->{input_of}{$from} : undef;
	tame($definition) if $kind >= 0.6 && rand() < 0.85;
	$definition = $self->change($definition) for 1 .. any(0, 0, 1, 1, 1, 2, 2, 4);
	my $input = copy($own && rand() < 0.8 ? $own : any(@inputs[ 0, 0, 0, 0, 5, 6 ], @inputs, any(@{ $self->{inputs} })));
	$input = $self->change($input) for 1 .. any(0, 0, 0, 1, 3);
	return ($definition, $input);
}

# The text of a value, with its odd numbers.
sub text
{
	my $text = $json->encode($_[1]);
	$text =~ s/"\@\@([^\@"]*)\@\@"/$1/g;
	$text =~ s/\x{0}|\\u0000//g;
	return $text;
}

# Names of the states of a definition, at any depth.
sub state_names
{
	my ($self, $definition) = @_;
	my @all;
	containers($definition, \@all);
	return map { sort keys %{ $_->{States} } } machines(\@all);
}

1;
