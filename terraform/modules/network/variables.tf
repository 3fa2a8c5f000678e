variable "name" {
  description = "Prefix of every name"
  type        = string
}

variable "tags" {
  description = "Tags of every resource"
  type        = map(string)
  default     = {}
}

variable "vpc_cidr" {
  description = "Addresses of the VPC, /16 to /24"
  type        = string
  default     = "10.32.0.0/20"

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && try(tonumber(split("/", var.vpc_cidr)[1]) >= 16 && tonumber(split("/", var.vpc_cidr)[1]) <= 24, false)
    error_message = "vpc_cidr: a range such as 10.32.0.0/20, /16 to /24."
  }
}

variable "availability_zones" {
  description = "Zones with a private subnet each"
  type        = list(string)

  validation {
    condition     = length(var.availability_zones) >= 2 && length(var.availability_zones) <= 6
    error_message = "availability_zones: 2 to 6."
  }
}

variable "enable_nat" {
  description = "A way out to the internet, for accounting services and package mirrors"
  type        = bool
  default     = true
}

variable "interface_endpoints" {
  description = "AWS services reached inside the VPC; each costs by the hour and zone, and none is needed with NAT"
  type        = set(string)
  default     = []
}

variable "kms_key_arn" {
  description = "Key that encrypts the flow logs"
  type        = string
}

variable "log_retention_days" {
  description = "How long logs are kept"
  type        = number
  default     = 365
}
