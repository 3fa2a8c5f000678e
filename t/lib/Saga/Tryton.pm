# Saga::Tryton: Tryton's server as a child of a test, with its database in the test's cluster, set up
# by the demo's own program. It ends with the test.
#
#	use Saga::Tryton;
#	skip_without_tryton();			# before the plan
#	my $tryton = Saga::Tryton->new($node, @documents);	# JSON texts that say what the books need
#	$tryton->kill9; $tryton->start;
#	my @invoices = $tryton->invoices;
package Saga::Tryton;

use strict;
use warnings;

use Carp;
use Exporter 'import';
use File::Basename;
use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Saga::Test qw(kill_process);
use Test::More;

our @EXPORT = qw(skip_without_tryton);

my $demo = dirname(__FILE__) . '/../../../demo/tryton';
my $json = JSON::PP->new->utf8;
my @running;

sub on_path
{
	my ($program) = @_;
	return scalar grep { -x "$_/$program" } split /:/, $ENV{PATH};
}

# With CI=true a Tryton that is not there is a failure.
sub skip_without_tryton
{
	return if on_path('trytond') && on_path('trytond-admin');
	croak 'Tryton is not installed' if ($ENV{CI} // '') eq 'true';
	plan(skip_all => 'Tryton is not installed: t/deps installs it where Debian has its packages');
}

sub new
{
	my ($class, $node, @documents) = @_;
	my $self = bless { node => $node, dir => File::Temp->newdir('saga-tryton-XXXXXX', TMPDIR => 1) }, $class;
	my @files;

	foreach my $document (@documents)
	{
		push @files, "$self->{dir}/document-" . @files . '.json';
		append_to_file($files[-1], $document);
	}
	push @running, $self;
	$self->tryton('prepare');
	$self->start;
	$self->tryton('setup', @files);
	return $self;
}

# The demo's program, in the directory of this server; what it prints.
sub tryton
{
	my ($self, $command, @args) = @_;
	local @ENV{qw(PGHOST PGPORT PGUSER PGDATABASE)} =
	  ($self->{node}->host, $self->{node}->port, $ENV{PGUSER} // (getpwuid($<))[0], 'postgres');
	my ($out, $err) = run_command([ 'node', "$demo/tryton.js", $command, "$self->{dir}", @args ]);
	croak "tryton.js $command failed: $err" if $? != 0;
	return $out;
}

# run_command() has pipes, which a server that stays would hold: this one's output is a file.
sub start { my ($self) = @_; $self->tryton('start'); return }

sub kill9 { my ($self) = @_; kill_process($self->pid); return }

sub file
{
	my ($self, $name) = @_;
	my $text = slurp_file("$self->{dir}/$name");
	chomp $text;
	return $text;
}

sub pid { return $_[0]->file('pid') }
sub url { return $_[0]->file('url') }
sub invoices { return map { $json->decode($_) } split /\n/, $_[0]->tryton('invoices') }

# {currency => {account => balance}}
sub balance
{
	my ($self) = @_;
	return {
		map { my $b = $_; $b->{currency} => { map { $_->{name} => $_->{balance} } @{ $b->{accounts} } } }
		map { $json->decode($_) } split /\n/, $self->tryton('balance') };
}

# The invoice workflow of this node books in Tryton from now on.
sub change_workflow
{
	my ($self, $owner) = @_;
	my @variables = map { ('-v', $_) } "map=" . $self->file('map.json'), "owner=$owner", 'url=' . $self->url,
	  "password=$self->{dir}/password", map { "$_=" . slurp_file("$demo/$_.json") } qw(destinations states);
	$self->{node}->command_ok([ 'psql', '-X', '-q', '-d', $self->{node}->connstr('postgres'), '-v', 'ON_ERROR_STOP=1',
			@variables, '-f', "$demo/books.sql", '-f', "$demo/workflow.sql" ], 'the workflow books in Tryton');
	return;
}

END
{
	local $?;
	foreach my $self (@running)
	{
		my $pid = -e "$self->{dir}/pid" ? $self->pid : 0;
		kill('KILL', $pid) if $pid > 1;
	}
}

1;
