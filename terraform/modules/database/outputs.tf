output "database_host" {
  description = "Name of the primary, inside the VPC"
  value       = local.writer_host
}

output "security_group_id" {
  description = "Security group of the instances"
  value       = aws_security_group.this.id
}

output "instance_ids" {
  description = "The instances, by index"
  value       = [for i in range(1 + var.standby_count) : aws_instance.this[tostring(i)].id]
}

output "availability_zones" {
  description = "Zone of each instance, by index"
  value       = local.zones
}

output "role_secret_arns" {
  description = "Secrets with the passwords of database roles"
  value       = { for k, s in aws_secretsmanager_secret.role : k => s.arn }
}

output "destination_secret_arns" {
  description = "Secrets for outside services, to be filled by a person"
  value       = { for k, s in aws_secretsmanager_secret.destination : k => s.arn }
}

output "backup_bucket" {
  description = "Bucket of the backups"
  value       = aws_s3_bucket.backup.id
}

output "backup_bucket_arn" {
  description = "Bucket of the backups"
  value       = aws_s3_bucket.backup.arn
}

output "log_group_arn" {
  description = "Log group of the instances"
  value       = aws_cloudwatch_log_group.this.arn
}
