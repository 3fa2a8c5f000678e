# Saga::Books: the model of t/112_books.pl. Workflows that end in every way, what the service that they call may do,
# and the reckoning: what each execution says of itself, beside what the service did.
#
# A document is known by its number. An ending is a workflow whose executions book one document, or one for each item
# of a Map, themselves or in executions that they start. What they say stands in the rows of the execution and of all
# that were started by it, or that undo them: its family.
package Saga::Books;

use strict;
use warnings;

use Exporter 'import';
use JSON::PP;

our @EXPORT = qw(chance between copy settings faults endings definition document reckon);

my $json = JSON::PP->new->canonical;
my ($true, $false) = (JSON::PP::true, JSON::PP::false);

sub chance { return rand() < $_[0] }
sub between { my ($from, $to) = @_; return $from + int(rand($to - $from + 1)) }
sub copy { return $json->decode($json->encode($_[0])) }

# ---------- the service ----------

# How a destination of each kind finds out what became of a call.
my %settles = (
	lookup => { idempotency => { in => 'none' } },
	both => {},
	key => { idempotency => { ttl_s => 3600 } },
	blind => { idempotency => { in => 'none' } });

# The settings of a destination of that kind.
sub settings
{
	my ($server, $kind) = @_;
	my %settings = (
		url => $server->url('/v1/invoices'), allow_private => $true, timeout_ms => between(500, 1500), base_ms => 20, cap_ms => 200,
		max_attempts => between(1, 4), capture => { remote_id => 'id' }, settle => { deadline_s => 0 + ($ENV{SAGA_BOOKS_DEADLINE} // 25) },
		compensate => { url => '/v1/invoices/{remote_id}/void', already_done => { status => [400], body => { contains => 'VOIDED' } } },
		%{ $settles{$kind} });
	# a request is late by 2 seconds at most, and a full machine makes that more
	$settings{lookup} = { url => '/v1/invoices?number={number}&seller={seller}', found => 'invoices[0]', timeout_ms => 5000,
		same => { path => 'invoices[0].total', equals => '{total}' }, capture => { remote_id => 'invoices[0].id' }, delay_ms => 6000 }
	  if $kind eq 'lookup' || $kind eq 'both';
	return $json->encode(\%settings);
}

# A request may be late, lost before or after its effect, or refused; so may be its undoing.
sub faults
{
	my ($kind) = @_;
	my @post = (method => 'POST', path => '/v1/invoices');
	my @undo = (method => 'POST', path => '/void$/');
	my $p = sub { return probability => between(5, 25) / 100 };
	my @rules = (
		{ @post, action => 'delay', ms => between(300, 2000), at => 'before', $p->() },
		{ @post, action => 'delay', ms => between(300, 2000), at => 'after', $p->() },
		{ @post, action => 'drop_before', $p->() },
		{ @post, action => 'drop_after', $p->() },
		{ @post, action => 'status', status => (403, 422, 500, 503)[ between(0, 3) ], $p->() },
		{ @post, action => 'status', status => 500, effect => $true, $p->() },
		{ @post, action => 'garbage_json', $p->() },
		{ @undo, action => 'drop_after', $p->() },
		{ @undo, action => 'status', status => 500, $p->() },
		{ method => 'GET', path => '/v1/invoices', action => 'status', status => 500, $p->() },
		{ method => 'GET', path => '/v1/invoices', action => 'garbage_json', $p->() });
	return { modes => { duplicate => 'allow', $kind eq 'key' ? () : (idempotency => 'none') }, rules => [ grep { chance(0.6) } @rules ] };
}

# What an execution books; refuse: its path fails after that, where there is a choice.
sub document
{
	my ($number, $refuse) = @_;
	return { number => $number, currency => 'EUR', seller => 'S', buyer => 'B', total => '1.19', tax => '0.19',
		lines => [ { amount => '1.00' } ], refuse => $refuse ? $true : $false };
}

# ---------- the endings ----------

sub book
{
	my ($name, %more) = @_;
	return { Type => 'Task', Resource => 'arn:aws:states:::http:invoke', Compensate => 'Void', TimeoutSeconds => 60, ResultPath => '$.booked',
		Parameters => { ApiEndpoint => "saga:$name", Method => 'POST', 'RequestBody.$' => '$' }, End => $true, %more };
}

# The service knows it by a number of its own, which nobody has: what is to be undone is written down.
sub publish
{
	my ($name, %more) = @_;
	return { Type => 'Task', Resource => 'saga:publish', Compensate => 'TakeBack', ResultPath => '$.booked',
		Parameters => { Destination => $name, 'Payload.$' => '$' }, %more };
}

# Each of the documents of the input; the results are collected. mode: INLINE or DISTRIBUTED.
sub map_of
{
	my ($mode, $states, %more) = @_;
	my $processor = { StartAt => 'Start', States => copy($states) };
	$processor->{ProcessorConfig} = { Mode => 'DISTRIBUTED', ExecutionType => 'STANDARD' } if $mode eq 'DISTRIBUTED';
	return { Type => 'Map', ItemsPath => '$.items', ItemProcessor => $processor, ResultPath => '$.booked', End => $true, %more };
}

# An execution of another workflow, which is waited for, or not.
sub child
{
	my ($workflow, $how, $input, %more) = @_;
	return { Type => 'Task', Resource => "arn:aws:states:::states:startExecution$how", TimeoutSeconds => 60, ResultPath => '$.booked',
		Parameters => { StateMachineArn => $workflow, 'Input.$' => $input }, End => $true, %more };
}

my $refuse = { Type => 'Task', Resource => 'sql:public.refuse', End => $true };
my $succeed = { Type => 'Succeed' };
sub next_is { return (End => undef, Next => $_[0]) }
sub catch { my ($next, @names) = @_; return { ErrorEquals => [@names], Next => $next, ResultPath => '$.error' } }
sub retry { my ($n, @names) = @_; return { ErrorEquals => [@names], IntervalSeconds => 1, MaxAttempts => $n } }
sub pause { my ($next) = @_; return { Type => 'Wait', Seconds => 1, Next => $next } }

# Beside the state, a branch that fails while that is at work.
sub beside
{
	my ($state) = @_;
	return (Type => 'Parallel', Branches => [ { StartAt => 'Book', States => { Book => $state } },
		{ StartAt => 'Pause', States => { Pause => pause('Refuse'), Refuse => $refuse } } ]);
}

# Executions that book one document themselves.
sub endings_of_one
{
	my ($name) = @_;
	my %parallel = beside(book($name));
	my @late = (TimeoutSeconds => 1);
	my @again = (Retry => [ retry(2, 'States.ALL') ]);
	# what is done has an answer of which nothing can be made
	my @unfit = (@late, @again, ResultSelector => { 'x.$' => "States.StringToJson('{')" });
	my %unfit = (Start => book($name, @unfit, Catch => [ catch('Done', 'States.ALL') ]), Done => $succeed);
	my %later = (Start => book($name, @late, next_is('Wait'), Catch => [ catch('Wait', 'States.ALL') ]),
		Wait => { Type => 'Wait', Seconds => 2, Next => 'Refuse' }, Refuse => $refuse);
	my %done = (Start => book($name, @late, Catch => [ catch('Done', 'States.ALL') ]), Done => $succeed);
	my %published = (Start => publish($name, Next => 'Wait'), Wait => pause('Refuse'), Refuse => $refuse);
	return (
		published => { states => \%published, restored => 1 },
		published_at_once => { states => { Start => publish($name, Next => 'Refuse'), Refuse => $refuse }, restored => 1 },
		published_in_order => { states => { Start => publish($name, Next => 'Wait', Parameters => { Destination => $name, 'Payload.$' => '$', OrderingKey => 'one' }),
			Wait => pause('Refuse'), Refuse => $refuse }, restored => 1 },
		published_stopped => { states => \%published, stop => 'true' },
		published_killed => { states => \%published, stop => 'false' },
		token => { states => { Start => book($name, TimeoutSeconds => 2, Resource => 'arn:aws:states:::http:invoke.waitForTaskToken') } },
		plain => { states => { Start => book($name) }, restored => 1 },
		fails => { states => { Start => book($name, next_is('Refuse')), Refuse => $refuse }, restored => 1 },
		late => { states => { Start => book($name, @late) }, restored => 1 },
		caught => { states => { Start => book($name, @late, Catch => [ catch('Done', 'States.ALL') ]), Done => $succeed }, restored => 1 },
		caught_fails => { states => { Start => book($name, @late, Catch => [ catch('Pause', 'States.ALL') ]),
			Pause => pause('Refuse'), Refuse => $refuse }, restored => 1 },
		kept => { states => { Start => book($name, @late, Catch => [ catch('Done', 'Saga.Uncertain'), catch('Done', 'States.ALL') ]), Done => $succeed }, kept => 1, restored => 1 },
		kept_fails => { states => { Start => book($name, @late, Catch => [ catch('Refuse', 'Saga.Uncertain') ]), Refuse => $refuse } },
		retried => { states => { Start => book($name, @late, @again) } , restored => 1 },
		unfit => { states => { Start => book($name, @unfit) } },
		unfit_caught => { states => \%unfit },
		unfit_stopped => { states => \%unfit, stop => 'true' },
		unfit_killed => { states => \%unfit, stop => 'false' },
		unfit_kept => { states => { Start => book($name, @unfit, Catch => [ catch('Done', 'Saga.Uncertain', 'States.IntrinsicFailure'), catch('Done', 'States.ALL') ]),
			Done => $succeed }, kept => 1 },
		unfit_published => { states => { Start => publish($name, ResultPath => '$.number.a', Next => 'Done', @again, Catch => [ catch('Done', 'States.ALL') ]), Done => $succeed } },
		named => { states => { Start => book($name, @late, Retry => [ retry(1, 'Saga.Uncertain') ],
			Catch => [ catch('Refuse', 'States.ALL') ]), Refuse => $refuse } },
		sibling => { states => { Start => { %parallel, End => $true } } },
		sibling_again => { states => { Start => { %parallel, End => $true, Retry => [ retry(1, 'NotWanted') ] } }, times => 2 },
		again => { states => { Start => book($name, @late, Catch => [ catch('Same', 'States.ALL') ]),
			Same => { Type => 'Pass', Parameters => { map({ ("$_.\$" => "\$.$_") } qw(number currency seller buyer total tax lines)) }, Next => 'Count' },
			Count => pause('Refuse'), Refuse => $refuse }, restored => 1 },
		over => { states => { Start => book($name) }, top => { TimeoutSeconds => 1 } },
		later_stopped => { states => \%later, stop => 'true' },
		later_killed => { states => \%later, stop => 'false' },
		done_stopped => { states => \%done, stop => 'true' },
		done_killed => { states => \%done, stop => 'false' },
		sibling_stopped => { states => { Start => { %parallel, End => $true } }, stop => 'true' },
		sibling_killed => { states => { Start => { %parallel, End => $true } }, stop => 'false' },
		fails_killed => { states => { Start => book($name, next_is('Refuse')), Refuse => $refuse }, stop => 'false' },
		stopped => { states => { Start => book($name, next_is('Refuse')), Refuse => $refuse }, stop => 'true' },
		killed => { states => { Start => book($name, next_is('Wait')), Wait => pause('Refuse'), Refuse => $refuse }, stop => 'false' });
}

# Executions with a Map, of which one item fails after it has booked. What they book has been looked at by item.
sub endings_of_maps
{
	my ($name, $prefix, $mode) = @_;
	my %item = (Start => book($name, next_is('Which')), Done => $succeed, Refuse => $refuse,
		Which => { Type => 'Choice', Choices => [ { Variable => '$.refuse', BooleanEquals => $true, Next => 'Refuse' } ], Default => 'Done' });
	my %late = (Start => book($name, TimeoutSeconds => 1));
	my %caught = (Start => book($name, TimeoutSeconds => 1, Catch => [ catch('Done', 'States.ALL') ]), Done => $succeed);
	my %kept = (Start => book($name, TimeoutSeconds => 1, Catch => [ catch('Done', 'Saga.Uncertain'), catch('Done', 'States.ALL') ]), Done => $succeed);
	my %published = (Start => publish($name, Next => 'Which'), map({ $_ => $item{$_} } qw(Which Done Refuse)));
	my @one = (ToleratedFailureCount => 1);
	my @all = (ToleratedFailurePercentage => 100);
	my $map = sub { my ($item, @more) = @_; return map_of($mode, $item, @more) };
	my %then_fails = (Wait => pause('Refuse'), Refuse => $refuse);
	my @done = (Catch => [ catch('Done', 'States.ALL') ]);
	my %endings = (
		plain => { states => { Start => $map->({ Start => book($name) }) } },
		fails => { states => { Start => $map->({ Start => book($name) }, next_is('Wait')), %then_fails } },
		refuses => { states => { Start => $map->(\%item) } },
		refuses_caught => { states => { Start => $map->(\%item, @done), Done => $succeed } },
		refuses_again => { states => { Start => $map->(\%item, Retry => [ retry(1, 'NotWanted', 'States.ExceedToleratedFailureThreshold') ]) }, times => 2 },
		one_by_one => { states => { Start => $map->(\%item, MaxConcurrency => 1, @one, next_is('Wait')), %then_fails } },
		tolerated => { states => { Start => $map->(\%item, @all) }, restored => 1 },
		tolerated_fails => { states => { Start => $map->(\%item, @all, next_is('Wait')), %then_fails }, restored => 1 },
		too_many => { states => { Start => $map->(\%late, @one, @done), Done => $succeed } },
		late => { states => { Start => $map->(\%late, @all) }, restored => 1 },
		caught => { states => { Start => $map->(\%caught) }, restored => 1 },
		kept => { states => { Start => $map->(\%kept) }, kept => 1, restored => 1 },
		published => { states => { Start => $map->(\%published, @all, next_is('Wait')), %then_fails }, restored => 1 },
		beside => { states => { Start => { beside($map->(\%item, @one)), End => $true } } },
		over => { states => { Start => $map->(\%item, @all) }, top => { TimeoutSeconds => 1 } },
		stopped => { states => { Start => $map->({ Start => book($name) }, @all, next_is('Wait')), %then_fails }, stop => 'true' },
		killed => { states => { Start => $map->({ Start => book($name) }, @all, next_is('Wait')), %then_fails }, stop => 'false' },
		inside => { states => { Start => $map->({ Start => map_of('INLINE', \%item, @all, ItemsPath => '$.items') }, ItemsPath => '$.groups', @all) }, restored => 1 },
		inside_fails => { states => { Start => $map->({ Start => map_of('INLINE', \%item, @one, ItemsPath => '$.items') }, ItemsPath => '$.groups', next_is('Wait')), %then_fails } },
		children => { states => { Start => $map->({ Start => child("$name-$prefix-children-child", '.sync:2', '$') }, @all, next_is('Wait')), %then_fails },
			child => \%item, restored => 1 },
		children_stopped => { states => { Start => $map->({ Start => child("$name-$prefix-children_stopped-child", '.sync:2', '$') }, @all, next_is('Wait')), %then_fails },
			child => \%item, stop => 'true' });
	# what an item of these has completed stands when the Map's failure is caught; where it is an execution, if that has succeeded
	$endings{$_}{$mode eq 'INLINE' ? 'kept' : 'kept_whole'} = 1 foreach qw(refuses_caught too_many);
	if ($mode eq 'DISTRIBUTED')
	{
		my @two = (ItemBatcher => { MaxItemsPerBatch => 2 });
		my $batch = { Start => map_of('INLINE', \%item, @all, ItemsPath => '$.Items') };
		$endings{batches} = { states => { Start => $map->($batch, @two, @all) }, restored => 1 };
		$endings{batches_fail} = { states => { Start => $map->({ Start => map_of('INLINE', \%item, ItemsPath => '$.Items') }, @two, @one, next_is('Wait')), %then_fails } };
		# its handler takes the place of those of its items; inline, both are run
		$endings{own} = { states => { Start => $map->(\%item, @all, Compensate => 'TakeAllBack', next_is('Wait')), %then_fails } };
		$endings{own_refuses} = { states => { Start => $map->(\%item, Compensate => 'TakeAllBack') } };
		$endings{stopped_itself} = { states => { Start => $map->({ Start => book($name), }, @all) }, stop => 'true', stop_items => 1 };
		$endings{killed_itself} = { states => { Start => $map->({ Start => book($name), }, @all) }, stop => 'false', stop_items => 1 };
	}
	return map { ("$prefix-$_" => { %{ $endings{$_} }, items => 3 }) } keys %endings;
}

# Executions that start others, which book a document each.
sub endings_of_children
{
	my ($name) = @_;
	my %plain = (Start => book($name));
	my %refuses = (Start => book($name, next_is('Refuse')), Refuse => $refuse);
	my %late = (Start => book($name, TimeoutSeconds => 1));
	my %caught = (Start => book($name, TimeoutSeconds => 1, Catch => [ catch('Done', 'States.ALL') ]), Done => $succeed);
	my %then_fails = (Wait => pause('Refuse'), Refuse => $refuse);
	my @done = (Catch => [ catch('Done', 'States.ALL') ]);
	# of each: what the child does, what is said of it, how it is waited for, what the state that starts it has beside that, and what comes then
	my %kinds = (
		plain => [ \%plain, { restored => 1 }, '.sync' ],
		fails => [ \%plain, { restored => 1 }, '.sync:2', [ next_is('Wait') ], \%then_fails ],
		refuses => [ \%refuses, { restored => 1 }, '.sync:2' ],
		refuses_caught => [ \%refuses, { restored => 1 }, '.sync', [@done], { Done => $succeed } ],
		refuses_again => [ \%refuses, { times => 2 }, '.sync:2', [ Retry => [ retry(1, 'States.TaskFailed') ] ] ],
		late => [ \%late, { restored => 1 }, '.sync:2', [@done], { Done => $succeed } ],
		caught => [ \%caught, { restored => 1 }, '.sync:2' ],
		given_up => [ \%plain, {}, '.sync:2', [ TimeoutSeconds => 1, @done ], { Done => $succeed } ],
		given_up_fails => [ \%plain, {}, '.sync', [ TimeoutSeconds => 1, Catch => [ catch('Wait', 'States.ALL') ] ], \%then_fails ],
		given_up_again => [ \%plain, { times => 2 }, '.sync:2', [ TimeoutSeconds => 1, Retry => [ retry(1, 'States.Timeout') ] ] ],
		own => [ \%plain, {}, '.sync:2', [ Compensate => 'TakeAllBack', next_is('Wait') ], \%then_fails ],
		own_stopped => [ \%plain, { stop => 'true' }, '.sync:2', [ Compensate => 'TakeAllBack', next_is('Wait') ], \%then_fails ],
		over => [ \%plain, { top => { TimeoutSeconds => 1 } }, '.sync:2' ],
		stopped => [ \%plain, { stop => 'true' }, '.sync:2', [ next_is('Wait') ], \%then_fails ],
		killed => [ \%plain, { stop => 'false' }, '.sync:2', [ next_is('Wait') ], \%then_fails ],
		stopped_itself => [ \%plain, { stop => 'true', stop_items => 1 }, '.sync:2', [@done], { Done => $succeed } ],
		killed_itself => [ \%plain, { stop => 'false', stop_items => 1 }, '.sync:2', [@done], { Done => $succeed } ],
		let_go => [ \%plain, { alone => 1, restored => 1 }, '', [ next_is('Refuse') ], { Refuse => $refuse } ],
		let_go_refuses => [ \%refuses, { alone => 1, restored => 1 }, '' ],
		let_go_stopped => [ \%plain, { alone => 1, stop => 'true' }, '', [ next_is('Wait') ], \%then_fails ]);
	my %endings = map {
		my ($child, $said, $how, $more, $then) = @{ $kinds{$_} };
		("child-$_" => { %$said, items => 1, child => $child,
			states => { Start => child("$name-child-$_-child", $how, '$.items[0]', @{ $more // [] }), %{ $then // {} } } }) } keys %kinds;

	foreach my $how ([ beside => {} ], [ beside_stopped => { stop => 'true' } ], [ beside_killed => { stop => 'false' } ])
	{
		my ($kind, $said) = @$how;
		$endings{"child-$kind"} = { %$said, items => 1, child => \%plain,
			states => { Start => { beside(child("$name-child-$kind-child", '.sync:2', '$.items[0]')), End => $true } } };
	}
	# a child that starts one
	foreach my $how ([ grand_fails => {} ], [ grand_stopped => { stop => 'true' } ], [ grand_killed => { stop => 'false' } ])
	{
		my ($kind, $said) = @$how;
		$endings{"child-$kind"} = { %$said, items => 1, grandchild => \%plain,
			child => { Start => child("$name-child-$kind-grandchild", '.sync:2', '$') },
			states => { Start => child("$name-child-$kind-child", '.sync:2', '$.items[0]', next_is('Wait')), %then_fails } };
	}
	return %endings;
}

# All of them, by name. Of each:
#
# states			of the workflow, the first is Start; child, grandchild: of the workflows that it starts; top: other fields
# items				so many documents, which are items of the input; none: the input is the document
# stop				it is stopped, and this is said of compensation; stop_items: not it, but what it started
# times				it may book so often, as it is tried again after it was undone
# kept				when it has succeeded, what it has not completed may stand; kept_whole: what items have that have succeeded
# alone				what it starts goes its own way
# restored			each of its calls is come to, whatever fails: so a server that was restored comes to it, too
sub endings
{
	my ($name) = @_;
	return (endings_of_one($name), endings_of_maps($name, 'map', 'INLINE'), endings_of_maps($name, 'items', 'DISTRIBUTED'), endings_of_children($name));
}

# A machine, or what is inside a Parallel or Map, made complete: handlers are added, and names are told apart, as they
# have to be in all of a definition.
sub complete
{
	my ($machine, $handlers, $count) = @_;
	my $states = $machine->{States};
	my $suffix = $$count++ || '';
	my %named;

	$states->{$_} = copy($handlers->{$_}) foreach grep { defined } map { $_->{Compensate} } values %$states;
	foreach my $name (sort keys %$states)
	{
		my $state = $named{"$name$suffix"} = $states->{$name};
		delete $state->{End} unless $state->{End};
		foreach my $way ($state, @{ $state->{Catch} // [] }, @{ $state->{Choices} // [] })
		{
			$way->{$_} .= $suffix foreach grep { defined $way->{$_} } qw(Next Default Compensate);
		}
		my @inside = (@{ $state->{Branches} // [] }, $state->{ItemProcessor} // ());
		complete($_, $handlers, $count) foreach @inside;
	}
	$machine->{States} = \%named;
	$machine->{StartAt} .= $suffix;
	return $machine;
}

# The definition of a workflow with these states, to which the handlers are added; top: other fields of it.
sub definition
{
	my ($destination, $states, $top) = @_;
	my %handlers = (
		Void => { Type => 'Task', Resource => 'arn:aws:states:::http:invoke', Parameters => { ApiEndpoint => "saga:$destination",
			Operation => 'compensate', 'RequestBody.$' => '$.input.RequestBody', 'Captured.$' => '$.output.Captured' } },
		TakeBack => { Type => 'Task', Resource => 'sql:public.take_back' },
		TakeAllBack => { Type => 'Task', Resource => 'sql:public.take_all_back' });
	return $json->encode(complete({ StartAt => 'Start', States => copy($states), %{ $top // {} } }, \%handlers, \(my $count = 0)));
}

# ---------- the reckoning ----------

# Documents that stand in an output as booked: there is an answer, and no error. An answer that was cut off says nothing.
sub booked_in
{
	my ($value) = @_;
	return map { booked_in($_) } @$value if ref $value eq 'ARRAY';
	return booked_in(eval { $json->decode($value) }) if defined $value && !ref $value && $value =~ /^\{/;
	return () if ref $value ne 'HASH' || $value->{error};
	return $value->{number} if $value->{number} && $value->{booked};
	return map { booked_in($_) } values %$value;
}

# The rows of the family that begins with each execution that nobody has started.
sub families
{
	my ($rows) = @_;
	my %by_id = map { $_->{id} => $_ } @$rows;
	my %families;

	foreach my $row (@$rows)
	{
		my $first = $row;
		while (my $before = $first->{started_by} // $first->{undoes}) { $first = $by_id{$before} // last }
		push @{ $families{ $first->{id} } }, $row;
	}
	return map { [ $by_id{$_}, $families{$_} ] } sort keys %families;
}

# May it list what executions that it has started have done, for which there is no message of its own?
sub starts_others
{
	my ($ending, $row) = @_;
	return $row->{workflow} !~ ($ending->{grandchild} ? qr/-grandchild$/ : qr/-child$/) if $ending->{child};
	return $ending->{states}{Start} && $json->encode($ending->{states}) =~ /DISTRIBUTED/ && !$row->{input}{number};
}

# What is wrong, as texts. rows: executions of the run, each with its ending's name and what it has (t/112_books.pl);
# books: of the service, by number; taken_back: how often it was undone by hand, by number; numbers: of a message.
sub reckon
{
	my (%of) = @_;
	my (%seen, @started, @wrong);

	foreach my $family (families($of{rows}))
	{
		my ($root, $members) = @$family;
		my $ending = $of{endings}{ $root->{ending} };
		my @booked = grep { $_->{number} } map { $_->{input}{number} ? $_->{input} : @{ $_->{input}{items} // [] },
			map { @{ $_->{items} } } @{ $_->{input}{groups} // [] } } $root;
		my $succeeded = $root->{status} eq 'SUCCEEDED';
		my %completed = map { $_ => 1 } booked_in($succeeded ? $root->{output} : undef);
		my %whole = map { $_->{input}{number} => 1 } grep { $_->{input}{number} && $_->{status} eq 'SUCCEEDED' } @$members;
		my @entries = map { @{ $_->{listed} // [] } } @$members;
		my $say = sub { push @wrong, [ "$_[0]: " . $json->encode($_[2] // $root), $_[1] ] };

		$say->('has not ended') if grep { $_->{status} =~ /RUNNING|COMPENSATING/ } @$members;
		foreach my $member (grep { @{ $_->{listed} // [] } } @$members)
		{
			$say->('no dead letter tells of it', undef, $member) if ($member->{letter} // '') ne 'Saga.CompensationFailed';
		}
		foreach my $member (grep { !starts_others($ending, $_) } @$members)
		{
			$say->('an entry has no message', undef, $member) if grep { !$_->{message_id} || !$_->{key} } @{ $member->{listed} // [] };
		}
		if ($ending->{alone} && !$root->{input}{number})
		{
			# it has nothing of its own, but what it has started is there
			push @started, [ $say, @booked ] if $succeeded || ($root->{error} // '') eq 'NotWanted';
			next;
		}
		my @without = grep { !$_->{message_id} } @entries;
		foreach my $number (map { $_->{number} } @booked)
		{
			my $book = $of{books}{$number} // { posted => 0, voided => 0 };
			my $posted = $book->{posted};
			my $voided = $book->{voided} + ($of{taken_back}{$number} // 0);
			my $stands = $posted - $voided;
			my @listed = grep { $_->{message_id} && ($of{numbers}{ $_->{message_id} } // '') eq $number } @entries;
			my $completed = $ending->{items} && !$ending->{alone} ? $completed{$number} : $succeeded && !$root->{output}{error};
			my $kept = $succeeded && ($ending->{kept} || $ending->{kept_whole} && $whole{$number});
			my $tell = sub { $say->("$_[0]: $number: posted $posted, voided $voided", $number) };

			$seen{$number}++ && $tell->('is in two executions');
			if ($posted > ($ending->{times} // 1)) { $tell->('done more than once') }
			elsif ($voided > $posted) { $tell->('undone more than once') }
			elsif ($stands > @listed + ($completed || $kept || @without ? 1 : 0)) { $tell->('stands, and nobody knows') }
			elsif ($completed && !$stands && !@listed) { $tell->('completed, and is not there') }
			elsif ($stands < grep { $_->{outcome} eq 'done' } @listed) { $tell->('is said to be there') }
		}
	}
	foreach my $started (@started)
	{
		my ($say, @booked) = @$started;
		$say->('what it has started is not there') if grep { !$seen{ $_->{number} } } @booked;
	}
	return @wrong;
}

1;
