variable "region" {
  description = "Where the VPC is"
  type        = string
  default     = "eu-central-1"
}

variable "vpc_id" {
  description = "The VPC"
  type        = string
}

variable "private_subnet_ids" {
  description = "Private subnets in two availability zones"
  type        = list(string)
}

variable "application_security_group_id" {
  description = "Security group of what connects to the database"
  type        = string
}

variable "package_url" {
  description = "The package of pg_saga for the architecture of the instances"
  type        = string
}

variable "package_sha256" {
  description = "Its SHA-256"
  type        = string
}
