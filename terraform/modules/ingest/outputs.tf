output "queue_url" {
  description = "The queue that pg_saga reads"
  value       = aws_sqs_queue.this.id
}

output "queue_arn" {
  description = "The queue that pg_saga reads"
  value       = aws_sqs_queue.this.arn
}

output "queue_name" {
  description = "Name of the queue, as metrics have it"
  value       = aws_sqs_queue.this.name
}

output "dlq_url" {
  description = "The dead-letter queue"
  value       = aws_sqs_queue.dlq.id
}

output "dlq_arn" {
  description = "The dead-letter queue"
  value       = aws_sqs_queue.dlq.arn
}

output "dlq_name" {
  description = "Name of the dead-letter queue, as metrics have it"
  value       = aws_sqs_queue.dlq.name
}

output "api_url" {
  description = "Where to POST an invoice; null without an API"
  value       = one([for s in aws_api_gateway_stage.this : "${s.invoke_url}/invoices"])
}

output "api_name" {
  description = "Name of the API, as metrics have it; null without one"
  value       = one(aws_api_gateway_rest_api.this[*].name)
}

output "api_execution_arn" {
  description = "What a policy names to allow calls: ARN/*/POST/invoices; null without an API"
  value       = one(aws_api_gateway_rest_api.this[*].execution_arn)
}
