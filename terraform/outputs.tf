output "api_url" {
  description = "Where to POST an invoice; null without an API"
  value       = module.ingest.api_url
}

output "api_execution_arn" {
  description = "For policies of callers, with AWS_IAM: execute-api:Invoke on ARN/*/POST/invoices"
  value       = module.ingest.api_execution_arn
}

output "queue_url" {
  description = "The queue that pg_saga reads"
  value       = module.ingest.queue_url
}

output "queue_arn" {
  description = "The queue that pg_saga reads"
  value       = module.ingest.queue_arn
}

output "dlq_url" {
  description = "Its dead-letter queue"
  value       = module.ingest.dlq_url
}

output "dlq_arn" {
  description = "Its dead-letter queue"
  value       = module.ingest.dlq_arn
}

output "topic_arns" {
  description = "Topics by name, without the one for alarms"
  value       = module.notify.topic_arns
}

output "alarm_topic_arn" {
  description = "The topic for alarms"
  value       = module.notify.alarm_topic_arn
}

output "database_host" {
  description = "Name of the primary, inside the VPC; null without a database"
  value       = one(module.database[*].database_host)
}

output "database_security_group_id" {
  description = "Security group of the instances; null without a database"
  value       = one(module.database[*].security_group_id)
}

output "secret_arns" {
  description = "Secrets: passwords of database roles, made by the instance, and what outside services ask for, put in by a person"
  value       = var.create_database ? merge(module.database[0].role_secret_arns, module.database[0].destination_secret_arns) : {}
}

output "backup_bucket" {
  description = "Bucket of the backups; null without a database"
  value       = one(module.database[*].backup_bucket)
}

output "instance_ids" {
  description = "The instances, by index"
  value       = flatten(module.database[*].instance_ids)
}

output "kms_key_arn" {
  description = "The key of everything"
  value       = local.kms_key
}

output "instance_role_arn" {
  description = "Role of the instances; null without a database"
  value       = module.iam.instance_role_arn
}

output "edge_policy_arn" {
  description = "Policy for the role of a PostgreSQL of your own: publish to the topics, read the queue"
  value       = module.iam.edge_policy_arn
}

output "vpc_id" {
  description = "VPC of the instances; null without a database"
  value       = var.create_database ? local.vpc_id : null
}
