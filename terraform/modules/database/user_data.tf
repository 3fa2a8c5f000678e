# The start-up script and what it reads. Passwords are in none of it: the instance makes them.

locals {
  package = var.package_url == null ? [] : [{ url = var.package_url, sha256 = var.package_sha256 }]

  instance_config = { for i, s in local.indices : i => {
    name                  = var.name
    index                 = tonumber(i)
    role                  = s.role
    region                = local.region
    dns_suffix            = data.aws_partition.current.dns_suffix
    volume_id             = local.volumes[i].id
    volume_size           = var.volume_size
    postgresql_version    = var.postgresql_version
    packages              = concat(local.package, var.extra_packages)
    writer_host           = local.writer_host
    standby_count         = var.standby_count
    client_cidrs          = distinct(concat([var.vpc_cidr], tolist(var.allowed_cidr_blocks)))
    replication_cidrs     = [var.vpc_cidr]
    bucket                = aws_s3_bucket.backup.id
    backup_retention_days = var.backup_retention_days
    metric_namespace      = var.metric_namespace
    log_group             = aws_cloudwatch_log_group.this.name

    synchronous_standby_names = var.synchronous_standby && var.standby_count > 0 ? "ANY 1 (${join(", ", local.standby_names)})" : ""

    role_secrets        = { for k, s in aws_secretsmanager_secret.role : k => { arn = s.arn, username = local.database_roles[k] } }
    destination_secrets = { for k, s in aws_secretsmanager_secret.destination : k => s.arn }

    setup = {
      region           = local.region
      queue_url        = var.queue_url
      topic_arns       = var.topic_arns
      destinations     = { for k, d in var.destinations : k => jsondecode(d) }
      monthly_schedule = var.monthly_schedule
      slots            = local.standby_names
    }
  } }

  static_files = [
    { path = "/usr/local/sbin/pg-saga", mode = "0755", source = "pg-saga" },
    { path = "/etc/pg_saga/setup.sql", mode = "0644", source = "setup.sql" },
    { path = "/etc/pg_saga/metrics.sql", mode = "0644", source = "metrics.sql" },
    { path = "/etc/pg_saga/postgresql.conf", mode = "0644", source = "postgresql.conf" },
    { path = "/etc/systemd/system/pg-saga@.service", mode = "0644", source = "systemd/pg-saga@.service" },
    { path = "/etc/systemd/system/pg-saga@boot.service.d/boot.conf", mode = "0644", source = "systemd/boot.conf" },
    { path = "/etc/systemd/system/pg-saga@backup.timer", mode = "0644", source = "systemd/pg-saga@backup.timer" },
    { path = "/etc/systemd/system/pg-saga@metrics.timer", mode = "0644", source = "systemd/pg-saga@metrics.timer" },
    { path = "/etc/systemd/system/pg-saga@secrets.timer", mode = "0644", source = "systemd/pg-saga@secrets.timer" },
  ]

  user_data = { for i, config in local.instance_config : i => templatefile("${path.module}/files/user-data.yaml.tftpl", {
    files = concat(
      [{ path = "/etc/pg_saga/instance.json", mode = "0640", content = jsonencode(config) }],
      [for f in local.static_files : { path = f.path, mode = f.mode, content = file("${path.module}/files/${f.source}") }],
    )
  }) }
}
