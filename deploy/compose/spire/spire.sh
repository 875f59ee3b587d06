#!/bin/sh
# A SPIRE server and its agent, which joins by a token. Nothing of them outlives the container: keys are in memory.
set -eu
run=/run/spire
rm -rf "${run:?}"/*
# The volume of the others is theirs.
chown "$WORKLOAD_UID" /var/lib/remit

cat >"$run/server.conf" <<END
server {
  trust_domain = "$TRUST_DOMAIN"
  bind_address = "127.0.0.1"
  bind_port = $SPIRE_PORT
  socket_path = "$run/server.sock"
  data_dir = "$run/server"
  log_level = "WARN"
  experimental { cache_reload_interval = "1s" }
}
plugins {
  DataStore "sql" { plugin_data { database_type = "sqlite3" connection_string = "$run/server.sqlite3" } }
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "memory" { plugin_data {} }
}
END
cat >"$run/agent.conf" <<END
agent {
  trust_domain = "$TRUST_DOMAIN"
  server_address = "127.0.0.1"
  server_port = $SPIRE_PORT
  socket_path = "$run/agent.sock"
  trust_bundle_path = "$run/bootstrap.pem"
  data_dir = "$run/agent"
  log_level = "WARN"
  experimental { sync_interval = "1s" }
}
plugins {
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "memory" { plugin_data {} }
  WorkloadAttestor "unix" { plugin_data {} }
}
END

server=
agent=
trap 'kill $server $agent 2>/dev/null || :' EXIT
trap 'exit 0' TERM INT
spire-server run -config "$run/server.conf" &
server=$!
until spire-server healthcheck -socketPath "$run/server.sock" >/dev/null 2>&1; do
  kill -0 $server
  sleep 0.2
done
spire-server bundle show -socketPath "$run/server.sock" >"$run/bootstrap.pem"
token=$(spire-server token generate -socketPath "$run/server.sock" -spiffeID "spiffe://$TRUST_DOMAIN/node" | sed -n 's/^Token: //p')
spire-agent run -config "$run/agent.conf" -joinToken "$token" &
agent=$!
wait $agent
