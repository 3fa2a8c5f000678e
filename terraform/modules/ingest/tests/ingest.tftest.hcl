mock_provider "aws" {
  source = "../../tests/mocks"
}

override_resource {
  target = aws_sqs_queue.dlq
  values = { id = "https://sqs/dlq", arn = "arn:aws:sqs:eu-central-1:123456789012:dlq" }
}

override_resource {
  target = aws_sqs_queue.this
  values = { id = "https://sqs/queue", arn = "arn:aws:sqs:eu-central-1:123456789012:queue" }
}

variables {
  name        = "test"
  kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/k"
}

run "defaults" {
  assert {
    condition     = jsondecode(aws_sqs_queue_redrive_policy.this.redrive_policy).deadLetterTargetArn == aws_sqs_queue.dlq.arn
    error_message = "the redrive policy names the dead-letter queue"
  }

  assert {
    condition     = aws_sqs_queue_redrive_policy.this.queue_url == aws_sqs_queue.this.id && jsondecode(aws_sqs_queue_redrive_policy.this.redrive_policy).maxReceiveCount == 5
    error_message = "of the queue, after five receives"
  }

  assert {
    condition     = jsondecode(aws_sqs_queue_redrive_allow_policy.dlq.redrive_allow_policy).sourceQueueArns == [aws_sqs_queue.this.arn]
    error_message = "only the queue may use the dead-letter queue"
  }

  assert {
    condition = alltrue([for d in [data.aws_iam_policy_document.queue, data.aws_iam_policy_document.dlq] : anytrue([
      for s in d.statement : s.effect == "Deny" && contains(s.actions, "sqs:*") && anytrue([
        for c in s.condition : c.variable == "aws:SecureTransport" && c.test == "Bool" && c.values == tolist(["false"])
      ])
    ])])
    error_message = "both queues are for TLS only"
  }

  assert {
    condition = anytrue([for s in data.aws_iam_policy_document.queue.statement : s.effect == "Deny" && contains(s.actions, "sqs:SendMessage") && anytrue([
      for c in s.condition : c.test == "ArnNotEquals" && c.variable == "aws:PrincipalArn" && c.values == tolist([aws_iam_role.api[0].arn])
    ])])
    error_message = "only the API's role may send"
  }

  assert {
    condition     = aws_sqs_queue_policy.this.queue_url == aws_sqs_queue.this.id && aws_sqs_queue_policy.dlq.queue_url == aws_sqs_queue.dlq.id
    error_message = "each queue has its policy"
  }

  assert {
    condition     = aws_sqs_queue.this.kms_master_key_id == var.kms_key_arn && aws_sqs_queue.dlq.kms_master_key_id == var.kms_key_arn
    error_message = "both queues are encrypted"
  }

  assert {
    condition     = aws_sqs_queue.dlq.message_retention_seconds == 1209600 && aws_sqs_queue.this.message_retention_seconds == 1209600
    error_message = "messages are kept as long as SQS can"
  }

  assert {
    condition     = aws_api_gateway_method.post[0].authorization == "AWS_IAM" && aws_api_gateway_method.post[0].request_models["application/json"] == "Invoice"
    error_message = "signed requests with an invoice"
  }

  assert {
    condition     = aws_api_gateway_integration.sqs[0].uri == "arn:aws:apigateway:eu-central-1:sqs:path/123456789012/test-invoices" && aws_api_gateway_integration.sqs[0].credentials == aws_iam_role.api[0].arn
    error_message = "the API sends to the queue, with its own role"
  }

  assert {
    condition     = aws_api_gateway_integration.sqs[0].request_templates["application/json"] == "Action=SendMessage&MessageBody=$util.urlEncode($input.body)"
    error_message = "the body as it came is the message"
  }

  assert {
    condition     = strcontains(aws_api_gateway_integration_response.accepted[0].response_templates["application/json"], "\"trackingId\": \"$sent.MessageId\"") && aws_api_gateway_integration_response.accepted[0].status_code == "202"
    error_message = "the answer has the MessageId"
  }

  assert {
    condition     = aws_api_gateway_integration_response.unavailable[0].status_code == "503"
    error_message = "what is not known to be accepted is 503"
  }

  assert {
    condition     = length(data.aws_iam_policy_document.api[0].statement) == 2 && data.aws_iam_policy_document.api[0].statement[0].resources == toset([aws_sqs_queue.this.arn])
    error_message = "the API's role may send to this queue, and no more"
  }

  assert {
    condition     = aws_api_gateway_method_settings.all[0].settings[0].throttling_rate_limit == 100 && aws_api_gateway_method_settings.all[0].settings[0].data_trace_enabled == false
    error_message = "throttled, and no invoice in a log"
  }

  assert {
    condition     = length(aws_api_gateway_account.this) + length(aws_wafv2_web_acl.this) + length(aws_api_gateway_usage_plan.this) + length(aws_api_gateway_authorizer.this) == 0
    error_message = "nothing that was not asked for"
  }
}

run "shape" {
  assert {
    condition     = join(" ", jsondecode(aws_api_gateway_model.invoice[0].schema).required) == "number seller" && !strcontains(aws_api_gateway_model.invoice[0].schema, "$defs")
    error_message = "the model asks for what invoice_submit asks for, in the draft that API Gateway reads"
  }
}

