# Applied with deletion_protection = false, because a test takes down what it made; what the default
# protects is planned only.
mock_provider "aws" {
  source = "../../tests/mocks"
}

override_resource {
  target = aws_instance.this["0"]
  values = { private_ip = "10.32.0.10" }
}

override_resource {
  target = aws_instance.this["1"]
  values = { private_ip = "10.32.1.10" }
}

override_resource {
  target = aws_ebs_volume.unprotected["1"]
  values = { id = "vol-00000001" }
}

variables {
  name                  = "test"
  vpc_id                = "vpc-1"
  vpc_cidr              = "10.32.0.0/20"
  kms_key_arn           = "arn:aws:kms:eu-central-1:123456789012:key/k"
  instance_profile_name = "profile"
  package_url           = "s3://packages/pg-saga_0.1_arm64.deb"
  package_sha256        = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
  queue_url             = "https://sqs.eu-central-1.amazonaws.com/123456789012/test-invoices"
  topic_arns            = { invoice-events = "arn:aws:sns:eu-central-1:123456789012:test-invoice-events" }
  destinations          = { accounting = "{\"url\": \"https://books.example.com/it's\"}" }
  destination_secrets   = ["accounting"]
  deletion_protection   = false

  subnets = [
    { id = "subnet-a", availability_zone = "eu-central-1a" },
    { id = "subnet-b", availability_zone = "eu-central-1b" },
  ]
}

