# SNS: one topic for each name, encrypted, TLS only, with its subscriptions.

data "aws_caller_identity" "current" {}

locals {
  suffix = var.fifo ? ".fifo" : ""

  # A FIFO topic tells queues only, and CloudWatch cannot publish to one.
  topics = merge(
    { for t in var.topic_names : t => { name = "${var.name}-${t}${local.suffix}", fifo = var.fifo } },
    var.create_alarm_topic ? { alarms = { name = "${var.name}-alarms", fifo = false } } : {},
  )
}

resource "aws_sns_topic" "this" {
  for_each = local.topics

  name                        = each.value.name
  fifo_topic                  = each.value.fifo
  content_based_deduplication = each.value.fifo ? true : null
  kms_master_key_id           = var.kms_key_arn
  tags                        = var.tags
}

data "aws_iam_policy_document" "topic" {
  for_each = aws_sns_topic.this

  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["sns:Publish"]
    resources = [each.value.arn]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  statement {
    sid       = "Account"
    actions   = ["sns:Publish", "sns:Subscribe", "sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic"]
    resources = [each.value.arn]

    principals {
      type        = "AWS"
      identifiers = [data.aws_caller_identity.current.account_id]
    }
  }

  dynamic "statement" {
    for_each = each.key == "alarms" ? ["Alarms"] : []

    content {
      sid       = statement.value
      actions   = ["sns:Publish"]
      resources = [each.value.arn]

      principals {
        type        = "Service"
        identifiers = ["cloudwatch.amazonaws.com"]
      }

      condition {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [data.aws_caller_identity.current.account_id]
      }
    }
  }
}

resource "aws_sns_topic_policy" "this" {
  for_each = aws_sns_topic.this

  arn    = each.value.arn
  policy = data.aws_iam_policy_document.topic[each.key].json
}

resource "aws_sns_topic_subscription" "this" {
  for_each = var.subscriptions

  topic_arn            = aws_sns_topic.this[each.value.topic].arn
  protocol             = each.value.protocol
  endpoint             = each.value.endpoint
  raw_message_delivery = each.value.raw_message_delivery
  filter_policy        = each.value.filter_policy
}

resource "aws_sns_topic_subscription" "alarms" {
  for_each = var.create_alarm_topic ? var.alarm_emails : toset([])

  topic_arn = aws_sns_topic.this["alarms"].arn
  protocol  = "email"
  endpoint  = each.value
}
