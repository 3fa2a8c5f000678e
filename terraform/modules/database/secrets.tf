# Secrets without values: the instance makes the passwords of database roles at its first boot, and a
# person puts in what outside services ask for. Terraform's state has none of them.

locals {
  database_roles = {
    app        = "invoice_app"
    replicator = "invoice_replicator"
  }
}

resource "aws_secretsmanager_secret" "role" {
  for_each = local.database_roles

  name                    = "${var.name}/database/${each.key}"
  description             = "Password of the database role ${each.value}, made by the instance"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.deletion_protection ? 30 : 7
  tags                    = var.tags
}

resource "aws_secretsmanager_secret" "destination" {
  for_each = var.destination_secrets

  name                    = "${var.name}/destination/${each.value}"
  description             = "Read by destinations as {secret:file:/etc/pg_saga/secrets/${each.value}}"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.deletion_protection ? 30 : 7
  tags                    = var.tags
}

# What an application needs to find the database.
resource "aws_ssm_parameter" "connection" {
  name        = "/${var.name}/database"
  description = "Where the database is"
  type        = "String"
  tags        = var.tags

  value = jsonencode({
    host   = local.writer_host
    port   = 5432
    dbname = "invoice"
    secret = aws_secretsmanager_secret.role["app"].arn
  })
}
