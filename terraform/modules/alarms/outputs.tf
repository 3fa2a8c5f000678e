output "alarm_arns" {
  description = "The alarms by name"
  value       = { for k, a in aws_cloudwatch_metric_alarm.this : k => a.arn }
}

output "dashboard_name" {
  description = "The dashboard"
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}
