import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { deny } from '../../../src/core/decision/decision.ts';
import { AuthorizationServer } from '../../../src/sidecar/envoy/server.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { both, describeWith, ghzPart, grpcurlPart } from '../../parts.ts';
import { oneByOne } from './handlers.ts';
import { answerWith, handlerOf, refuse } from './wire.ts';
import { must } from '../../builders/must.ts';

const run = promisify(execFile);
const protos = resolve(import.meta.dirname, '../../../proto');
const healthProtos = resolve(import.meta.dirname, '../../../node_modules/grpc-health-check/proto');
const FILE = 'envoy/service/auth/v3/external_auth.proto';
const METHOD = 'envoy.service.auth.v3.Authorization';
/** As a client on grpc-go is handed it. */
const body = { attributes: { request: { http: { raw_body: Buffer.alloc(200_000, 97).toString('base64') } } } };

describeWith(both(grpcurlPart(), ghzPart()), 'AuthorizationServer asked by grpc-go', ([grpcurl, ghz]) => {
  let server: AuthorizationServer;
  let address: string;
  beforeAll(async () => {
    const handler = handlerOf(async (facts) =>
      answerWith({ decision: 'kind' in facts ? facts : deny('internal', '') }),
    );
    server = new AuthorizationServer(oneByOne(handler), { ...systemPorts, refuse });
    const bound = must(await server.listen(['127.0.0.1:0']));
    address = bound[0] ?? '';
  });
  afterAll(() => server.close(100));

  it('answers grpcurl, with a small message and with a message beyond the windows', async () => {
    const call = ['-plaintext', '-import-path', protos, '-proto', FILE];
    for (const data of ['{}', JSON.stringify(body)]) {
      const child = run(grpcurl, [...call, '-d', '@', address, `${METHOD}/Check`]);
      child.child.stdin?.end(data);
      const { stdout } = await child;
      expect(JSON.parse(stdout)).toMatchObject({ status: { message: expect.stringMatching(/^request\./) } });
    }
  });

  it('answers health checks of grpcurl', async () => {
    server.setServing(true);
    const call = ['-plaintext', '-import-path', healthProtos, '-proto', 'health/v1/health.proto'];
    for (const data of ['{}', JSON.stringify({ service: METHOD })]) {
      const { stdout } = await run(grpcurl, [...call, '-d', data, address, 'grpc.health.v1.Health/Check']);
      expect(JSON.parse(stdout)).toEqual({ status: 'SERVING' });
    }
  });

  it('answers ghz 4,000 times over 8 connections without an error', async () => {
    const proto = ['--import-paths', protos, '--proto', FILE, '--call', `${METHOD}.Check`];
    const load = ['-n', '4000', '-c', '64', '--connections', '8', '-d', '{}', '--format', 'json'];
    const { stdout } = await run(ghz, ['--insecure', ...proto, ...load, address], { maxBuffer: 64 * 1024 * 1024 });
    const report: { count: number; statusCodeDistribution: Record<string, number> } = JSON.parse(stdout);
    expect(report.statusCodeDistribution).toEqual({ OK: 4_000 });
    expect(server.inFlight).toBe(0);
  });
});
