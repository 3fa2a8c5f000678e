# Saga::Server: one of the servers of t/servers as a child of a test. It listens on a free port of
# 127.0.0.1, keeps that port when started again, and is killed when the test ends.
package Saga::Server;

use strict;
use warnings;

use Carp;
use File::Basename;
use File::Temp;
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Time::HiRes qw(time usleep);

my $servers = dirname(__FILE__) . '/../../servers';
my $json = JSON::PP->new->canonical->utf8;
my @running;

# start(kind, options): accounting takes faults => [rules], seed => N, data => FILE,
# args => [further arguments].
sub start
{
	my ($class, $kind, %opt) = @_;
	my $self = bless {
		kind => $kind,
		port => $opt{port} // free_port(),
		seed => $opt{seed} // 1,
		args => $opt{args} // [],
		dir  => File::Temp->newdir("saga-$kind-XXXXXX", TMPDIR => 1) }, $class;

	$self->{data} = $opt{data} // "$self->{dir}/data";
	push @running, $self;
	$self->run;
	$self->faults($opt{faults}) if $opt{faults};
	return $self;
}

sub free_port
{
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1)
	  or croak "could not find a free port: $@";
	return $socket->sockport;
}

sub port { return $_[0]->{port} }
sub pid { return $_[0]->{pid} }
sub log { return "$_[0]->{dir}/log" }
sub url { my ($self, $path) = @_; return "http://127.0.0.1:$self->{port}" . ($path // '') }

# Start, or start again after stop() or kill9(), and wait until it answers.
sub run
{
	my ($self) = @_;
	my @cmd =
	  $self->{kind} eq 'accounting'
	  ? ('node', "$servers/accounting.js", '--port', $self->{port}, '--data', $self->{data},
		'--seed', $self->{seed}, @{ $self->{args} })
	  : ('node', "$servers/$self->{kind}.js", '--port', $self->{port}, @{ $self->{args} });
	my $log = $self->log;
	my $pid = fork() // croak "could not fork: $!";

	if ($pid == 0)
	{
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>>', $log);
		open(STDERR, '>&', \*STDOUT);
		exec(@cmd) or POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	my $end = time + ($ENV{PG_TEST_TIMEOUT_DEFAULT} || 180);
	while (time < $end)
	{
		return $self
		  if IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}, Timeout => 1);
		last if waitpid($pid, POSIX::WNOHANG()) == $pid;
		usleep(30_000);
	}
	croak "$self->{kind} server does not start, its log: " . $self->log_text;
}

sub log_text
{
	my ($self) = @_;
	open(my $fh, '<', $self->log) or return '';
	local $/;
	return scalar <$fh>;
}

sub stop
{
	my ($self, $signal) = @_;
	my $pid = delete $self->{pid} // return;
	local $?;
	kill($signal // 'TERM', $pid);
	my $end = time + 5;
	until (waitpid($pid, POSIX::WNOHANG()) != 0)
	{
		kill('KILL', $pid) if time > $end;
		usleep(10_000);
	}
	return;
}

sub kill9 { return $_[0]->stop('KILL') }

# One request with a JSON body; returns the decoded body, dies unless the status is 2xx.
sub request
{
	my ($self, $method, $path, $body) = @_;
	my %opt = (headers => { 'content-type' => 'application/json' });
	$opt{content} = $json->encode($body) if defined $body;
	my $res = HTTP::Tiny->new(timeout => 30)->request($method, $self->url($path), \%opt);
	croak "$method $path: $res->{status} $res->{content}" unless $res->{success};
	return length $res->{content} ? $json->decode($res->{content}) : undef;
}

sub audit { return $_[0]->request('GET', '/_audit') }
sub faults { return $_[0]->request('POST', '/_faults', $_[1]) }
# Empty books; with a seed, as if started with that one.
sub reset { return $_[0]->request('POST', '/_reset', defined $_[1] ? { seed => $_[1] } : {}) }
sub consent { return $_[0]->request('POST', '/_consent', {})->{refresh_token} }

# A topic with a queue subscribed to it (fauxqs): {topic_arn, queue_url}.
sub setup
{
	my ($self, $topic, $queue, @options) = @_;
	return $json->decode(scalar $self->aws('setup', $topic, $queue, @options));
}

# Every message that is in the queue, decoded; they are deleted there.
sub receive
{
	my ($self, $queue_url, $wait) = @_;
	return map { $json->decode($_) } $self->aws('receive', $queue_url, '--wait', $wait // 1);
}

# A queue (fauxqs); returns its URL.
sub queue
{
	my ($self, $name, $visibility) = @_;
	my ($url) = $self->aws('queue', $name, '--visibility', $visibility // 30);
	chomp $url;
	return $url;
}

# Messages into a queue: texts, or hash references with the members of an entry. Returns their ids.
sub send_messages
{
	my ($self, $queue_url, @messages) = @_;
	my $file = File::Temp->new;
	binmode($file, ':utf8');
	foreach my $message (@messages)
	{
		my %entry = ref $message ? %$message : (MessageBody => $message);
		my $body = delete $entry{MessageBody};
		my $rest = JSON::PP->new->canonical->encode(\%entry);
		print $file '{"MessageBody":', JSON::PP->new->allow_nonref->encode($body),
		  $rest eq '{}' ? '}' : ',' . substr($rest, 1), "\n";
	}
	close $file;
	open(my $in, '<', $file->filename) or croak "could not read $file: $!";
	open(my $saved, '<&', \*STDIN);
	open(STDIN, '<&', $in);
	my @ids = $self->aws('send', $queue_url);
	open(STDIN, '<&', $saved);
	chomp @ids;
	return @ids;
}

# Messages in a queue: how many can be received, how many are in flight. Asked in loops, so without an SDK.
sub counts
{
	my ($self, $queue_url) = @_;
	my $res = HTTP::Tiny->new(timeout => 30)->request('POST', $self->url('/'),
		{ headers => { 'content-type' => 'application/x-amz-json-1.0', 'x-amz-target' => 'AmazonSQS.GetQueueAttributes' },
			content => $json->encode({ QueueUrl => $queue_url, AttributeNames => ['All'] }) });
	croak "counts of $queue_url: $res->{status} $res->{content}" unless $res->{success};
	return @{ $json->decode($res->{content})->{Attributes} }{qw(ApproximateNumberOfMessages ApproximateNumberOfMessagesNotVisible)};
}

sub aws
{
	my ($self, @args) = @_;
	open(my $fh, '-|', 'node', "$servers/aws.js", '--endpoint', $self->url, @args)
	  or croak "could not run node: $!";
	my @lines = <$fh>;
	close $fh or croak "aws.js @args failed";
	return wantarray ? @lines : join('', @lines);
}

# A test that dies must leave no server behind.
END
{
	local $?;
	$_->stop('KILL') foreach @running;
}

1;