run "standby" {
  assert {
    condition     = join(" ", output.availability_zones) == "eu-central-1a eu-central-1b"
    error_message = "primary and standby are in two zones"
  }

  assert {
    condition     = alltrue([for i, v in aws_ebs_volume.unprotected : v.encrypted && v.final_snapshot && v.type == "gp3" && v.kms_key_id == var.kms_key_arn]) && length(aws_ebs_volume.unprotected) == 2
    error_message = "each has an encrypted volume of its own"
  }

  assert {
    condition     = alltrue([for i, a in aws_volume_attachment.this : a.volume_id == aws_ebs_volume.unprotected[i].id && a.instance_id == aws_instance.this[i].id && a.stop_instance_before_detaching])
    error_message = "attached to its instance"
  }

  assert {
    condition     = alltrue([for i in aws_instance.this : i.associate_public_ip_address == false && i.metadata_options[0].http_tokens == "required" && i.metadata_options[0].http_put_response_hop_limit == 1 && i.root_block_device[0].encrypted])
    error_message = "no public address, IMDSv2 only, encrypted root"
  }

  assert {
    condition     = aws_route53_record.writer.name == "db.test.internal" && aws_route53_record.writer.records == toset(["10.32.0.10"])
    error_message = "the writer's name is the primary's"
  }

  assert {
    condition     = local.instance_config["0"].role == "primary" && local.instance_config["1"].role == "standby" && local.instance_config["1"].volume_id == "vol-00000001"
    error_message = "each instance knows what it is"
  }

  assert {
    condition     = local.instance_config["0"].synchronous_standby_names == "ANY 1 (standby_0, standby_1)" && join(" ", local.instance_config["0"].setup.slots) == "standby_0 standby_1"
    error_message = "commits wait for a standby"
  }

  # what cloud-init will read is what was meant, whatever characters are in it
  assert {
    condition = alltrue([for i, u in local.user_data : jsondecode(one([
      for f in yamldecode(u).write_files : f.content if f.path == "/etc/pg_saga/instance.json"
    ])).setup.destinations.accounting.url == "https://books.example.com/it's"])
    error_message = "settings arrive as they are"
  }

  assert {
    condition = alltrue([for f in yamldecode(local.user_data["0"]).write_files : f.content == file("files/${
      startswith(f.path, "/etc/systemd/system/") ? "systemd/" : ""
    }${basename(f.path)}") if f.path != "/etc/pg_saga/instance.json"])
    error_message = "and so does the script with its files"
  }

  assert {
    condition     = yamldecode(local.user_data["0"]).runcmd[1][4] == "pg-saga@boot.service" && startswith(local.user_data["0"], "#cloud-config\n")
    error_message = "which is started"
  }

  assert {
    condition     = alltrue([for i in aws_instance.this : length(i.user_data_base64) < 21844])
    error_message = "in the 16 KB of EC2"
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.cidr) + length(aws_vpc_security_group_ingress_rule.groups) == 0 && aws_vpc_security_group_ingress_rule.replication.referenced_security_group_id == aws_security_group.this.id
    error_message = "nobody is let in but the other instance"
  }

  assert {
    condition     = toset(keys(aws_secretsmanager_secret.role)) == toset(["app", "replicator"]) && local.instance_config["0"].destination_secrets["accounting"] == aws_secretsmanager_secret.destination["accounting"].arn
    error_message = "secrets, which the instance is told of"
  }

  assert {
    condition = anytrue([for s in data.aws_iam_policy_document.backup.statement : s.effect == "Deny" && length(s.resources) == 2 && anytrue([
      for c in s.condition : c.variable == "aws:SecureTransport" && c.values == tolist(["false"])
    ])])
    error_message = "the bucket is for TLS only"
  }

  assert {
    condition     = aws_s3_bucket_public_access_block.backup.restrict_public_buckets && aws_s3_bucket_public_access_block.backup.block_public_policy && aws_s3_bucket_versioning.backup.versioning_configuration[0].status == "Enabled" && !aws_s3_bucket.backup.force_destroy
    error_message = "not public, with versions, not to be thrown away"
  }

  assert {
    condition     = length(concat(aws_backup_vault.this, aws_backup_plan.this, aws_backup_selection.this, aws_iam_role.backup, aws_iam_role_policy_attachment.backup)) == 0
    error_message = "no snapshots that were not asked for"
  }
}

run "single" {
  variables {
    standby_count    = 0
    volume_snapshots = true
    queue_url        = null
    monthly_schedule = null
    package_url      = null
    package_sha256   = null
  }

  assert {
    condition     = length(aws_instance.this) == 1 && local.instance_config["0"].synchronous_standby_names == "" && length(local.instance_config["0"].setup.slots) == 0
    error_message = "one instance waits for nobody"
  }

  assert {
    condition     = one(aws_backup_selection.this).resources == toset([aws_ebs_volume.unprotected["0"].arn])
    error_message = "snapshots of its volume"
  }

  assert {
    condition     = length(local.instance_config["0"].packages) == 0 && local.instance_config["0"].setup.queue_url == null
    error_message = "what is null is left out"
  }
}

run "asynchronous" {
  variables {
    synchronous_standby = false
  }

  assert {
    condition     = local.instance_config["0"].synchronous_standby_names == ""
    error_message = "not synchronous when told so"
  }
}

run "after_failover" {
  variables {
    writer = 1
  }

  assert {
    condition     = aws_route53_record.writer.records == toset(["10.32.1.10"]) && local.instance_config["0"].role == "standby"
    error_message = "the name follows, and the old one will be a standby"
  }
}

run "clients" {
  variables {
    allowed_cidr_blocks        = ["10.0.0.0/16"]
    allowed_security_group_ids = { shop = "sg-1" }
  }

  assert {
    condition     = alltrue([for r in concat(values(aws_vpc_security_group_ingress_rule.cidr), values(aws_vpc_security_group_ingress_rule.groups)) : r.from_port == 5432 && r.to_port == 5432])
    error_message = "PostgreSQL's port only"
  }

  assert {
    condition     = join(" ", local.instance_config["0"].client_cidrs) == "10.32.0.0/20 10.0.0.0/16"
    error_message = "and pg_hba.conf knows them"
  }
}

run "protected" {
  command = plan

  variables {
    deletion_protection = true
  }

  assert {
    condition     = length(aws_ebs_volume.protected) == 2 && length(aws_ebs_volume.unprotected) == 0 && alltrue([for i in aws_instance.this : i.disable_api_termination])
    error_message = "by default nothing is destroyed"
  }
}

run "same_zone" {
  command = plan

  variables {
    subnets = [{ id = "subnet-a", availability_zone = "eu-central-1a" }, { id = "subnet-c", availability_zone = "eu-central-1a" }]
  }

  expect_failures = [aws_instance.this]
}

run "open_to_the_world" {
  command = plan

  variables {
    allowed_cidr_blocks = ["0.0.0.0/0"]
  }

  expect_failures = [var.allowed_cidr_blocks]
}

run "bad_inputs" {
  command = plan

  variables {
    subnets               = []
    postgresql_version    = 13
    package_url           = "http://example.com/pg-saga.deb"
    extra_packages        = [{ url = "https://example.com/agent.rpm", sha256 = "abc" }]
    volume_size           = 5
    volume_iops           = 100
    volume_throughput     = 10
    standby_count         = 9
    egress_ports          = ["https"]
    backup_retention_days = 1
    destinations          = { accounting = "not JSON" }
    destination_secrets   = ["../x"]
    monthly_schedule      = "every month"
  }

  expect_failures = [
    var.subnets, var.postgresql_version, var.package_url, var.extra_packages, var.volume_size, var.volume_iops,
    var.volume_throughput, var.standby_count, var.egress_ports, var.backup_retention_days, var.destinations,
    var.destination_secrets, var.monthly_schedule,
  ]
}

run "bad_pairs" {
  command = plan

  variables {
    package_sha256 = "abc"
    writer         = 2
  }

  expect_failures = [var.package_sha256, var.writer]
}
