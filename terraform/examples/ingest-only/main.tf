# The edge alone, for PostgreSQL with pg_saga on ECS, EKS or anywhere: API, queue, topics, alarms, and a
# policy for the role that PostgreSQL has there. In the database:
#
#   SELECT saga.create_destination('invoice-events', 'sns', '{"topic_arn": "<topic_arns>"}');
#   SELECT saga.set_destination_owner('invoice-events', 'invoice_owner');
#   SELECT invoice_source('invoices', '{"queue_url": "<queue_url>", "region": "<region>"}');

provider "aws" {
  region = var.region
}

module "pg_saga" {
  source = "../.."

  name            = "invoices"
  create_database = false
}

resource "aws_iam_role_policy_attachment" "edge" {
  role       = var.role_name
  policy_arn = module.pg_saga.edge_policy_arn
}
