# PostgreSQL with pg_saga on EC2: a primary and its standbys, each in another zone, each with an
# encrypted volume of its own that outlives the instance.

data "aws_region" "current" {}
data "aws_partition" "current" {}

data "aws_ssm_parameter" "ami" {
  count = var.ami_id == null ? 1 : 0
  name  = var.ami_ssm_parameter
}

locals {
  region = data.aws_region.current.id
  ami_id = var.ami_id == null ? nonsensitive(data.aws_ssm_parameter.ami[0].value) : var.ami_id

  # Instance i is called standby_i by the others, whatever it is just now.
  indices = { for i in range(1 + var.standby_count) : tostring(i) => {
    subnet = var.subnets[i % length(var.subnets)]
    role   = i == var.writer ? "primary" : "standby"
  } }
  standby_names = var.standby_count > 0 ? [for i in keys(local.indices) : "standby_${i}"] : []
  zones         = [for s in values(local.indices) : s.subnet.availability_zone]

  zone_name   = "${var.name}.internal"
  writer_host = "db.${local.zone_name}"
  volumes     = merge(aws_ebs_volume.protected, aws_ebs_volume.unprotected)
}

# --- volumes: the same twice, because prevent_destroy takes no variable

resource "aws_ebs_volume" "protected" {
  for_each = var.deletion_protection ? local.indices : {}

  availability_zone = each.value.subnet.availability_zone
  type              = "gp3"
  size              = var.volume_size
  iops              = var.volume_iops
  throughput        = var.volume_throughput
  encrypted         = true
  kms_key_id        = var.kms_key_arn
  final_snapshot    = true
  tags              = merge(var.tags, { Name = "${var.name}-db-${each.key}", Backup = var.name })

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_ebs_volume" "unprotected" {
  for_each = var.deletion_protection ? {} : local.indices

  availability_zone = each.value.subnet.availability_zone
  type              = "gp3"
  size              = var.volume_size
  iops              = var.volume_iops
  throughput        = var.volume_throughput
  encrypted         = true
  kms_key_id        = var.kms_key_arn
  final_snapshot    = true
  tags              = merge(var.tags, { Name = "${var.name}-db-${each.key}", Backup = var.name })
}

resource "aws_volume_attachment" "this" {
  for_each = local.indices

  device_name                    = "/dev/sdf"
  volume_id                      = local.volumes[each.key].id
  instance_id                    = aws_instance.this[each.key].id
  stop_instance_before_detaching = true
}

# --- instances

resource "aws_instance" "this" {
  for_each = local.indices

  ami                         = local.ami_id
  instance_type               = var.instance_type
  subnet_id                   = each.value.subnet.id
  vpc_security_group_ids      = [aws_security_group.this.id]
  iam_instance_profile        = var.instance_profile_name
  associate_public_ip_address = false
  disable_api_termination     = var.deletion_protection
  ebs_optimized               = true
  user_data_base64            = base64gzip(local.user_data[each.key])
  tags                        = merge(var.tags, { Name = "${var.name}-db-${each.key}" })

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    volume_type = "gp3"
    volume_size = 16
    encrypted   = true
    kms_key_id  = var.kms_key_arn
    tags        = merge(var.tags, { Name = "${var.name}-root-${each.key}" })
  }

  # A newer image or another start-up script is for the next instance (terraform apply -replace), not
  # a reason to stop this one.
  lifecycle {
    ignore_changes = [ami, user_data_base64]

    precondition {
      condition     = var.standby_count == 0 || length(distinct(local.zones)) > 1
      error_message = "A standby in the same zone as the primary is none: give subnets in two availability zones."
    }

    # 16 KB before base64
    precondition {
      condition     = length(base64gzip(local.user_data[each.key])) <= 21844
      error_message = "The user data is larger than the 16 KB that EC2 takes: fewer settings in destinations."
    }
  }
}

# --- who may connect

resource "aws_security_group" "this" {
  name_prefix = "${var.name}-db-"
  description = "PostgreSQL with pg_saga"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-db" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "groups" {
  for_each = var.allowed_security_group_ids

  security_group_id            = aws_security_group.this.id
  description                  = "PostgreSQL from ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_vpc_security_group_ingress_rule" "cidr" {
  for_each = var.allowed_cidr_blocks

  security_group_id = aws_security_group.this.id
  description       = "PostgreSQL from ${each.value}"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 5432
  to_port           = 5432
}

resource "aws_vpc_security_group_ingress_rule" "replication" {
  security_group_id            = aws_security_group.this.id
  description                  = "Replication among the instances"
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_vpc_security_group_egress_rule" "replication" {
  security_group_id            = aws_security_group.this.id
  description                  = "Replication among the instances"
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

# AWS, the services of the destinations, package mirrors (http: packages are signed)
resource "aws_vpc_security_group_egress_rule" "out" {
  for_each = var.egress_ports

  security_group_id = aws_security_group.this.id
  description       = "Out, port ${each.value}"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = tonumber(each.value)
  to_port           = tonumber(each.value)
}

# --- names

resource "aws_route53_zone" "this" {
  name    = local.zone_name
  comment = "Instances of ${var.name}"
  tags    = var.tags

  vpc {
    vpc_id = var.vpc_id
  }
}

resource "aws_route53_record" "writer" {
  zone_id = aws_route53_zone.this.zone_id
  name    = local.writer_host
  type    = "A"
  ttl     = 30
  records = [aws_instance.this[tostring(var.writer)].private_ip]
}

resource "aws_route53_record" "instance" {
  for_each = local.indices

  zone_id = aws_route53_zone.this.zone_id
  name    = "db-${each.key}.${local.zone_name}"
  type    = "A"
  ttl     = 30
  records = [aws_instance.this[each.key].private_ip]
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/${var.name}/postgresql"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}
