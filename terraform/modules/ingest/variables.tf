variable "name" {
  description = "Prefix of every name"
  type        = string
}

variable "tags" {
  description = "Tags of every resource"
  type        = map(string)
  default     = {}
}

variable "kms_key_arn" {
  description = "Key that encrypts queues and logs; its policy must let SQS and CloudWatch Logs use it"
  type        = string
}

variable "fifo" {
  description = "FIFO queues instead of standard ones"
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

variable "create_api" {
  description = "Make the API Gateway in front of the queue"
  type        = bool
  default     = true
}

variable "stage_name" {
  description = "Stage of the API, the first part of its path"
  type        = string
  default     = "v1"
}

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

variable "waf_rate_limit" {
  description = "Requests of one address in five minutes before the firewall refuses them"
  type        = number
  default     = 10000
}

variable "log_retention_days" {
  description = "How long logs are kept"
  type        = number
  default     = 365
}
