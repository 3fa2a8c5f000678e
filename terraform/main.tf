# pg_saga on AWS: API Gateway -> SQS -> PostgreSQL with pg_saga on EC2 -> SNS and services.

data "aws_partition" "current" {}
data "aws_caller_identity" "current" {}
data "aws_region" "current" {}

data "aws_availability_zones" "available" {
  count = var.create_database && var.create_vpc ? 1 : 0
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

data "aws_vpc" "given" {
  count = local.use_given_vpc ? 1 : 0
  id    = var.vpc_id
}

data "aws_subnet" "given" {
  for_each = local.use_given_vpc ? toset(var.private_subnet_ids) : toset([])
  id       = each.value
}

locals {
  tags       = merge({ Project = var.name }, var.tags)
  account_id = data.aws_caller_identity.current.account_id
  region     = data.aws_region.current.id
  kms_key    = var.kms_key_arn == null ? one(aws_kms_key.this[*].arn) : var.kms_key_arn

  # as many as there are instances, two at least
  zone_count    = max(2, min(3, 1 + var.standby_count))
  create_vpc    = var.create_database && var.create_vpc
  use_given_vpc = var.create_database && !var.create_vpc
  vpc_id        = local.create_vpc ? one(module.network[*].vpc_id) : var.vpc_id
  vpc_cidr      = local.create_vpc ? one(module.network[*].vpc_cidr) : one(data.aws_vpc.given[*].cidr_block)

  subnets = local.create_vpc ? one(module.network[*].subnets) : [
    for id in var.private_subnet_ids : { id = id, availability_zone = try(data.aws_subnet.given[id].availability_zone, "") }
  ]

  # Without a way out AWS is reached by endpoints in the VPC; with one they only cost.
  all_endpoints       = ["sqs", "sns", "secretsmanager", "kms", "logs", "monitoring", "ssm", "ssmmessages", "ec2messages", "sts"]
  interface_endpoints = coalesce(var.interface_endpoints, var.enable_nat ? [] : local.all_endpoints)

  # s3://bucket/key of packages that the instances may read
  package_urls = [for u in concat(var.package_url == null ? [] : [var.package_url], var.extra_packages[*].url) : u if startswith(u, "s3://")]
}

# One key for queues, topics, volumes, secrets, backups and logs.
data "aws_iam_policy_document" "key" {
  count = var.kms_key_arn == null ? 1 : 0

  statement {
    sid       = "Account"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${data.aws_partition.current.partition}:iam::${local.account_id}:root"]
    }
  }

  # alarms go to an encrypted topic; whether CloudWatch says for whom it asks is not documented
  statement {
    sid       = "Alarms"
    actions   = ["kms:GenerateDataKey*", "kms:Decrypt"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }
  }

  # topics go to encrypted queues
  statement {
    sid       = "Topics"
    actions   = ["kms:GenerateDataKey*", "kms:Decrypt"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["sns.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }
  }

  statement {
    sid       = "Logs"
    actions   = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["logs.${local.region}.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:${data.aws_partition.current.partition}:logs:${local.region}:${local.account_id}:log-group:*"]
    }
  }
}

resource "aws_kms_key" "this" {
  count = var.kms_key_arn == null ? 1 : 0

  description             = "Everything of ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = var.deletion_protection ? 30 : 7
  policy                  = data.aws_iam_policy_document.key[0].json
  tags                    = local.tags
}

resource "aws_kms_alias" "this" {
  count = var.kms_key_arn == null ? 1 : 0

  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this[0].key_id
}

module "ingest" {
  source = "./modules/ingest"

  name                       = var.name
  tags                       = local.tags
  kms_key_arn                = local.kms_key
  fifo                       = var.fifo
  max_receive_count          = var.max_receive_count
  visibility_timeout_seconds = var.visibility_timeout_seconds
  message_retention_seconds  = var.message_retention_seconds
  max_message_size           = var.max_message_size
  sender_role_arns           = var.sender_role_arns
  create_api                 = var.create_api
  api_authorization          = var.api_authorization
  api_key_names              = var.api_key_names
  cognito_user_pool_arns     = var.cognito_user_pool_arns
  authorizer_lambda_arn      = var.authorizer_lambda_arn
  api_throttle_rate          = var.api_throttle_rate
  api_throttle_burst         = var.api_throttle_burst
  manage_api_gateway_account = var.manage_api_gateway_account
  enable_waf                 = var.enable_waf
  log_retention_days         = var.log_retention_days
}

module "notify" {
  source = "./modules/notify"

  name          = var.name
  tags          = local.tags
  kms_key_arn   = local.kms_key
  topic_names   = var.topic_names
  fifo          = var.fifo
  subscriptions = var.subscriptions
  alarm_emails  = var.alarm_emails
}

# module.database[0], not module.database[*]: a splat depends on the whole module, whose instances
# depend on this one.
module "iam" {
  source = "./modules/iam"

  name                    = var.name
  tags                    = local.tags
  topic_arns              = values(module.notify.topic_arns)
  queue_arn               = module.ingest.queue_arn
  kms_key_arn             = local.kms_key
  create_instance_role    = var.create_database
  role_secret_arns        = var.create_database ? module.database[0].role_secret_arns : {}
  destination_secret_arns = var.create_database ? module.database[0].destination_secret_arns : {}
  bucket_arn              = var.create_database ? module.database[0].backup_bucket_arn : null
  package_object_arns     = [for u in local.package_urls : "arn:${data.aws_partition.current.partition}:s3:::${trimprefix(u, "s3://")}"]
  log_group_arn           = var.create_database ? module.database[0].log_group_arn : null
  metric_namespace        = "pg_saga"
}

module "network" {
  source = "./modules/network"
  count  = local.create_vpc ? 1 : 0

  name                = var.name
  tags                = local.tags
  vpc_cidr            = var.vpc_cidr
  availability_zones  = slice(data.aws_availability_zones.available[0].names, 0, local.zone_count)
  enable_nat          = var.enable_nat
  interface_endpoints = local.interface_endpoints
  kms_key_arn         = local.kms_key
  log_retention_days  = var.log_retention_days
}

module "database" {
  source = "./modules/database"
  count  = var.create_database ? 1 : 0

  name                       = var.name
  tags                       = local.tags
  vpc_id                     = local.vpc_id
  vpc_cidr                   = local.vpc_cidr
  subnets                    = local.subnets
  kms_key_arn                = local.kms_key
  instance_profile_name      = module.iam.instance_profile_name
  instance_type              = var.instance_type
  ami_id                     = var.ami_id
  ami_ssm_parameter          = var.ami_ssm_parameter
  postgresql_version         = var.postgresql_version
  package_url                = var.package_url
  package_sha256             = var.package_sha256
  extra_packages             = var.extra_packages
  volume_size                = var.volume_size
  volume_iops                = var.volume_iops
  volume_throughput          = var.volume_throughput
  standby_count              = var.standby_count
  synchronous_standby        = var.synchronous_standby
  writer                     = var.writer
  allowed_security_group_ids = var.allowed_security_group_ids
  allowed_cidr_blocks        = var.allowed_cidr_blocks
  egress_ports               = var.egress_ports
  backup_retention_days      = var.backup_retention_days
  volume_snapshots           = var.volume_snapshots
  queue_url                  = module.ingest.queue_url
  topic_arns                 = module.notify.topic_arns
  destinations               = var.destinations
  destination_secrets        = var.destination_secrets
  monthly_schedule           = var.monthly_schedule
  log_retention_days         = var.log_retention_days
  deletion_protection        = var.deletion_protection
}

module "alarms" {
  source = "./modules/alarms"

  name             = var.name
  tags             = local.tags
  alarm_topic_arns = [module.notify.alarm_topic_arn]
  queue_name       = module.ingest.queue_name
  dlq_name         = module.ingest.dlq_name
  topic_names      = module.notify.all_topic_names
  api_name         = module.ingest.api_name
  instance_ids     = flatten(module.database[*].instance_ids)
}
