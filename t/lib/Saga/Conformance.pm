# Saga::Conformance: the shared cases of the Amazon States Language, and how an answer is compared
# with the one that AWS gave. The rules are those of the cases' README.
#
#	use Saga::Conformance;
#	my @cases = grep { is_execution_case($_) } load_cases("$shared/asl-conformance");
#	my $answer = lambda_answer($resource, $effective_input);
#	my %wrong = compare_execution($case, { status => ..., output => ..., events => [...] });
package Saga::Conformance;

use strict;
use warnings;

use B ();
use Exporter 'import';
use JSON::PP;
use Math::BigInt;

our @EXPORT = qw(load_cases uses_state_type needs_only is_execution_case is_validation_case own_machines
  is_test_state_case lambda_answer compare_execution compare_validation compare_test_state json_difference
  parse_json);

# Integers of any size stay exact, and a number is told from a string.
my $json = JSON::PP->new->utf8(0)->allow_nonref->allow_bignum->canonical;

sub parse_json
{
	my ($text) = @_;
	return $json->decode($text);
}

# ---------- cases ----------

# Every case of every file, each with its definition, input and so on as text too (_text), for
# handing it on without a change to its numbers.
sub load_cases
{
	my ($dir) = @_;
	my @cases;

	for my $file (sort glob("$dir/*.jsonl"))
	{
		open my $fh, '<:encoding(UTF-8)', $file or die "cannot read $file: $!\n";
		while (my $line = <$fh>)
		{
			my $case = parse_json($line);
			$case->{_text}{$_} = $json->encode($case->{$_})
			  for grep { exists $case->{$_} } qw(definition input);
			push @cases, $case;
		}
		close $fh;
	}
	return @cases;
}

# Is there a state of that type, at any depth?
sub uses_state_type
{
	my ($value, $type) = @_;

	if (ref $value eq 'HASH')
	{
		return 1 if defined $value->{Type} && !ref $value->{Type} && $value->{Type} eq $type;
		return scalar grep { uses_state_type($_, $type) } values %$value;
	}
	return ref $value eq 'ARRAY' ? scalar grep { uses_state_type($_, $type) } @$value : 0;
}

sub needs_only
{
	my ($case, $pattern) = @_;
	return !grep { $_ !~ $pattern } @{ $case->{needs} };
}

