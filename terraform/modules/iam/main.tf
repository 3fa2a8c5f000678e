# Who may do what: the edge (publish and receive), for any PostgreSQL with pg_saga wherever it runs,
# and the role of our own instances.

data "aws_partition" "current" {}

data "aws_iam_policy_document" "edge" {
  dynamic "statement" {
    for_each = length(var.topic_arns) > 0 ? [var.topic_arns] : []

    content {
      sid       = "Publish"
      actions   = ["sns:Publish"]
      resources = statement.value
    }
  }

  # the batch calls are covered by the same actions
  statement {
    sid       = "Receive"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
    resources = [var.queue_arn]
  }

  statement {
    sid       = "Encrypt"
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = [var.kms_key_arn]
  }
}

resource "aws_iam_policy" "edge" {
  name_prefix = "${substr(var.name, 0, 24)}-edge-"
  description = "What pg_saga needs to publish to SNS and to read its queue"
  policy      = data.aws_iam_policy_document.edge.json
  tags        = var.tags
}

data "aws_iam_policy_document" "assume" {
  count = var.create_instance_role ? 1 : 0

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "instance" {
  count = var.create_instance_role ? 1 : 0

  name_prefix        = "${substr(var.name, 0, 24)}-db-"
  description        = "Instances with PostgreSQL and pg_saga"
  assume_role_policy = data.aws_iam_policy_document.assume[0].json
  tags               = var.tags
}

data "aws_iam_policy_document" "instance" {
  count = var.create_instance_role ? 1 : 0

  statement {
    sid       = "ReadSecrets"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = concat(values(var.role_secret_arns), values(var.destination_secret_arns))
  }

  # the instance makes the passwords itself
  statement {
    sid       = "MakePasswords"
    actions   = ["secretsmanager:PutSecretValue"]
    resources = values(var.role_secret_arns)
  }

  statement {
    sid       = "ListBackups"
    actions   = ["s3:ListBucket"]
    resources = [var.bucket_arn]
  }

  statement {
    sid       = "Backups"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    resources = ["${var.bucket_arn}/pgbackrest/*"]
  }

  dynamic "statement" {
    for_each = length(var.package_object_arns) > 0 ? [var.package_object_arns] : []

    content {
      sid       = "Packages"
      actions   = ["s3:GetObject"]
      resources = statement.value
    }
  }

  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    resources = ["${var.log_group_arn}:*"]
  }

  # AWS offers this action for every resource only
  statement {
    sid       = "Metrics"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = [var.metric_namespace]
    }
  }
}

resource "aws_iam_role_policy" "instance" {
  count = var.create_instance_role ? 1 : 0

  name   = "instance"
  role   = aws_iam_role.instance[0].id
  policy = data.aws_iam_policy_document.instance[0].json
}

resource "aws_iam_role_policy_attachment" "edge" {
  count = var.create_instance_role ? 1 : 0

  role       = aws_iam_role.instance[0].name
  policy_arn = aws_iam_policy.edge.arn
}

resource "aws_iam_role_policy_attachment" "session_manager" {
  count = var.create_instance_role ? 1 : 0

  role       = aws_iam_role.instance[0].name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_instance_profile" "this" {
  count = var.create_instance_role ? 1 : 0

  name_prefix = "${substr(var.name, 0, 24)}-db-"
  role        = aws_iam_role.instance[0].name
  tags        = var.tags
}
