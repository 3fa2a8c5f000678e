# POST /invoices: checked against the shape of an invoice, put into the queue, answered with the
# MessageId, by which invoice_tracking finds the invoice.

locals {
  api = var.create_api ? 1 : 0

  authorization = {
    AWS_IAM = "AWS_IAM"
    API_KEY = "NONE"
    COGNITO = "COGNITO_USER_POOLS"
    LAMBDA  = "CUSTOM"
  }[var.api_authorization]

  has_authorizer = contains(["COGNITO", "LAMBDA"], var.api_authorization)
  has_keys       = var.api_authorization == "API_KEY"

  # In a FIFO queue equal bodies within five minutes are one message (content-based deduplication).
  send_message = join("", [
    "Action=SendMessage&MessageBody=$util.urlEncode($input.body)",
    var.fifo ? "&MessageGroupId=invoices" : "",
  ])

  accepted = <<-EOT
    #set($sent = $input.path('$.SendMessageResponse.SendMessageResult'))
    {"trackingId": "$sent.MessageId"}
  EOT

  # SQS says 400 for a message that is too long, or has a character that it does not take.
  refused = <<-EOT
    #if($input.body.contains("must be shorter"))#set($context.responseOverride.status = 413)#end
    {"message": "the queue does not take this message: too long, or a character that is not allowed"}
  EOT
}

locals {
  waf_rules = [
    {
      name      = "rate"
      outcome   = { Action = { Block = {} } }
      statement = { RateBasedStatement = { Limit = var.waf_rate_limit, AggregateKeyType = "IP" } }
    },
    {
      name      = "known-bad-inputs"
      outcome   = { OverrideAction = { None = {} } }
      statement = { ManagedRuleGroupStatement = { VendorName = "AWS", Name = "AWSManagedRulesKnownBadInputsRuleSet" } }
    },
  ]
}

resource "aws_api_gateway_rest_api" "this" {
  count = local.api

  name        = "${var.name}-invoices"
  description = "Takes invoices for pg_saga"
  tags        = var.tags

  endpoint_configuration {
    types = ["REGIONAL"]
  }
}

resource "aws_api_gateway_resource" "invoices" {
  count = local.api

  rest_api_id = aws_api_gateway_rest_api.this[0].id
  parent_id   = aws_api_gateway_rest_api.this[0].root_resource_id
  path_part   = "invoices"
}

resource "aws_api_gateway_model" "invoice" {
  count = local.api

  rest_api_id  = aws_api_gateway_rest_api.this[0].id
  name         = "Invoice"
  description  = "The shape of an invoice; what must add up is checked by the workflow"
  content_type = "application/json"
  schema       = jsonencode(jsondecode(file("${path.module}/invoice.schema.json")))
}

resource "aws_api_gateway_request_validator" "body" {
  count = local.api

  rest_api_id           = aws_api_gateway_rest_api.this[0].id
  name                  = "body"
  validate_request_body = true
}

resource "aws_api_gateway_authorizer" "this" {
  count = var.create_api && local.has_authorizer ? 1 : 0

  rest_api_id     = aws_api_gateway_rest_api.this[0].id
  name            = lower(var.api_authorization)
  type            = var.api_authorization == "COGNITO" ? "COGNITO_USER_POOLS" : "TOKEN"
  provider_arns   = var.api_authorization == "COGNITO" ? var.cognito_user_pool_arns : null
  identity_source = "method.request.header.Authorization"

  authorizer_uri = var.api_authorization == "LAMBDA" ? join("", [
    "arn:${local.partition}:apigateway:${local.region}:lambda:path/2015-03-31/functions/",
    var.authorizer_lambda_arn, "/invocations",
  ]) : null
}

resource "aws_lambda_permission" "authorizer" {
  count = var.create_api && var.api_authorization == "LAMBDA" ? 1 : 0

  statement_id  = "${var.name}-invoices"
  action        = "lambda:InvokeFunction"
  function_name = var.authorizer_lambda_arn
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_api_gateway_rest_api.this[0].execution_arn}/authorizers/${aws_api_gateway_authorizer.this[0].id}"
}

resource "aws_api_gateway_method" "post" {
  count = local.api

  rest_api_id          = aws_api_gateway_rest_api.this[0].id
  resource_id          = aws_api_gateway_resource.invoices[0].id
  http_method          = "POST"
  authorization        = local.authorization
  authorizer_id        = one(aws_api_gateway_authorizer.this[*].id)
  api_key_required     = local.has_keys
  request_validator_id = aws_api_gateway_request_validator.body[0].id
  request_models       = { "application/json" = aws_api_gateway_model.invoice[0].name }
}

