output "topic_arns" {
  description = "Topics by name, without the one for alarms"
  value       = { for k, t in aws_sns_topic.this : k => t.arn if k != "alarms" }
}

output "all_topic_names" {
  description = "Names of all topics as metrics have them, by key"
  value       = { for k, t in aws_sns_topic.this : k => t.name }
}

output "alarm_topic_arn" {
  description = "The topic for alarms; null without one"
  value       = one([for k, t in aws_sns_topic.this : t.arn if k == "alarms"])
}
