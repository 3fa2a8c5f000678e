# Credentials for AWS that owners keep as secrets: a publisher remembers some of them, others are read again; and what is wrong with one
# is told to its owner, not to the log.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my $topics = start_fauxqs();
my $topic = $topics->setup('many', 'many-reader')->{topic_arn};
my $node = new_saga_node('main', 'pg_saga.publishers = 1');
create_extensions($node);
$node->safe_psql('postgres', 'CREATE ROLE mallory LOGIN; GRANT USAGE ON SCHEMA saga TO mallory; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA saga TO mallory');

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub waits { return "SELECT count(*) FROM saga.outbox WHERE state = 'waiting'" }

# $n destinations of mallory's, each with a secret of its own, whose rows are made at once. The administrator makes them, as the
# server of the test has a private address, with names that mean his secrets; then both change hands.
sub destinations
{
	my ($prefix, $n, $value) = @_;
	my $settings = "jsonb_build_object('topic_arn', '$topic', 'endpoint_url', '@{[ $topics->url ]}', 'allow_private', true, 'max_attempts', 1,
		'retry', jsonb_build_object('deadline_s', 2), 'credentials', jsonb_build_object('secret', 'mallory.$prefix' || g))";
	sql("INSERT INTO saga.secret (owner, name, value) SELECT 'mallory', '$prefix' || g, $value FROM generate_series(1, $n) g;
		SELECT saga.create_destination('$prefix' || g, 'sns', $settings) FROM generate_series(1, $n) g;
		SELECT saga.set_destination_owner('$prefix' || g, 'mallory') FROM generate_series(1, $n) g");
	return;
}

# more than are remembered, and the first ones again
destinations('k', 1100, "'{\"access_key_id\": \"AK' || g || '\", \"secret_access_key\": \"s\"}'");
my $some = 0;
foreach my $last (1100, 50)
{
	sql("SELECT saga.publish_to('mallory.k' || g, '\"m\"') FROM generate_series(1, $last) g");
	poll_until($node, waits(), '0');
	$some += $last;
	is(sql("SELECT count(*) FROM saga.outbox WHERE state = 'delivered'"), $some, "$last requests with credentials of their own");
}

destinations('bad', 20, "'no JSON'");
sql("SELECT saga.publish_to('mallory.bad' || g, '\"m\"') FROM generate_series(1, 20) g");
poll_until($node, waits(), '0');
like(sql("SELECT max(last_error) FROM saga.outbox WHERE state = 'failed'"), qr/is no JSON object with access_key_id/, 'the owner is told what is wrong');
unlike(slurp_file($node->logfile), qr/could not get AWS credentials/, 'and the log is not');

done_testing();
