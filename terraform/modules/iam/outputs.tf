output "edge_policy_arn" {
  description = "Policy to attach to the role of a PostgreSQL of your own"
  value       = aws_iam_policy.edge.arn
}

output "instance_role_arn" {
  description = "Role of the instances; null without"
  value       = one(aws_iam_role.instance[*].arn)
}

# An instance that starts without its rights fails at first boot.
output "instance_profile_name" {
  description = "Profile of the instances, once its role has all rights; null without"
  value       = one(aws_iam_instance_profile.this[*].name)
  depends_on = [
    aws_iam_role_policy.instance,
    aws_iam_role_policy_attachment.edge,
    aws_iam_role_policy_attachment.session_manager,
  ]
}
