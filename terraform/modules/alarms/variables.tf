variable "name" {
  description = "Prefix of every name, and the dimension Name of our own metrics"
  type        = string
}

variable "tags" {
  description = "Tags of every resource"
  type        = map(string)
  default     = {}
}

variable "alarm_topic_arns" {
  description = "Topics that are told"
  type        = list(string)
}

variable "queue_name" {
  description = "The queue that pg_saga reads"
  type        = string
}

variable "dlq_name" {
  description = "Its dead-letter queue"
  type        = string
}

variable "topic_names" {
  description = "SNS topics whose deliveries are watched, by key"
  type        = map(string)
  default     = {}
}

variable "api_name" {
  description = "The API; null without one"
  type        = string
  default     = null
}

variable "stage_name" {
  description = "Stage of the API"
  type        = string
  default     = "v1"
}

variable "instance_ids" {
  description = "Instances of the database; none: no alarms for it"
  type        = list(string)
  default     = []
}

variable "metric_namespace" {
  description = "Namespace of the metrics that the instances send"
  type        = string
  default     = "pg_saga"
}

variable "max_queue_age_seconds" {
  description = "Age of the oldest message in SQS before the alarm"
  type        = number
  default     = 900
}

variable "max_outbox_age_seconds" {
  description = "Age of the oldest unsent message of the outbox before the alarm"
  type        = number
  default     = 3600
}
