variable "region" {
  description = "Where all of it is"
  type        = string
  default     = "eu-central-1"
}

variable "package_url" {
  description = "The package of pg_saga for the architecture of the instances"
  type        = string
}

variable "package_sha256" {
  description = "Its SHA-256"
  type        = string
}

variable "agents" {
  description = "The agents of Session Manager and CloudWatch as .deb files of one version, with their SHA-256"
  type        = list(object({ url = string, sha256 = string }))
  default     = []
}
