import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { MeshVerdict } from '../../../../src/agent/forward/upstream/mesh-verdict.ts';
import { meshFiles } from './mesh-files.ts';

const HOST = 'tools.demo.svc.cluster.local';
const USER = 1_337;
const made = meshFiles({ host: HOST, address: '10.1.0.1', folder: '/' });
const dumpOf = (text: string, member: string): string =>
  JSON.stringify({ configs: JSON.parse(text).resources.map((one: object) => ({ [member]: one })) });

// Issue 39, point 4: in a large mesh the answer is large.
describe('MeshVerdict', () => {
  let admin: Server;
  let verdict: MeshVerdict;
  /** What was asked: the resource and the names. */
  let asked: string[][];
  let answers: Readonly<Record<string, string>>;

  beforeEach(async () => {
    asked = [];
    answers = {
      dynamic_route_configs: dumpOf(made.routes, 'route_config'),
      dynamic_active_clusters: dumpOf(made.clusters('tls'), 'cluster'),
    };
    const answer = ({ url = '' }: IncomingMessage, response: ServerResponse): void => {
      const { searchParams } = new URL(url, 'http://admin');
      const resource = searchParams.get('resource') ?? '';
      asked.push([resource, searchParams.get('name_regex') ?? '']);
      response.end(answers[resource]);
    };
    admin = createServer(answer).listen(0, '127.0.0.1');
    await once(admin, 'listening');
    const { port: adminPort } = admin.address() as AddressInfo;
    verdict = new MeshVerdict({ host: HOST, port: 80 }, { connectMs: 30_000, adminPort });
  });
  afterEach(() => {
    admin.close();
  });

  const clear = (): void => {
    answers = { ...answers, dynamic_active_clusters: dumpOf(made.clusters('clear'), 'cluster') };
  };

  it('asks for the routes of the port, and for the clusters of the host alone', async () => {
    expect(await verdict.problem(USER)).toBeNull();
    expect(asked).toEqual([
      ['dynamic_route_configs', '(.*:)?80'],
      ['dynamic_active_clusters', 'outbound\\|80\\|\\|tools\\.demo\\.svc\\.cluster\\.local'],
    ]);
  });

  it('asks once for connections that are opened together and after each other', async () => {
    await Promise.all(Array.from({ length: 20 }, () => verdict.problem(USER)));
    await verdict.problem(USER);
    expect(asked).toHaveLength(2);
  });

  it('asks anew once it has forgotten, also if the routes have not changed', async () => {
    await verdict.problem(USER);
    clear();
    expect(await verdict.problem(USER)).toBeNull();
    verdict.forget();
    expect(await verdict.problem(USER)).toContain('ISTIO_MUTUAL');
  });

  it('asks anew after a refusal', async () => {
    const { dynamic_active_clusters: tls = '' } = answers;
    clear();
    expect(await verdict.problem(USER)).toContain('ISTIO_MUTUAL');
    answers = { ...answers, dynamic_active_clusters: tls };
    expect(await verdict.problem(USER)).toBeNull();
  });

  it('asks anew for a connection that another user has', async () => {
    await verdict.problem(USER);
    clear();
    expect(await verdict.problem(1)).toContain('ISTIO_MUTUAL');
  });

  it('reads changed routes', async () => {
    await verdict.problem(USER);
    answers = { ...answers, dynamic_route_configs: dumpOf('{"resources":[]}', 'route_config') };
    verdict.forget();
    expect(await verdict.problem(USER)).toContain('has no route');
  });

  it('refuses an answer that is too long, with the way out', async () => {
    answers = { dynamic_route_configs: `"${'x'.repeat(9_000_000)}"` };
    expect(await verdict.problem(USER)).toContain('an object `Sidecar` of Istio');
  });

  it('refuses what is no answer', async () => {
    answers = { dynamic_route_configs: '{' };
    expect(await verdict.problem(USER)).toContain('does not say how');
  });
});
