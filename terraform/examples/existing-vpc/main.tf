# In a VPC that is there. It must let the instances out to AWS, by NAT or by endpoints, and to the
# services of the destinations. Applications are let in by their security group.

provider "aws" {
  region = var.region
}

module "pg_saga" {
  source = "../.."

  name = "invoices"

  create_vpc         = false
  vpc_id             = var.vpc_id
  private_subnet_ids = var.private_subnet_ids

  allowed_security_group_ids = { application = var.application_security_group_id }

  package_url    = var.package_url
  package_sha256 = var.package_sha256

  destinations = {
    accounting = jsonencode({ url = "https://books.example.com" })
    payments   = jsonencode({ url = "https://pay.example.com" })
  }
}
