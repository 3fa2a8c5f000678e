variable "name" {
  description = "Prefix of every name"
  type        = string
}

variable "tags" {
  description = "Tags of every resource"
  type        = map(string)
  default     = {}
}

variable "kms_key_arn" {
  description = "Key that encrypts the topics; its policy must let SNS, and CloudWatch for alarms, use it"
  type        = string
}

variable "topic_names" {
  description = "Topics, each without the prefix"
  type        = set(string)
  default     = ["invoice-events"]

  validation {
    condition     = !contains(var.topic_names, "alarms")
    error_message = "topic_names: alarms is the name of the topic for alarms."
  }
}

variable "fifo" {
  description = "FIFO topics instead of standard ones"
  type        = bool
  default     = false
}

variable "subscriptions" {
  description = "Who is told of what happens to invoices; filter_policy is JSON"
  type = map(object({
    topic                = optional(string, "invoice-events")
    protocol             = string
    endpoint             = string
    raw_message_delivery = optional(bool)
    filter_policy        = optional(string)
  }))
  default = {}

  validation {
    condition     = alltrue([for s in var.subscriptions : contains(var.topic_names, s.topic)])
    error_message = "subscriptions: topic must be one of topic_names."
  }
}

variable "create_alarm_topic" {
  description = "Make the topic that alarms go to"
  type        = bool
  default     = true
}

variable "alarm_emails" {
  description = "Addresses that get the alarms; each has to confirm once"
  type        = set(string)
  default     = []
}
