# Everything: an API, a VPC, a primary with a synchronous standby in another zone, backups, alarms.

provider "aws" {
  region = var.region
}

module "pg_saga" {
  source = "../.."

  name                       = "invoices"
  manage_api_gateway_account = true
  enable_waf                 = true
  standby_count              = 1

  package_url    = var.package_url
  package_sha256 = var.package_sha256
  extra_packages = var.agents

  # The secret invoices/destination/accounting is filled by hand, before the first invoice:
  #   aws secretsmanager put-secret-value --secret-id ... --secret-string file://token
  destination_secrets = ["accounting"]
  destinations = {
    accounting = jsonencode({
      url     = "https://books.example.com"
      headers = { Authorization = "Bearer {secret:file:/etc/pg_saga/secrets/accounting}" }
    })
    payments = jsonencode({ url = "https://pay.example.com" })
  }

  subscriptions = {
    accounts-payable = { protocol = "email", endpoint = "accounts-payable@example.com" }
  }
  alarm_emails = ["operations@example.com"]

  allowed_cidr_blocks = ["10.0.0.0/16"]
}
