mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name        = "test"
  kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/k"
}

run "defaults" {
  assert {
    condition     = toset(keys(aws_sns_topic.this)) == toset(["invoice-events", "alarms"]) && toset(keys(output.topic_arns)) == toset(["invoice-events"])
    error_message = "a topic for events, and one for alarms that is no destination"
  }

  assert {
    condition     = alltrue([for t in aws_sns_topic.this : t.kms_master_key_id == var.kms_key_arn])
    error_message = "all are encrypted"
  }

  assert {
    condition = alltrue([for k, t in aws_sns_topic.this : aws_sns_topic_policy.this[k].arn == t.arn && anytrue([
      for s in data.aws_iam_policy_document.topic[k].statement : s.effect == "Deny" && anytrue([for c in s.condition : c.variable == "aws:SecureTransport" && c.values == tolist(["false"])])
    ])])
    error_message = "all are for TLS only"
  }

  assert {
    condition     = anytrue([for s in data.aws_iam_policy_document.topic["alarms"].statement : s.sid == "Alarms"]) && !anytrue([for s in data.aws_iam_policy_document.topic["invoice-events"].statement : s.sid == "Alarms"])
    error_message = "CloudWatch publishes alarms and nothing else"
  }
}

run "subscribed" {
  variables {
    fifo        = true
    topic_names = ["invoice-events", "refunds"]
    subscriptions = {
      books = { protocol = "sqs", endpoint = "arn:aws:sqs:eu-central-1:123456789012:books.fifo", raw_message_delivery = true, topic = "refunds" }
    }
    alarm_emails = ["ops@example.com"]
  }

  assert {
    condition     = aws_sns_topic_subscription.this["books"].topic_arn == aws_sns_topic.this["refunds"].arn
    error_message = "to the topic that was asked for"
  }

  assert {
    condition     = endswith(aws_sns_topic.this["refunds"].name, ".fifo") && !aws_sns_topic.this["alarms"].fifo_topic
    error_message = "FIFO, but not for alarms: CloudWatch cannot publish there"
  }

  assert {
    condition     = aws_sns_topic_subscription.alarms["ops@example.com"].topic_arn == aws_sns_topic.this["alarms"].arn
    error_message = "alarms go to people"
  }
}

run "no_alarm_topic" {
  variables {
    create_alarm_topic = false
    alarm_emails       = ["ops@example.com"]
  }

  assert {
    condition     = output.alarm_topic_arn == null && length(aws_sns_topic_subscription.alarms) == 0
    error_message = "nothing is left of it"
  }
}

run "unknown_topic" {
  command = plan

  variables {
    subscriptions = { x = { protocol = "email", endpoint = "a@example.com", topic = "nothing" } }
  }

  expect_failures = [var.subscriptions]
}

run "reserved_name" {
  command = plan

  variables {
    topic_names = ["alarms"]
  }

  expect_failures = [var.topic_names]
}
