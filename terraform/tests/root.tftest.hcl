mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                = "test"
  deletion_protection = false
  package_url         = "s3://packages/pg-saga_0.1_arm64.deb"
  package_sha256      = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
}

run "everything" {
  assert {
    condition     = length(aws_kms_key.this) == 1 && aws_kms_key.this[0].enable_key_rotation && output.kms_key_arn == aws_kms_key.this[0].arn
    error_message = "one key, rotated"
  }

  assert {
    condition     = length(output.instance_ids) == 2 && join(" ", module.database[0].availability_zones) == "eu-central-1a eu-central-1b"
    error_message = "a primary and a standby, in two zones"
  }

  assert {
    condition     = length(module.network) == 1 && output.vpc_id == module.network[0].vpc_id
    error_message = "in a VPC of their own"
  }

  assert {
    condition     = alltrue([for a in ["dlq-depth", "queue-age", "dead-letters", "standbys-missing", "api-5xx"] : contains(keys(module.alarms.alarm_arns), a)])
    error_message = "alarms, for the dead-letter queue's depth and the queue's age among them"
  }

  assert {
    condition     = toset(keys(output.secret_arns)) == toset(["app", "replicator"])
    error_message = "secrets of the database roles"
  }

  assert {
    condition     = alltrue([for o in [output.api_url, output.queue_url, output.dlq_url, output.dlq_arn, output.database_host, output.database_security_group_id, output.backup_bucket, output.instance_role_arn, output.edge_policy_arn] : o != null])
    error_message = "every output has a value"
  }
}

run "no_database" {
  variables {
    create_database = false
    package_url     = null
    package_sha256  = null
  }

  assert {
    condition     = length(module.database) + length(module.network) + length(data.aws_availability_zones.available) + length(data.aws_vpc.given) == 0
    error_message = "nothing of the database is left"
  }

  assert {
    condition     = output.instance_role_arn == null && output.database_host == null && output.backup_bucket == null && length(output.instance_ids) == 0 && length(output.secret_arns) == 0
    error_message = "and no output speaks of it"
  }

  assert {
    condition     = output.edge_policy_arn != null && output.queue_url != null && !contains(keys(module.alarms.alarm_arns), "dead-letters")
    error_message = "the edge is there"
  }
}

run "no_api" {
  variables {
    create_api = false
  }

  assert {
    condition     = output.api_url == null && output.queue_url != null && !contains(keys(module.alarms.alarm_arns), "api-5xx")
    error_message = "the queue without the API"
  }
}

run "given_vpc" {
  variables {
    create_vpc         = false
    vpc_id             = "vpc-0123456789abcdef0"
    private_subnet_ids = ["subnet-a", "subnet-b"]
  }

  override_data {
    target = data.aws_subnet.given["subnet-a"]
    values = { availability_zone = "eu-central-1a" }
  }

  override_data {
    target = data.aws_subnet.given["subnet-b"]
    values = { availability_zone = "eu-central-1c" }
  }

  override_data {
    target = data.aws_vpc.given
    values = { cidr_block = "172.16.0.0/16" }
  }

  assert {
    condition     = length(module.network) == 0 && output.vpc_id == "vpc-0123456789abcdef0"
    error_message = "no VPC is made"
  }

  assert {
    condition     = join(" ", module.database[0].availability_zones) == "eu-central-1a eu-central-1c"
    error_message = "the subnets are used"
  }
}

run "given_key" {
  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/mine"
  }

  assert {
    condition     = length(aws_kms_key.this) + length(aws_kms_alias.this) == 0 && output.kms_key_arn == "arn:aws:kms:eu-central-1:123456789012:key/mine"
    error_message = "no key is made"
  }
}

run "closed" {
  command = plan

  variables {
    enable_nat = false
  }

  assert {
    condition     = length(local.interface_endpoints) == 10
    error_message = "without NAT every service is reached inside the VPC"
  }
}

run "protected_by_default" {
  command = plan

  variables {
    deletion_protection = true
  }

  assert {
    condition     = aws_kms_key.this[0].deletion_window_in_days == 30
    error_message = "a month to think about it"
  }
}

run "missing_vpc" {
  command = plan

  variables {
    create_vpc = false
  }

  expect_failures = [var.vpc_id, var.private_subnet_ids]
}

run "bad_inputs" {
  command = plan

  variables {
    name                = "Not Allowed"
    kms_key_arn         = "alias/x"
    log_retention_days  = 8
    allowed_cidr_blocks = ["::/0", "10.0.0.0/16"]
    vpc_cidr            = "10.0.0.0"
    api_authorization   = "NONE"
    standby_count       = -1
    package_sha256      = "x"
  }

  expect_failures = [
    var.name, var.kms_key_arn, var.log_retention_days, var.allowed_cidr_blocks, var.vpc_cidr, var.api_authorization,
    var.standby_count, var.package_sha256,
  ]
}
