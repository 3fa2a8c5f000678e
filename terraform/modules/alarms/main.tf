# Alarms and a dashboard. What pg_saga measures of itself comes from the instances, each minute, in a
# namespace of its own; an instance that sends nothing is an alarm as well.

data "aws_region" "current" {}

locals {
  queue_alarms = {
    dlq-depth = {
      description = "Messages in the dead-letter queue: the database did not take them"
      namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", dimensions = { QueueName = var.dlq_name }
      statistic   = "Maximum", threshold = 0, period = 60, periods = 1, missing = "notBreaching"
    }
    queue-age = {
      description = "The oldest message has waited for ${var.max_queue_age_seconds} s: nobody reads the queue"
      namespace   = "AWS/SQS", metric = "ApproximateAgeOfOldestMessage", dimensions = { QueueName = var.queue_name }
      statistic   = "Maximum", threshold = var.max_queue_age_seconds, period = 60, periods = 3, missing = "notBreaching"
    }
  }

  # the average of these metrics is a share of all requests
  api_alarms = var.api_name == null ? {} : {
    api-5xx = {
      description = "More than 1 % of the requests failed at our side"
      namespace   = "AWS/ApiGateway", metric = "5XXError", dimensions = { ApiName = var.api_name, Stage = var.stage_name }
      statistic   = "Average", threshold = 0.01, period = 300, periods = 1, missing = "notBreaching"
    }
    api-4xx = {
      description = "More than 20 % of the requests were refused"
      namespace   = "AWS/ApiGateway", metric = "4XXError", dimensions = { ApiName = var.api_name, Stage = var.stage_name }
      statistic   = "Average", threshold = 0.2, period = 300, periods = 3, missing = "notBreaching"
    }
  }

  topic_alarms = { for key, topic in var.topic_names : "sns-failed-${key}" => {
    description = "SNS could not deliver to a subscriber"
    namespace   = "AWS/SNS", metric = "NumberOfNotificationsFailed", dimensions = { TopicName = topic }
    statistic   = "Sum", threshold = 0, period = 300, periods = 1, missing = "notBreaching"
  } }

  instance_alarms = merge([for i, id in var.instance_ids : {
    "instance-${i}" = {
      description = "Status check of instance ${i}"
      namespace   = "AWS/EC2", metric = "StatusCheckFailed", dimensions = { InstanceId = id }
      statistic   = "Maximum", threshold = 0, period = 60, periods = 3, missing = "breaching"
    }
    "disk-${i}" = {
      description = "The data volume of instance ${i} is more than 80 % full, or the instance sends no metrics"
      namespace   = var.metric_namespace, metric = "DiskUsedPercent", dimensions = { Name = var.name, Instance = tostring(i) }
      statistic   = "Maximum", threshold = 80, period = 60, periods = 15, missing = "breaching"
    }
  }]...)

  # sent by whichever instance is the primary
  saga_alarms = length(var.instance_ids) == 0 ? {} : merge({
    dead-letters = {
      description = "Dead letters that nobody has looked at: SELECT * FROM saga.dead_letters WHERE redriven_at IS NULL"
      metric      = "DeadLetters", threshold = 0
    }
    outbox-age = {
      description = "A message for the outside has waited for ${var.max_outbox_age_seconds} s: see saga.outbox_status"
      metric      = "OldestOutboxSeconds", threshold = var.max_outbox_age_seconds
    }
    paused-destinations = {
      description = "A destination is paused: its messages wait"
      metric      = "PausedDestinations", threshold = 0
    }
    backup-age = {
      description = "WAL could not be archived for 15 minutes"
      metric      = "ArchiveDelaySeconds", threshold = 900
    }
    }, length(var.instance_ids) < 2 ? {} : {
    replication-lag = {
      description = "A standby is more than a minute behind"
      metric      = "ReplicationLagSeconds", threshold = 60
    }
    standbys-missing = {
      description = "A standby is not connected"
      metric      = "StandbysMissing", threshold = 0
    }
  })

  alarms = merge(
    local.queue_alarms, local.api_alarms, local.topic_alarms, local.instance_alarms,
    { for key, a in local.saga_alarms : key => {
      description = a.description
      namespace   = var.metric_namespace, metric = a.metric, dimensions = { Name = var.name }
      statistic   = "Maximum", threshold = a.threshold, period = 60, periods = 5, missing = "breaching"
    } },
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  period              = each.value.period
  evaluation_periods  = each.value.periods
  treat_missing_data  = each.value.missing
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
  tags                = var.tags
}

locals {
  widgets = [
    { title = "Queue", metrics = [
      ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", var.queue_name],
      ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", var.queue_name, { yAxis = "right" }],
    ] },
    { title = "Dead letters", metrics = [
      ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", var.dlq_name],
      [var.metric_namespace, "DeadLetters", "Name", var.name],
    ] },
    { title = "Outbox", metrics = [
      [var.metric_namespace, "OldestOutboxSeconds", "Name", var.name],
      [var.metric_namespace, "PausedDestinations", "Name", var.name, { yAxis = "right" }],
    ] },
    { title = "Replication and archive, seconds", metrics = [
      [var.metric_namespace, "ReplicationLagSeconds", "Name", var.name],
      [var.metric_namespace, "ArchiveDelaySeconds", "Name", var.name],
    ] },
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = [for i, w in local.widgets : {
      type   = "metric"
      x      = 12 * (i % 2)
      y      = 6 * floor(i / 2)
      width  = 12
      height = 6
      properties = {
        title   = w.title
        region  = data.aws_region.current.id
        metrics = w.metrics
        period  = 60
        stat    = "Maximum"
      }
    }]
  })
}
