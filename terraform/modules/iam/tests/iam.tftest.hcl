mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name             = "test"
  topic_arns       = ["arn:aws:sns:eu-central-1:123456789012:events"]
  queue_arn        = "arn:aws:sqs:eu-central-1:123456789012:queue"
  kms_key_arn      = "arn:aws:kms:eu-central-1:123456789012:key/k"
  role_secret_arns = { app = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app" }
  destination_secret_arns = {
    accounting = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:accounting"
  }
  bucket_arn    = "arn:aws:s3:::backups"
  log_group_arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/test"
}

run "instance" {
  assert {
    condition = { for s in data.aws_iam_policy_document.edge.statement : s.sid => join(" ", sort(s.actions)) } == {
      Publish = "sns:Publish"
      Receive = "sqs:ChangeMessageVisibility sqs:DeleteMessage sqs:GetQueueAttributes sqs:ReceiveMessage"
      Encrypt = "kms:Decrypt kms:GenerateDataKey"
    }
    error_message = "the edge publishes and receives, and no more"
  }

  assert {
    condition     = alltrue([for s in data.aws_iam_policy_document.edge.statement : !contains(s.resources, "*")])
    error_message = "on named resources"
  }

  assert {
    condition     = alltrue([for s in data.aws_iam_policy_document.instance[0].statement : !contains(s.resources, "*") || anytrue([for c in s.condition : s.sid == "Metrics" && c.variable == "cloudwatch:namespace" && c.values == tolist(["pg_saga"])])])
    error_message = "so does the instance, but for its own metrics"
  }

  assert {
    condition     = alltrue(flatten([for s in data.aws_iam_policy_document.instance[0].statement : [for a in s.actions : !strcontains(a, "*")]]))
    error_message = "no wildcard among actions"
  }

  assert {
    condition     = one([for s in data.aws_iam_policy_document.instance[0].statement : s.resources if contains(s.actions, "secretsmanager:PutSecretValue")]) == toset(values(var.role_secret_arns))
    error_message = "it writes the passwords of roles, not the secrets of services"
  }

  assert {
    condition     = one([for s in data.aws_iam_policy_document.instance[0].statement : s.resources if contains(s.actions, "s3:PutObject")]) == toset(["arn:aws:s3:::backups/pgbackrest/*"])
    error_message = "it writes backups and nothing else to the bucket"
  }

  assert {
    condition     = aws_iam_instance_profile.this[0].role == aws_iam_role.instance[0].name && aws_iam_role_policy_attachment.edge[0].policy_arn == aws_iam_policy.edge.arn
    error_message = "its role has the policy of the edge"
  }

  assert {
    condition     = !anytrue([for s in data.aws_iam_policy_document.instance[0].statement : s.sid == "Packages"])
    error_message = "no package in S3, no right to read one"
  }
}

run "edge_alone" {
  variables {
    create_instance_role = false
    bucket_arn           = null
    log_group_arn        = null
  }

  assert {
    condition     = length(concat(aws_iam_role.instance, aws_iam_role_policy.instance, aws_iam_role_policy_attachment.edge, aws_iam_role_policy_attachment.session_manager, aws_iam_instance_profile.this)) == 0 && output.instance_role_arn == null
    error_message = "nothing is left of the instances"
  }
}

run "missing" {
  command = plan

  variables {
    bucket_arn    = null
    log_group_arn = null
  }

  expect_failures = [var.bucket_arn, var.log_group_arn]
}