run "no_api" {
  variables {
    create_api = false
    enable_waf = true
  }

  assert {
    condition = length(concat(
      aws_api_gateway_rest_api.this, aws_api_gateway_resource.invoices, aws_api_gateway_model.invoice, aws_api_gateway_request_validator.body,
      aws_api_gateway_method.post, aws_api_gateway_integration.sqs, values(aws_api_gateway_method_response.this),
      aws_api_gateway_integration_response.accepted, aws_api_gateway_integration_response.refused, aws_api_gateway_integration_response.unavailable,
      aws_api_gateway_gateway_response.invalid, aws_api_gateway_deployment.this, aws_api_gateway_stage.this, aws_api_gateway_method_settings.all,
      aws_cloudwatch_log_group.access, aws_cloudwatch_log_group.execution, aws_iam_role.api, aws_iam_role_policy.api,
      aws_wafv2_web_acl.this, aws_wafv2_web_acl_association.this,
    )) == 0
    error_message = "create_api = false leaves nothing of the API"
  }

  assert {
    condition     = output.api_url == null && output.queue_url == "https://sqs/queue"
    error_message = "the queue is there"
  }

  assert {
    condition     = [for s in data.aws_iam_policy_document.queue.statement : s.sid] == ["TlsOnly"]
    error_message = "with nobody named, IAM decides who may send"
  }
}

run "other_senders" {
  variables {
    create_api       = false
    sender_role_arns = ["arn:aws:iam::123456789012:role/shop"]
  }

  assert {
    condition     = anytrue([for s in data.aws_iam_policy_document.queue.statement : s.sid == "OnlyKnownSenders" && one(s.condition).values == tolist(["arn:aws:iam::123456789012:role/shop"])])
    error_message = "who is named may send"
  }
}

run "fifo" {
  variables {
    fifo = true
  }

  assert {
    condition     = endswith(aws_sqs_queue.this.name, ".fifo") && endswith(aws_sqs_queue.dlq.name, ".fifo") && aws_sqs_queue.this.content_based_deduplication && aws_sqs_queue.dlq.fifo_queue
    error_message = "both queues are FIFO"
  }

  assert {
    condition     = strcontains(aws_api_gateway_integration.sqs[0].request_templates["application/json"], "&MessageGroupId=")
    error_message = "a FIFO queue wants a group"
  }
}

run "api_key" {
  variables {
    api_authorization = "API_KEY"
  }

  assert {
    condition     = aws_api_gateway_method.post[0].api_key_required && length(aws_api_gateway_usage_plan.this) == 1 && length(aws_api_gateway_api_key.this) == 0
    error_message = "a plan, and no key in the state"
  }
}

run "named_keys" {
  variables {
    api_authorization = "API_KEY"
    api_key_names     = ["shop", "warehouse"]
  }

  assert {
    condition     = toset(keys(aws_api_gateway_usage_plan_key.this)) == toset(["shop", "warehouse"])
    error_message = "keys by name on request"
  }
}

run "lambda" {
  variables {
    api_authorization     = "LAMBDA"
    authorizer_lambda_arn = "arn:aws:lambda:eu-central-1:123456789012:function:who"
  }

  assert {
    condition     = aws_api_gateway_method.post[0].authorization == "CUSTOM" && aws_api_gateway_method.post[0].authorizer_id == aws_api_gateway_authorizer.this[0].id && length(aws_lambda_permission.authorizer) == 1
    error_message = "the function is asked, and may be"
  }
}

run "cognito" {
  variables {
    api_authorization      = "COGNITO"
    cognito_user_pool_arns = ["arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_abc"]
  }

  assert {
    condition     = aws_api_gateway_method.post[0].authorization == "COGNITO_USER_POOLS" && aws_api_gateway_authorizer.this[0].type == "COGNITO_USER_POOLS"
    error_message = "tokens of the pool"
  }
}

run "waf_and_account" {
  variables {
    enable_waf                 = true
    manage_api_gateway_account = true
  }

  assert {
    condition     = length(jsondecode(aws_wafv2_web_acl.this[0].rule_json)) == 2 && aws_wafv2_web_acl_association.this[0].resource_arn == aws_api_gateway_stage.this[0].arn
    error_message = "two rules, in front of the stage"
  }

  assert {
    condition     = aws_api_gateway_account.this[0].cloudwatch_role_arn == aws_iam_role.logs[0].arn
    error_message = "API Gateway may log"
  }
}

run "anonymous" {
  command = plan

  variables {
    api_authorization = "NONE"
  }

  expect_failures = [var.api_authorization]
}

run "cognito_without_pool" {
  command = plan

  variables {
    api_authorization = "COGNITO"
  }

  expect_failures = [var.cognito_user_pool_arns]
}

run "lambda_without_function" {
  command = plan

  variables {
    api_authorization = "LAMBDA"
  }

  expect_failures = [var.authorizer_lambda_arn]
}

run "bad_numbers" {
  command = plan

  variables {
    max_receive_count          = 0
    visibility_timeout_seconds = 5
    message_retention_seconds  = 1209601
    max_message_size           = 2000000
    api_throttle_rate          = 0
    api_throttle_burst         = 0
  }

  expect_failures = [
    var.max_receive_count, var.visibility_timeout_seconds, var.message_retention_seconds,
    var.max_message_size, var.api_throttle_rate, var.api_throttle_burst,
  ]
}