resource "aws_api_gateway_integration" "sqs" {
  count = local.api

  rest_api_id             = aws_api_gateway_rest_api.this[0].id
  resource_id             = aws_api_gateway_resource.invoices[0].id
  http_method             = aws_api_gateway_method.post[0].http_method
  type                    = "AWS"
  integration_http_method = "POST"
  uri                     = "arn:${local.partition}:apigateway:${local.region}:sqs:path/${local.account_id}/${aws_sqs_queue.this.name}"
  credentials             = aws_iam_role.api[0].arn
  passthrough_behavior    = "NEVER"
  request_parameters      = { "integration.request.header.Content-Type" = "'application/x-www-form-urlencoded'" }
  request_templates       = { "application/json" = local.send_message }
}

resource "aws_api_gateway_method_response" "this" {
  for_each = var.create_api ? toset(["202", "400", "413", "503"]) : toset([])

  rest_api_id     = aws_api_gateway_rest_api.this[0].id
  resource_id     = aws_api_gateway_resource.invoices[0].id
  http_method     = aws_api_gateway_method.post[0].http_method
  status_code     = each.value
  response_models = { "application/json" = "Empty" }
}

resource "aws_api_gateway_integration_response" "accepted" {
  count = local.api

  rest_api_id        = aws_api_gateway_rest_api.this[0].id
  resource_id        = aws_api_gateway_resource.invoices[0].id
  http_method        = aws_api_gateway_method.post[0].http_method
  status_code        = aws_api_gateway_method_response.this["202"].status_code
  selection_pattern  = "2\\d{2}"
  response_templates = { "application/json" = local.accepted }

  depends_on = [aws_api_gateway_integration.sqs]
}

resource "aws_api_gateway_integration_response" "refused" {
  count = local.api

  rest_api_id        = aws_api_gateway_rest_api.this[0].id
  resource_id        = aws_api_gateway_resource.invoices[0].id
  http_method        = aws_api_gateway_method.post[0].http_method
  status_code        = aws_api_gateway_method_response.this["400"].status_code
  selection_pattern  = "400"
  response_templates = { "application/json" = local.refused }

  depends_on = [aws_api_gateway_integration.sqs]
}

# The default, for every other answer: the invoice was not accepted, the client sends it again.
resource "aws_api_gateway_integration_response" "unavailable" {
  count = local.api

  rest_api_id        = aws_api_gateway_rest_api.this[0].id
  resource_id        = aws_api_gateway_resource.invoices[0].id
  http_method        = aws_api_gateway_method.post[0].http_method
  status_code        = aws_api_gateway_method_response.this["503"].status_code
  response_templates = { "application/json" = jsonencode({ message = "not accepted, send it again" }) }

  depends_on = [aws_api_gateway_integration.sqs]
}

resource "aws_api_gateway_gateway_response" "invalid" {
  count = local.api

  rest_api_id        = aws_api_gateway_rest_api.this[0].id
  response_type      = "BAD_REQUEST_BODY"
  status_code        = "400"
  response_templates = { "application/json" = "{\"message\": $context.error.messageString, \"cause\": \"$context.error.validationErrorString\"}" }
}

