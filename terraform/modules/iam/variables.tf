variable "name" {
  description = "Prefix of every name"
  type        = string
}

variable "tags" {
  description = "Tags of every resource"
  type        = map(string)
  default     = {}
}

variable "topic_arns" {
  description = "Topics that pg_saga publishes to"
  type        = list(string)
}

variable "queue_arn" {
  description = "Queue that pg_saga reads"
  type        = string
}

variable "kms_key_arn" {
  description = "Key of queue, topics, secrets and backups"
  type        = string
}

variable "create_instance_role" {
  description = "Make the role of our own instances, not the policy of the edge alone"
  type        = bool
  default     = true
}

variable "role_secret_arns" {
  description = "Secrets of database roles, which the instance fills"
  type        = map(string)
  default     = {}
}

variable "destination_secret_arns" {
  description = "Secrets for outside services, which the instance only reads"
  type        = map(string)
  default     = {}
}

variable "bucket_arn" {
  description = "Bucket of the backups"
  type        = string
  default     = null

  validation {
    condition     = !var.create_instance_role || var.bucket_arn != null
    error_message = "bucket_arn: the role of the instances needs it."
  }
}

variable "package_object_arns" {
  description = "Objects in S3 that the instance installs"
  type        = list(string)
  default     = []
}

variable "log_group_arn" {
  description = "Log group of the instances"
  type        = string
  default     = null

  validation {
    condition     = !var.create_instance_role || var.log_group_arn != null
    error_message = "log_group_arn: the role of the instances needs it."
  }
}

variable "metric_namespace" {
  description = "The one namespace that the instances may write metrics to"
  type        = string
  default     = "pg_saga"
}