# Executions that need the language alone, and functions; or what else the pattern has.
sub is_execution_case
{
	my ($case, $needs) = @_;
	return
		 $case->{kind} eq 'execution'
	  && needs_only($case, $needs // qr/^lambda:/);
}

# Other machines of the case, each with a name of its own that begins with the prefix: [name, definition as text].
# The texts of the case name them so afterwards.
sub own_machines
{
	my ($case, $prefix) = @_;
	my @machines;

	for my $thing (grep { $_->{state_machine} } @{ $case->{setup} // [] })
	{
		my ($name) = $thing->{state_machine}{arn} =~ /([^:]+)\z/;
		my $own = $prefix . '_' . @machines;

		s/\b\Q$name\E\b/$own/g for values %{ $case->{_text} };
		push @machines, [ $own, $json->encode($thing->{state_machine}{definition}) ];
	}
	return @machines;
}

# Definitions to be judged; those with test_state are calls of another API.
sub is_validation_case
{
	my ($case) = @_;
	return
	  $case->{kind} eq 'validation' && !$case->{test_state};
}

# Calls of the API TestState, those that it refuses among them.
sub is_test_state_case
{
	my ($case) = @_;
	return $case->{test_state};
}

# ---------- functions ----------

sub python_error
{
	my ($error, $message, $line, $statement) = @_;
	my $cause = $json->encode(
		{
			errorMessage => $message,
			errorType => $error,
			requestId => '00000000-0000-0000-0000-000000000000',
			stackTrace => [qq{  File "/var/task/handler.py", line $line, in handler\n    $statement\n}]
		});

	return { error => $error, cause => $cause };
}

my %functions = (
	id_function => sub { { output => $_[0] } },
	echo_function => sub { { output => { Return => 'HelloWorld' } } },
	return_bytes_str => sub { { output => 'HelloWorld!' } },
	large_output_string => sub { { output => 'a' x 263168 } },
	wait_60_seconds => sub { { output => $_[0], after => 60 } },
	raise_exception => sub {
		python_error('Exception', 'Some exception was raised.',
			2, 'raise Exception("Some exception was raised.")');
	},
	raise_custom_exception =>
	  sub { python_error('CustomException', '', 9, 'raise CustomException()') },
);

sub invoke_function
{
	my ($input) = @_;
	my ($name) = ($input->{FunctionName} // '') =~ /([^:]*)$/;
	my $payload = $input->{Payload} // {};
	my $answer;

	if (!$functions{$name})
	{
		return {
			error => 'Lambda.ResourceNotFoundException',
			cause => "Function not found: $name (Service: Lambda, Status Code: 404)"
		};
	}
	if (!ref $payload && !is_number($payload))
	{
		my $parsed = eval { [ parse_json($payload) ] };
		$payload = $parsed->[0] if $parsed;
	}
	$answer = $functions{$name}->($payload);
	if (exists $answer->{output})
	{
		$answer->{output} =
		  { ExecutedVersion => '$LATEST', Payload => $answer->{output}, StatusCode => 200 };
		$answer->{output}{LogResult} = 'TG9n' if ($input->{LogType} // '') eq 'Tail';
	}
	return $answer;
}

# What the function behind a Task's Resource answers to its effective input: {output}, perhaps with
# "after" seconds, or {error, cause}; undef when the resource is no function.
sub lambda_answer
{
	my ($resource, $input) = @_;

	return invoke_function($input) if $resource eq 'arn:aws:states:::lambda:invoke';
	if ($resource =~ /^arn:aws:lambda:.*:function:([^:]+)$/ && $functions{$1})
	{
		return $functions{$1}->($input);
	}
	return;
}

# ---------- values ----------

sub is_number
{
	my ($value) = @_;

	return 1 if ref($value) =~ /^Math::Big/;
	return 0 if !defined $value || ref $value;
	my $flags = B::svref_2object(\$value)->FLAGS;
	return ($flags & (B::SVf_IOK | B::SVf_NOK)) && !($flags & B::SVf_POK) ? 1 : 0;
}

sub kind
{
	my ($value) = @_;

	return 'null' if !defined $value;
	return 'boolean' if JSON::PP::is_bool($value);
	return 'number' if is_number($value);
	return 'object' if ref $value eq 'HASH';
	return 'array' if ref $value eq 'ARRAY';
	return 'string';
}

sub is_integer
{
	my ($number) = @_;
	return 1 if ref $number eq 'Math::BigInt';
	return !ref $number && "$number" =~ /^-?\d+$/;
}

# Two integers exactly, others as doubles.
sub same_number
{
	my ($x, $y) = @_;

	return Math::BigInt->new("$x") == Math::BigInt->new("$y") if is_integer($x) && is_integer($y);
	return "$x" + 0 == "$y" + 0;
}

# An expected text with <*> in it, as a pattern. An ARN with a wildcard is one wildcard as a whole.
sub wildcard_pattern
{
	my ($text) = @_;

	return qr/\A.+\z/s if $text =~ /\Aarn:[^\s"',\]})]*<\*>[^\s"',\]})]*\z/;
	$text =~ s/arn:[^\s"',\]})]*<\*>[^\s"',\]})]*/<*>/g;
	my $pattern = join '.*', map { quotemeta } split /<\*>/, $text, -1;
	return qr/\A$pattern\z/s;
}

sub same_string
{
	my ($expected, $got) = @_;

	return $expected eq $got || ($expected =~ /<\*>/ && $got =~ wildcard_pattern($expected));
}

# A text that holds a JSON object or array, parsed.
sub json_inside
{
	my ($text) = @_;

	return if ref $text || $text !~ /\A\s*[\[{]/;
	return eval { parse_json($text) };
}

# Texts that AWS worded need only be there.
sub aws_worded
{
	my ($error, $cause) = @_;

	return ($error // '') =~ /\AStates\./ || $cause =~ /\(Service: |\AUnable to execute HTTP request/;
}

sub cause_difference
{
	my ($error, $expected, $got, $path) = @_;

	return json_difference($expected, $got, $path) if !defined $expected || kind($expected) ne 'string';
	my $inside = json_inside($expected);
	if (defined $inside)
	{
		return "$path: no JSON in a text" if !defined $got || !defined json_inside($got);
		return json_difference($inside, json_inside($got), $path);
	}
	if (aws_worded($error, $expected))
	{
		return defined $got && $got ne '' ? undef : "$path: empty";
	}
	return json_difference($expected, $got, $path);
}

sub object_difference
{
	my ($expected, $got, $path) = @_;

	for my $name (sort keys %$expected)
	{
		if (!exists $got->{$name})
		{
			next if $name =~ /\ASdk(Http|Response)Metadata\z/ && ($expected->{$name} // '') eq '<*>';
			return "$path.$name: absent";
		}
		my $difference = $name eq 'Cause' && exists $expected->{Error}
		  ? cause_difference($expected->{Error}, $expected->{Cause}, $got->{Cause}, "$path.Cause")
		  : json_difference($expected->{$name}, $got->{$name}, "$path.$name");
		return $difference if defined $difference;
	}
	for my $name (sort keys %$got)
	{
		return "$path.$name: not expected" if !exists $expected->{$name};
	}
	return;
}

# Where and how a value differs from the expected one; undef when it does not.
sub json_difference
{
	my ($expected, $got, $path) = @_;
	$path //= '$';

	my $kind = kind($expected);
	return if $kind eq 'string' && $expected eq '<*>';
	return "$path: " . kind($got) . " instead of $kind" if kind($got) ne $kind;
	if ($kind eq 'object')
	{
		return object_difference($expected, $got, $path);
	}
	if ($kind eq 'array')
	{
		return "$path: " . @$got . ' elements instead of ' . @$expected if @$got != @$expected;
		for my $i (0 .. $#$expected)
		{
			my $difference = json_difference($expected->[$i], $got->[$i], "$path\[$i]");
			return $difference if defined $difference;
		}
		return;
	}
	my $same =
		$kind eq 'null' ? 1
	  : $kind eq 'boolean' ? !$expected == !$got
	  : $kind eq 'number' ? same_number($expected, $got)
	  : same_string($expected, $got);
	return $same ? undef : "$path: " . $json->encode($got) . ' instead of ' . $json->encode($expected);
}

# ---------- verdicts ----------

sub list_difference
{
	my ($expected, $got, $ordered) = @_;
	my @expected = @$expected;
	my @got = @$got;

	if (!$ordered)
	{
		return 'first or last differs'
		  if @expected && @got && ($expected[0] ne $got[0] || $expected[-1] ne $got[-1]);
		@expected = sort @expected;
		@got = sort @got;
	}
	return "@got instead of @expected" if "@got" ne "@expected";
	return;
}

# The differences by what they are in: status, output, error, cause, events, states, assigned.
# Got: status, output (present when there is one), error, cause, and events, each with type and
# details {name, assignedVariables}; without events those three are left out.
sub compare_execution
{
	my ($case, $got) = @_;
	my $expect = $case->{expect};
	my $ordered = !exists $case->{events_ordered} || $case->{events_ordered};
	my %wrong;

	$wrong{status} = ($got->{status} // 'none') . " instead of $expect->{status}"
	  if ($got->{status} // '') ne $expect->{status};
	if (exists $expect->{output})
	{
		$wrong{output} =
		  exists $got->{output} ? json_difference($expect->{output}, $got->{output}) : 'absent';
	}
	$wrong{error} = json_difference($expect->{error}, $got->{error}) if exists $expect->{error};
	if (exists $expect->{cause_json})
	{
		my $inside = defined $got->{cause} ? json_inside($got->{cause}) : undef;
		$wrong{cause} =
		  defined $inside ? json_difference($expect->{cause_json}, $inside) : 'no JSON in it';
	}
	elsif (exists $expect->{cause})
	{
		$wrong{cause} = cause_difference($expect->{error}, $expect->{cause}, $got->{cause}, 'cause');
	}
	if ($got->{events})
	{
		my @entered = grep { $_->{type} =~ /StateEntered\z/ } @{ $got->{events} };
		my @assigned = grep { exists $_->{details}{assignedVariables} } @{ $got->{events} };

		$wrong{events} =
		  list_difference($case->{events}, [ map { $_->{type} } @{ $got->{events} } ], $ordered)
		  if $case->{events};
		if ($case->{states})
		{
			my @names = map { $_->{details}{name} } @entered;
			my @expected = @{ $case->{states} };
			@names = sort @names if !$ordered;
			@expected = sort @expected if !$ordered;
			$wrong{states} = list_difference(\@expected, \@names, 1);
		}
		if ($case->{assigned} && $ordered)
		{
			$wrong{assigned} = json_difference($case->{assigned},
				[ map { [ $_->{details}{name}, $_->{details}{assignedVariables} ] } @assigned ]);
		}
	}
	return map { ($_ => $wrong{$_}) } grep { defined $wrong{$_} } keys %wrong;
}

# Got: refused (could not even be stored), or diagnostics: [{severity, code, location}].
sub compare_validation
{
	my ($case, $got) = @_;
	my $expect = $case->{expect};
	my @errors = grep { $_->{severity} eq 'ERROR' } @{ $got->{diagnostics} // [] };
	my $verdict = $got->{refused} || @errors ? 'FAIL' : 'OK';

	return (validation => "$verdict instead of $expect->{validation}")
	  if $verdict ne $expect->{validation};
	return if $got->{refused} || $verdict eq 'OK';
	for my $wanted (@{ $expect->{diagnostics} // [] })
	{
		next if $wanted->{location} !~ m{\A/};
		next if grep { $_->{code} eq $wanted->{code} && $_->{location} eq $wanted->{location} } @errors;
		return (diagnostics => "none is $wanted->{code} at $wanted->{location}: "
			  . join ', ', map { "$_->{code} at $_->{location}" } @errors);
	}
	return;
}

# Got: refused (with an error's text), or the answer of saga.test_state(). A case of kind
# validation is a call that has to be refused.
sub compare_test_state
{
	my ($case, $got) = @_;
	my $expect = $case->{expect};

	if ($case->{kind} eq 'validation')
	{
		return (validation => "not refused: $got->{status}") if !defined $got->{refused};
		return;
	}
	return (status => "refused: $got->{refused}") if defined $got->{refused};
	my %wrong = compare_execution($case, $got);
	for my $name (grep { exists $expect->{$_} || exists $got->{$_} } qw(nextState error))
	{
		my $difference = json_difference($expect->{$name}, $got->{$name}, $name);
		$wrong{$name} = $difference if defined $difference;
	}
	if ($expect->{inspection})
	{
		my $difference = json_difference($expect->{inspection}, $got->{inspectionData}, 'inspection');
		$wrong{inspection} = $difference if defined $difference;
	}
	return %wrong;
}

1;
