output "vpc_id" {
  description = "The VPC"
  value       = aws_vpc.this.id
}

output "vpc_cidr" {
  description = "Its addresses"
  value       = aws_vpc.this.cidr_block
}

output "subnets" {
  description = "Private subnets, in the order of the zones"
  value       = [for az in var.availability_zones : { id = aws_subnet.private[az].id, availability_zone = az }]
}
