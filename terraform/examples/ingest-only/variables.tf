variable "region" {
  description = "Where all of it is"
  type        = string
  default     = "eu-central-1"
}

variable "role_name" {
  description = "Role of the task, pod or machine on which PostgreSQL runs"
  type        = string
}
