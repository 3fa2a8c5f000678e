output "api_url" {
  description = "Where to POST an invoice"
  value       = module.pg_saga.api_url
}

output "queue_url" {
  description = "For invoice_source"
  value       = module.pg_saga.queue_url
}

output "topic_arns" {
  description = "For saga.create_destination"
  value       = module.pg_saga.topic_arns
}
