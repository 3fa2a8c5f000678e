output "api_url" {
  description = "Where to POST an invoice"
  value       = module.pg_saga.api_url
}

output "database_host" {
  description = "Where the database is, inside the VPC"
  value       = module.pg_saga.database_host
}
