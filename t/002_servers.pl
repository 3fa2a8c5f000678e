# The local servers as the tests use them: started, spoilt, killed, started again, asked.
use strict;
use warnings;

use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use Test::More;
use Saga::Test;

my $accounting = start_accounting(faults => [ { number => '^2$', attempt => 1, action => 'drop_after' } ]);

sub post_invoice
{
	my ($number) = @_;
	my $body = {
		number => "$number", currency => 'EUR', seller => 'S', buyer => 'B',
		total => '1.19', tax => '0.19', lines => [ { amount => '1.00' } ] };
	my $res = HTTP::Tiny->new->post($accounting->url('/v1/invoices'),
		{ content => encode_json($body), headers => { 'Idempotency-Key' => "key-$number" } });
	return $res->{status};
}

is(post_invoice(1), 201, 'an invoice is posted');
is(post_invoice(2), 599, 'a rule of the fault plan closes the connection');
$accounting->kill9;
is(post_invoice(3), 599, 'killed: nobody answers');
$accounting->run;
is(post_invoice(2), 201, 'started again on its port: the second try succeeds');
my $audit = $accounting->audit;
is_deeply([ map { $_->{posted} } @{ $audit->{numbers} } ], [ 1, 1 ], 'each number is posted once');
is($audit->{ledger}{EUR}{net}, '2.38', 'the ledger adds up');
$accounting->reset;
is_deeply($accounting->audit->{requests}, [], 'reset');

my $sns = start_fauxqs();
my $made = $sns->setup('invoices', 'subscriber');
{
	local $ENV{AWS_ACCESS_KEY_ID} = 'test';
	local $ENV{AWS_SECRET_ACCESS_KEY} = 'test';
	my @aws = ('/usr/bin/aws', '--region', 'us-east-1', '--endpoint-url', $sns->url);
  SKIP:
	{
		skip 'no awscli', 1 unless -x $aws[0];
		my ($out, $err);
		IPC::Run::run([ @aws, 'sns', 'publish', '--topic-arn', $made->{topic_arn}, '--message', 'hello' ],
			'>', \$out, '2>', \$err) or diag($err);
		my @messages = $sns->receive($made->{queue_url});
		is_deeply([ map { $_->{body} } @messages ], ['hello'], 'what is published arrives');
	}
}
$sns->stop;
$accounting->stop;

done_testing();
