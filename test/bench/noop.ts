import { resolve } from 'node:path';
import { loadPackageDefinition, Server, ServerCredentials } from '@grpc/grpc-js';
import type { sendUnaryData, ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/**
 * A no-op ext_authz server in the usual style: grpc-js, proto-loader with its usual options, and an allow for everything. `node
 * test/bench/noop.ts SOCKET`; it prints `ready` when it listens.
 */
const definition = loadSync('envoy/service/auth/v3/external_auth.proto', {
  includeDirs: [resolve(import.meta.dirname, '../../proto')],
  keepCase: true,
  longs: String,
  enums: String,
  defaults: true,
  oneofs: true,
});
loadPackageDefinition(definition);
const server = new Server();
server.addService(definition['envoy.service.auth.v3.Authorization'] as ServiceDefinition, {
  Check: (_call: unknown, respond: sendUnaryData<object>) => respond(null, { status: { code: 0 }, ok_response: {} }),
});
server.bindAsync(`unix:${process.argv[2]}`, ServerCredentials.createInsecure(), (error) => {
  if (error !== null) throw error;
  process.stdout.write('ready\n');
});
