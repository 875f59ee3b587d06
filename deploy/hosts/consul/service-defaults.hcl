# Consul service mesh: the tool server's own sidecar asks Remit, which runs beside it. `consul config write service-defaults.hcl`
Kind     = "service-defaults"
Name     = "payments"
Protocol = "http"
# An answer of MCP can be a stream, as long as its tool or its session. The default ends it after 15 s.
LocalRequestTimeoutMs = 3600000

EnvoyExtensions = [
  {
    Name = "builtin/ext-authz"
    # INVARIANT: without it Consul tells Envoy to let calls pass while Remit does not answer.
    Required = true
    Arguments = {
      ProxyType = "connect-proxy"
      Config = {
        GrpcService = {
          Target = {
            URI     = "127.0.0.1:9470"
            Timeout = "500ms"
          }
        }
        # What Remit verifies the caller with.
        IncludePeerCertificate = true
        StatusOnError          = 503
        WithRequestBody = {
          MaxRequestBytes     = 65536
          AllowPartialMessage = false
          PackAsBytes         = true
        }
      }
    }
  }
]