resource "aws_api_gateway_deployment" "this" {
  count = local.api

  rest_api_id = aws_api_gateway_rest_api.this[0].id

  triggers = {
    content = sha1(jsonencode([
      aws_api_gateway_resource.invoices,
      aws_api_gateway_model.invoice,
      aws_api_gateway_request_validator.body,
      aws_api_gateway_authorizer.this,
      aws_api_gateway_method.post,
      aws_api_gateway_integration.sqs,
      aws_api_gateway_method_response.this,
      aws_api_gateway_integration_response.accepted,
      aws_api_gateway_integration_response.refused,
      aws_api_gateway_integration_response.unavailable,
      aws_api_gateway_gateway_response.invalid,
    ]))
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_cloudwatch_log_group" "access" {
  count = local.api

  name              = "/aws/apigateway/${var.name}-invoices"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

# API Gateway makes this group itself when it first logs, and then keeps it for ever.
resource "aws_cloudwatch_log_group" "execution" {
  count = local.api

  name              = "API-Gateway-Execution-Logs_${aws_api_gateway_rest_api.this[0].id}/${var.stage_name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

resource "aws_api_gateway_stage" "this" {
  count = local.api

  rest_api_id          = aws_api_gateway_rest_api.this[0].id
  deployment_id        = aws_api_gateway_deployment.this[0].id
  stage_name           = var.stage_name
  xray_tracing_enabled = true
  tags                 = var.tags

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access[0].arn
    format = jsonencode({
      requestId        = "$context.requestId"
      time             = "$context.requestTime"
      ip               = "$context.identity.sourceIp"
      caller           = "$context.identity.caller"
      status           = "$context.status"
      error            = "$context.error.message"
      integrationError = "$context.integration.error"
      responseLength   = "$context.responseLength"
      latency          = "$context.responseLatency"
      trace            = "$context.xrayTraceId"
    })
  }

  depends_on = [aws_cloudwatch_log_group.execution, aws_api_gateway_account.this]
}

resource "aws_api_gateway_method_settings" "all" {
  count = local.api

  rest_api_id = aws_api_gateway_rest_api.this[0].id
  stage_name  = aws_api_gateway_stage.this[0].stage_name
  method_path = "*/*"

  # data_trace would write invoices into the log
  settings {
    metrics_enabled        = true
    logging_level          = "ERROR"
    data_trace_enabled     = false
    throttling_rate_limit  = var.api_throttle_rate
    throttling_burst_limit = var.api_throttle_burst
  }
}

resource "aws_api_gateway_usage_plan" "this" {
  count = var.create_api && local.has_keys ? 1 : 0

  name        = "${var.name}-invoices"
  description = "Who has a key of this plan may send invoices"
  tags        = var.tags

  api_stages {
    api_id = aws_api_gateway_rest_api.this[0].id
    stage  = aws_api_gateway_stage.this[0].stage_name
  }

  throttle_settings {
    rate_limit  = var.api_throttle_rate
    burst_limit = var.api_throttle_burst
  }
}

# The values of these keys are in the state. Without names here: aws apigateway create-api-key.
resource "aws_api_gateway_api_key" "this" {
  for_each = var.create_api && local.has_keys ? var.api_key_names : toset([])

  name = "${var.name}-${each.value}"
  tags = var.tags
}

resource "aws_api_gateway_usage_plan_key" "this" {
  for_each = aws_api_gateway_api_key.this

  usage_plan_id = aws_api_gateway_usage_plan.this[0].id
  key_id        = each.value.id
  key_type      = "API_KEY"
}

data "aws_iam_policy_document" "assume_api" {
  count = local.api

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["apigateway.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "api" {
  count = local.api

  name_prefix        = "${substr(var.name, 0, 24)}-api-"
  description        = "API Gateway sends invoices to SQS"
  assume_role_policy = data.aws_iam_policy_document.assume_api[0].json
  tags               = var.tags
}

data "aws_iam_policy_document" "api" {
  count = local.api

  statement {
    sid       = "Send"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.this.arn]
  }

  statement {
    sid       = "Encrypt"
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = [var.kms_key_arn]
  }
}

resource "aws_iam_role_policy" "api" {
  count = local.api

  name   = "send"
  role   = aws_iam_role.api[0].id
  policy = data.aws_iam_policy_document.api[0].json
}

# One for each account and region, so not everybody's to manage.
resource "aws_api_gateway_account" "this" {
  count = var.create_api && var.manage_api_gateway_account ? 1 : 0

  cloudwatch_role_arn = aws_iam_role.logs[0].arn
  depends_on          = [aws_iam_role_policy_attachment.logs]
}

resource "aws_iam_role" "logs" {
  count = var.create_api && var.manage_api_gateway_account ? 1 : 0

  name_prefix        = "${substr(var.name, 0, 24)}-apilog-"
  description        = "API Gateway writes its logs"
  assume_role_policy = data.aws_iam_policy_document.assume_api[0].json
  tags               = var.tags
}

resource "aws_iam_role_policy_attachment" "logs" {
  count = var.create_api && var.manage_api_gateway_account ? 1 : 0

  role       = aws_iam_role.logs[0].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
}

resource "aws_wafv2_web_acl" "this" {
  count = var.create_api && var.enable_waf ? 1 : 0

  name        = "${var.name}-invoices"
  description = "In front of POST /invoices"
  scope       = "REGIONAL"
  tags        = var.tags

  default_action {
    allow {}
  }

  # as the WAF API has them
  rule_json = jsonencode([for i, r in local.waf_rules : merge(r.outcome, {
    Name      = r.name
    Priority  = i + 1
    Statement = r.statement
    VisibilityConfig = {
      CloudWatchMetricsEnabled = true
      MetricName               = "${var.name}-${r.name}"
      SampledRequestsEnabled   = true
    }
  })])

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = "${var.name}-invoices"
    sampled_requests_enabled   = true
  }
}

resource "aws_wafv2_web_acl_association" "this" {
  count = var.create_api && var.enable_waf ? 1 : 0

  resource_arn = aws_api_gateway_stage.this[0].arn
  web_acl_arn  = aws_wafv2_web_acl.this[0].arn
}
