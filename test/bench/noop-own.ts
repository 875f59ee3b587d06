import { checkResponseBytes } from '../../src/envoy/check-response.ts';
import { AuthorizationServer } from '../../src/envoy/server.ts';
import { systemPorts } from '../../src/runtime/ports.ts';

/**
 * The no-op server on Remit's own transport: a prepared allow for everything. `node test/bench/noop-own.ts SOCKET`; it prints `ready` when
 * it listens.
 */
const allow = checkResponseBytes({ kind: 'ok', headers: [], headersToRemove: [] }, []);
const server = new AuthorizationServer(
  { answers: (checks) => checks.map(() => allow), afterwards: () => {} },
  { ...systemPorts, refuse: () => allow, maxInFlight: 1_024 },
);
const bound = await server.listen([`unix:${process.argv[2]}`]);
if ('problem' in bound) throw new Error(bound.problem);
process.stdout.write('ready\n');
