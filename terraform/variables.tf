# What to make

variable "name" {
  description = "Prefix of every name"
  type        = string
  default     = "pg-saga"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "name: 3 to 32 lower-case letters, digits and hyphens, beginning with a letter."
  }
}

variable "tags" {
  description = "Tags of every resource"
  type        = map(string)
  default     = {}
}

variable "create_api" {
  description = "Make the API Gateway in front of the queue"
  type        = bool
  default     = true
}

variable "create_database" {
  description = "Make instances with PostgreSQL; false: bring your own, and give its role edge_policy_arn"
  type        = bool
  default     = true
}

variable "create_vpc" {
  description = "Make a VPC for the instances; false: vpc_id and private_subnet_ids name one"
  type        = bool
  default     = true
}

variable "kms_key_arn" {
  description = "A key of your own, whose policy lets SNS, SQS, CloudWatch and CloudWatch Logs use it; null: one is made"
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn: the ARN of a key, not of an alias."
  }
}

variable "deletion_protection" {
  description = "Instances cannot be terminated nor volumes destroyed by Terraform"
  type        = bool
  default     = true
}

variable "log_retention_days" {
  description = "How long logs are kept"
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days: a number that CloudWatch Logs offers, such as 30, 90 or 365."
  }
}

# Network

variable "vpc_id" {
  description = "VPC to use, with create_vpc = false"
  type        = string
  default     = null

  validation {
    condition     = !var.create_database || var.create_vpc || can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "vpc_id: needed with create_vpc = false."
  }
}

variable "private_subnet_ids" {
  description = "Subnets for the instances, with create_vpc = false; instance i is in subnet i, over and over"
  type        = list(string)
  default     = []

  validation {
    condition     = !var.create_database || var.create_vpc || length(var.private_subnet_ids) >= (var.standby_count > 0 ? 2 : 1)
    error_message = "private_subnet_ids: needed with create_vpc = false, two at least with a standby."
  }
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

variable "enable_nat" {
  description = "A way out to the internet, for accounting services and package mirrors"
  type        = bool
  default     = true
}

variable "interface_endpoints" {
  description = "AWS services that are reached inside the VPC; each costs by the hour and zone. null: all that is needed without NAT, none with it"
  type        = set(string)
  default     = null
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

# Database

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

# API and queue

variable "api_authorization" {
  description = "Who may send invoices: AWS_IAM, API_KEY, COGNITO or LAMBDA"
  type        = string
  default     = "AWS_IAM"

  validation {
    condition     = contains(["AWS_IAM", "API_KEY", "COGNITO", "LAMBDA"], var.api_authorization)
    error_message = "api_authorization: AWS_IAM, API_KEY, COGNITO or LAMBDA."
  }
}

variable "api_key_names" {
  description = "API keys to make with API_KEY; their values will be in the state, so none by default"
  type        = set(string)
  default     = []
}

variable "cognito_user_pool_arns" {
  description = "User pools whose tokens are taken, with COGNITO"
  type        = list(string)
  default     = []

  validation {
    condition     = var.api_authorization != "COGNITO" || length(var.cognito_user_pool_arns) > 0
    error_message = "cognito_user_pool_arns: COGNITO needs at least one."
  }
}

variable "authorizer_lambda_arn" {
  description = "Function that decides about the token of a request, with LAMBDA"
  type        = string
  default     = null

  validation {
    condition     = var.api_authorization != "LAMBDA" || var.authorizer_lambda_arn != null
    error_message = "authorizer_lambda_arn: LAMBDA needs it."
  }
}

variable "api_throttle_rate" {
  description = "Requests a second that the API takes"
  type        = number
  default     = 100

  validation {
    condition     = var.api_throttle_rate > 0
    error_message = "api_throttle_rate: more than 0."
  }
}

variable "api_throttle_burst" {
  description = "Requests at once that the API takes"
  type        = number
  default     = 200

  validation {
    condition     = var.api_throttle_burst >= 1
    error_message = "api_throttle_burst: at least 1."
  }
}

variable "manage_api_gateway_account" {
  description = "Set the role with which API Gateway writes logs: one for each account and region, without which a stage cannot log"
  type        = bool
  default     = false
}

variable "enable_waf" {
  description = "Put a web application firewall in front of the API"
  type        = bool
  default     = false
}

variable "fifo" {
  description = "FIFO queues and topics instead of standard ones"
  type        = bool
  default     = false
}

variable "max_receive_count" {
  description = "How often a message is received before it goes to the dead-letter queue"
  type        = number
  default     = 5

  validation {
    condition     = var.max_receive_count >= 1 && var.max_receive_count <= 1000
    error_message = "max_receive_count: 1 to 1000."
  }
}

variable "visibility_timeout_seconds" {
  description = "How long a received message is hidden until it is deleted or comes again"
  type        = number
  default     = 60

  validation {
    condition     = var.visibility_timeout_seconds >= 30 && var.visibility_timeout_seconds <= 43200
    error_message = "visibility_timeout_seconds: 30 to 43200."
  }
}

variable "message_retention_seconds" {
  description = "How long the queue keeps a message that nobody receives: how long the database may be down"
  type        = number
  default     = 1209600

  validation {
    condition     = var.message_retention_seconds >= 3600 && var.message_retention_seconds <= 1209600
    error_message = "message_retention_seconds: 3600 to 1209600 (14 days)."
  }
}

variable "max_message_size" {
  description = "Largest invoice in bytes, as SQS counts them"
  type        = number
  default     = 262144

  validation {
    condition     = var.max_message_size >= 1024 && var.max_message_size <= 1048576
    error_message = "max_message_size: 1024 to 1048576."
  }
}

variable "sender_role_arns" {
  description = "Roles that may send to the queue besides the API: other producers, and operators who move messages back from the dead-letter queue"
  type        = list(string)
  default     = []
}

# Topics and alarms

variable "topic_names" {
  description = "Topics, each without the prefix"
  type        = set(string)
  default     = ["invoice-events"]

  validation {
    condition     = !contains(var.topic_names, "alarms")
    error_message = "topic_names: alarms is the name of the topic for alarms."
  }
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

variable "alarm_emails" {
  description = "Addresses that get the alarms; each has to confirm once"
  type        = set(string)
  default     = []
}
