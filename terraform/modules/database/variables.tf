variable "name" {
  description = "Prefix of every name"
  type        = string
}

variable "tags" {
  description = "Tags of every resource"
  type        = map(string)
  default     = {}
}

variable "vpc_id" {
  description = "VPC of the instances"
  type        = string
}

variable "vpc_cidr" {
  description = "Its addresses: pg_hba.conf lets clients and standbys in from there, with a password"
  type        = string
}

variable "subnets" {
  description = "Private subnets; instance i is in subnet i, over and over"
  type        = list(object({ id = string, availability_zone = string }))

  validation {
    condition     = length(var.subnets) > 0
    error_message = "subnets: at least one."
  }
}

variable "kms_key_arn" {
  description = "Key of volumes, secrets, backups and logs"
  type        = string
}

variable "instance_profile_name" {
  description = "Profile with the rights of the instances"
  type        = string
}

variable "instance_type" {
  description = "Type of the instances; the image must be of the same architecture"
  type        = string
  default     = "m7g.large"
}

variable "ami_id" {
  description = "Image of the instances, Debian 12; null: the newest by ami_ssm_parameter"
  type        = string
  default     = null
}

variable "ami_ssm_parameter" {
  description = "Public parameter that names the newest Debian 12 image; amd64 in place of arm64 for other types"
  type        = string
  default     = "/aws/service/debian/release/12/latest/arm64"
}

variable "postgresql_version" {
  description = "Major version; Debian 12 has 15, others come from apt.postgresql.org"
  type        = number
  default     = 15

  validation {
    condition     = contains([14, 15, 16, 17, 18], var.postgresql_version)
    error_message = "postgresql_version: 14 to 18."
  }
}

variable "package_url" {
  description = "pg_saga: a .deb, or its source as .tar.gz, at https:// or s3://; null: the image has it"
  type        = string
  default     = null

  validation {
    condition     = var.package_url == null || can(regex("^(https|s3)://[^ ]+\\.(deb|tar\\.gz)$", var.package_url))
    error_message = "package_url: https:// or s3://, ending in .deb or .tar.gz."
  }
}

variable "package_sha256" {
  description = "SHA-256 of the package"
  type        = string
  default     = null

  validation {
    condition     = var.package_url == null || can(regex("^[0-9a-f]{64}$", var.package_sha256))
    error_message = "package_sha256: 64 hexadecimal digits."
  }
}

variable "extra_packages" {
  description = "More .deb files with their SHA-256, such as the agents of Session Manager and CloudWatch, which Debian does not have"
  type        = list(object({ url = string, sha256 = string }))
  default     = []

  validation {
    condition     = alltrue([for p in var.extra_packages : can(regex("^(https|s3)://[^ ]+\\.deb$", p.url)) && can(regex("^[0-9a-f]{64}$", p.sha256))])
    error_message = "extra_packages: url https:// or s3:// and .deb, sha256 64 hexadecimal digits."
  }
}

variable "volume_size" {
  description = "Size of each data volume in GiB"
  type        = number
  default     = 100

  validation {
    condition     = var.volume_size >= 20 && var.volume_size <= 65536
    error_message = "volume_size: 20 to 65536."
  }
}

variable "volume_iops" {
  description = "Operations a second of each data volume"
  type        = number
  default     = 3000

  validation {
    condition     = var.volume_iops >= 3000 && var.volume_iops <= 80000
    error_message = "volume_iops: at least 3000, as gp3 has it."
  }
}

variable "volume_throughput" {
  description = "MiB a second of each data volume"
  type        = number
  default     = 125

  validation {
    condition     = var.volume_throughput >= 125 && var.volume_throughput <= 2000
    error_message = "volume_throughput: at least 125, as gp3 has it."
  }
}

variable "standby_count" {
  description = "Standbys beside the primary, each in the next zone"
  type        = number
  default     = 1

  validation {
    condition     = var.standby_count >= 0 && var.standby_count <= 4 && floor(var.standby_count) == var.standby_count
    error_message = "standby_count: 0 to 4."
  }
}

variable "synchronous_standby" {
  description = "A commit waits until one standby has it. Without, a failover may lose what was accepted last; with it, nothing is accepted while no standby is there"
  type        = bool
  default     = true
}

variable "writer" {
  description = "Which instance is the primary; changed after pg-saga promote"
  type        = number
  default     = 0

  validation {
    condition     = var.writer >= 0 && var.writer <= var.standby_count && floor(var.writer) == var.writer
    error_message = "writer: 0 to standby_count."
  }
}

variable "allowed_security_group_ids" {
  description = "Security groups whose members may connect, under names of your choice"
  type        = map(string)
  default     = {}
}

variable "allowed_cidr_blocks" {
  description = "Addresses that may connect"
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for c in var.allowed_cidr_blocks : can(cidrhost(c, 0)) && !endswith(c, "/0")])
    error_message = "allowed_cidr_blocks: ranges such as 10.0.0.0/16, never /0."
  }
}

variable "egress_ports" {
  description = "Ports to the outside that are open to the instances"
  type        = set(string)
  default     = ["80", "443"]

  validation {
    condition     = alltrue([for p in var.egress_ports : can(regex("^[0-9]{1,5}$", p))])
    error_message = "egress_ports: numbers of ports."
  }
}

variable "backup_retention_days" {
  description = "How long backups are kept, and how far back the database can be restored"
  type        = number
  default     = 30

  validation {
    condition     = var.backup_retention_days >= 7
    error_message = "backup_retention_days: at least 7, because there is one full backup a week."
  }
}

variable "volume_snapshots" {
  description = "Daily snapshots of the volumes by AWS Backup, beside pgBackRest"
  type        = bool
  default     = false
}

variable "queue_url" {
  description = "SQS queue that invoices come from; null: none"
  type        = string
  default     = null
}

variable "topic_arns" {
  description = "SNS topics, each a destination of the same name"
  type        = map(string)
  default     = {}
}

variable "destinations" {
  description = "HTTP destinations by name, settings as JSON as saga.create_destination takes them; the invoice workflow needs accounting and payments"
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for d in var.destinations : can(jsondecode(d).url)])
    error_message = "destinations: each is a JSON object with at least a url."
  }
}

variable "destination_secrets" {
  description = "Names of secrets that destinations use as {secret:file:/etc/pg_saga/secrets/NAME}; their values are put into Secrets Manager by hand"
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for s in var.destination_secrets : can(regex("^[a-z][a-z0-9_-]*$", s))])
    error_message = "destination_secrets: lower-case letters, digits, _ and -."
  }
}

variable "monthly_schedule" {
  description = "When pg_cron runs invoice_process(), beside the workers that work at once; null: never"
  type        = string
  default     = "0 6 1 * *"

  validation {
    condition     = var.monthly_schedule == null || can(regex("^([0-9*,/$-]+ ){4}[0-9A-Za-z*,/-]+$", var.monthly_schedule))
    error_message = "monthly_schedule: five fields, as cron has them."
  }
}

variable "metric_namespace" {
  description = "Namespace of the metrics that the instances send"
  type        = string
  default     = "pg_saga"
}

variable "log_retention_days" {
  description = "How long logs are kept"
  type        = number
  default     = 365
}

variable "deletion_protection" {
  description = "Instances cannot be terminated nor volumes destroyed by Terraform"
  type        = bool
  default     = true
}
