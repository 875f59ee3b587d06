import { AuthorizationServer } from '../../src/sidecar/envoy/server.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';

/**
 * A do-nothing server on Remit's own transport that answers everything with one prepared allow: `node test/bench/noop-own.ts SOCKET ANSWER`
 * where ANSWER is base64 of a CheckResponse. It takes access logs and forgets them. It prints `ready` when it listens.
 */
const allow = Buffer.from(process.argv[3] ?? '', 'base64');
const server = new AuthorizationServer(
  { answers: (checks) => checks.map(() => allow), afterwards: () => {} },
  {
    ...systemPorts,
    refuse: () => allow,
    maxInFlight: 1_024,
    accessLog: { ledger: null, opened: () => () => undefined, served: () => null },
  },
);
const bound = await server.listen([`unix:${process.argv[2]}`]);
if ('problem' in bound) throw new Error(bound.problem);
server.setServing(true);
process.stdout.write('ready\n');
