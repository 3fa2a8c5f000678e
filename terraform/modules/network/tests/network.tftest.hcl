mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name               = "test"
  availability_zones = ["eu-central-1a", "eu-central-1b"]
  kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/k"
}

run "nat" {
  assert {
    condition     = toset([for s in aws_subnet.private : s.availability_zone]) == toset(["eu-central-1a", "eu-central-1b"])
    error_message = "private subnets in two zones"
  }

  assert {
    condition     = alltrue([for s in concat(values(aws_subnet.private), values(aws_subnet.public)) : s.map_public_ip_on_launch == false])
    error_message = "no public address by itself"
  }

  assert {
    condition     = length(distinct(concat([for s in aws_subnet.private : s.cidr_block], [for s in aws_subnet.public : s.cidr_block]))) == 3
    error_message = "subnets do not overlap"
  }

  assert {
    condition     = alltrue([for r in aws_route.nat : r.nat_gateway_id == aws_nat_gateway.this[0].id]) && length(aws_route.nat) == 2
    error_message = "the private subnets go out by NAT only"
  }

  assert {
    condition     = aws_default_security_group.this.vpc_id == aws_vpc.this.id && length(coalesce(aws_default_security_group.this.ingress, [])) == 0
    error_message = "the default security group is empty"
  }

  assert {
    condition     = length(aws_vpc_endpoint.interface) == 0 && length(aws_vpc_endpoint.s3.route_table_ids) == 2
    error_message = "with NAT only the free endpoint of S3"
  }

  assert {
    condition     = aws_flow_log.this.log_destination == aws_cloudwatch_log_group.flow.arn && aws_cloudwatch_log_group.flow.retention_in_days == 365
    error_message = "flow logs, kept for a year"
  }
}

run "closed" {
  variables {
    enable_nat          = false
    interface_endpoints = ["sqs", "sns", "ssm"]
  }

  assert {
    condition     = length(concat(aws_internet_gateway.this, aws_nat_gateway.this, aws_eip.nat, aws_route_table.public, aws_route.internet, values(aws_route.nat), values(aws_subnet.public), values(aws_route_table_association.public))) == 0
    error_message = "no way out"
  }

  assert {
    condition     = aws_vpc_endpoint.interface["sqs"].service_name == "com.amazonaws.eu-central-1.sqs" && alltrue([for e in aws_vpc_endpoint.interface : e.private_dns_enabled])
    error_message = "services inside the VPC, by their usual names"
  }

  assert {
    condition     = one(data.aws_iam_policy_document.endpoint["sqs"].statement[0].condition).values == tolist(["123456789012"]) && !contains(keys(data.aws_iam_policy_document.endpoint), "ssm")
    error_message = "for this account"
  }
}

run "one_zone" {
  command = plan

  variables {
    availability_zones = ["eu-central-1a"]
    vpc_cidr           = "10.0.0.0/8"
  }

  expect_failures = [var.availability_zones, var.vpc_cidr]
}
