mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name             = "test"
  alarm_topic_arns = ["arn:aws:sns:eu-central-1:123456789012:test-alarms"]
  queue_name       = "test-invoices"
  dlq_name         = "test-invoices-dlq"
}

run "queue_only" {
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["dlq-depth"].metric_name == "ApproximateNumberOfMessagesVisible" && aws_cloudwatch_metric_alarm.this["dlq-depth"].dimensions == tomap({ QueueName = "test-invoices-dlq" }) && aws_cloudwatch_metric_alarm.this["dlq-depth"].threshold == 0
    error_message = "one message in the dead-letter queue is an alarm"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["queue-age"].metric_name == "ApproximateAgeOfOldestMessage" && aws_cloudwatch_metric_alarm.this["queue-age"].dimensions == tomap({ QueueName = "test-invoices" }) && aws_cloudwatch_metric_alarm.this["queue-age"].threshold == 900
    error_message = "a message that waits for 15 minutes is an alarm"
  }

  assert {
    condition     = alltrue([for a in aws_cloudwatch_metric_alarm.this : a.alarm_actions == toset(var.alarm_topic_arns) && a.comparison_operator == "GreaterThanThreshold"])
    error_message = "all alarms tell somebody"
  }

  assert {
    condition     = toset(keys(aws_cloudwatch_metric_alarm.this)) == toset(["dlq-depth", "queue-age"])
    error_message = "no alarm for what is not there"
  }
}

run "everything" {
  variables {
    topic_names  = { invoice-events = "test-invoice-events" }
    api_name     = "test-invoices"
    instance_ids = ["i-0", "i-1"]
  }

  assert {
    condition = toset(keys(aws_cloudwatch_metric_alarm.this)) == toset([
      "dlq-depth", "queue-age", "api-4xx", "api-5xx", "sns-failed-invoice-events", "instance-0", "instance-1", "disk-0", "disk-1",
      "dead-letters", "outbox-age", "paused-destinations", "backup-age", "replication-lag", "standbys-missing",
    ])
    error_message = "an alarm for each part"
  }

  assert {
    condition     = alltrue([for k in ["disk-0", "instance-1", "dead-letters", "standbys-missing"] : aws_cloudwatch_metric_alarm.this[k].treat_missing_data == "breaching"])
    error_message = "an instance that says nothing is an alarm"
  }

  # the names must be those that the instances send
  assert {
    condition = alltrue([
      for a in aws_cloudwatch_metric_alarm.this : strcontains("${file("../database/files/metrics.sql")}${file("../database/files/pg-saga")}", a.metric_name) if a.namespace == "pg_saga"
    ])
    error_message = "every metric is sent by an instance"
  }

  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets) == 4
    error_message = "a dashboard"
  }
}

run "no_standby" {
  variables {
    instance_ids = ["i-0"]
  }

  assert {
    condition     = !contains(keys(aws_cloudwatch_metric_alarm.this), "standbys-missing")
    error_message = "none is missing where there is none"
  }
}
