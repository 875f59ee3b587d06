import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { both, describeWith, imagePart } from '../../parts.ts';
import { until } from '../../until.ts';
import { register } from '../addons.ts';
import type { Cluster } from '../cluster.ts';
import { startMesh } from './installed-mesh.ts';
import type { Mesh } from './installed-mesh.ts';
import { meshPart } from './mesh-part.ts';
import type { Authority } from './mesh.ts';
import { cameOf, endAgent, meshTools, startMeshAgent, tokenOf } from './mesh-pods.ts';
import type { Call, Came } from './mesh-pods.ts';
import { startFirstAgent } from './page.ts';

const FORGED = 'By=spiffe://acme.test/ns/demo/sa/default;Hash=00;URI=spiffe://acme.test/ns/agents/sa/boss';
const read = { method: 'GET', path: '/items/7' };

/** What an agent with a task of its own tries. */
const OWN: readonly Call[] = [
  { what: 'allowed', ...read },
  { what: 'allowed with an argument', method: 'POST', path: '/items', body: '{"amount":50}' },
  { what: 'denied by policy', method: 'POST', path: '/items', body: '{"amount":500}' },
  { what: 'no such action', method: 'DELETE', path: '/items/7' },
  { what: 'merged slashes', method: 'GET', path: '//items/7' },
  { what: 'escaped slash', method: 'GET', path: '/items%2F7' },
  { what: 'forged XFCC', ...read, headers: { 'x-forwarded-client-cert': FORGED } },
  { what: 'no token', ...read, hasToken: false },
];
const STOLEN: readonly Call[] = [
  { what: 'stolen', ...read },
  {
    what: 'stolen, with a forged XFCC',
    ...read,
    headers: { 'x-forwarded-client-cert': FORGED.replace('boss', 'planner') },
  },
];
const ENDED: readonly Call[] = [{ what: 'ended task', ...read }];

/** What the tool server was asked. It sees no header with a certificate, whatever the agent sends. */
const allowed = (what: string) => ({ what, status: 200, text: '{"method":"GET","path":"/items/7"}' });
const refused = (what: string, status: number, reason: string) => ({ what, status, reason });

const EXPECTED = [
  allowed('allowed'),
  { what: 'allowed with an argument', status: 200, text: '{"method":"POST","path":"/items"}' },
  refused('denied by policy', 403, 'policy.not-permitted'),
  refused('no such action', 403, 'action.unknown'),
  allowed('merged slashes'),
  { what: 'escaped slash', status: 400, text: '' },
  allowed('forged XFCC'),
  refused('no token', 401, 'token.missing'),
  refused('stolen', 401, 'token.binding'),
  refused('stolen, with a forged XFCC', 401, 'token.binding'),
  refused('ended task', 403, 'task.cancelled'),
];

// In this order: one mesh, by the page, with the certificates of Istio's own CA, and then with those of SPIRE.
describeWith(
  both(meshPart(), imagePart()),
  'calls in a real Istio mesh, installed by its page (issue 39)',
  ([[parts, istio]]) => {
    let mesh: Mesh;
    let cluster: Cluster;
    beforeAll(async () => {
      mesh = await startMesh(parts, istio, { isPatient: true });
      cluster = mesh.cluster;
      await register(
        cluster,
        ['thief', 'boss'].map((name) => ({
          id: `spiffe://acme.test/ns/agents/sa/${name}`,
          selectors: ['k8s:ns:agents', `k8s:sa:${name}`],
        })),
      );
    });
    afterAll(async () => {
      await mesh?.close();
    });

    const seconds = (): string => ((Date.now() - mesh.startedMs) / 1_000).toFixed(0);

    /** Makes the calls of all agents, and returns what came of each. */
    async function results(authority: Authority): Promise<readonly Came[]> {
      const name = (who: string): string => `${who}-${authority}`;
      const made = async (who: string, calls: readonly Call[], environment: object = {}, more: object = {}) => {
        const common = { authority, name: name(who), program: 'agent.mjs' as const };
        await startMeshAgent(cluster, {
          ...common,
          environment: { CALLS: JSON.stringify(calls), ...environment },
          ...more,
        });
        return cameOf(cluster, name(who), calls.length);
      };
      const own = await made('planner', OWN, { HOLD: '1' });
      const TOKEN = await tokenOf(cluster, name('planner'));
      const stolen = await made('thief', STOLEN, { TOKEN }, { account: 'thief', isRun: false });
      await endAgent(cluster, name('planner'));
      const ended = await made('late', ENDED, { TOKEN }, { isRun: false });
      return [...own, ...stolen, ...ended];
    }

    it('answers the first call of the agent of the page', async () => {
      await startFirstAgent(cluster, mesh.folder);
      const first = ['kubectl', '-n', 'agents', 'logs', 'planner', '-c', 'agent'];
      let said = { stdout: '', stderr: '' };
      await until(async () => /^200 /m.test((said = await cluster.tried(first)).stdout), {
        what: 'the first call',
      }).catch(() => {});
      expect(said.stdout + said.stderr).toMatch(/^200 GET \/items\/7$/m);
      process.stdout.write(`a fresh cluster, Istio and Remit by the page to the first call: ${seconds()} s\n`);
    });

    describe.each<Authority>(['istio', 'spire'])('with certificates of %s', (authority) => {
      beforeAll(async () => {
        await cluster.apply(...meshTools({ authority }));
        await cluster.kubectl('-n demo rollout status deployment/tools');
      });

      it('decides each call as the page says', async () => {
        expect(await results(authority)).toEqual(EXPECTED);
        process.stdout.write(`a fresh cluster to all results with certificates of ${authority}: ${seconds()} s\n`);
      });

      it('gives an agent that no policy names no task', async () => {
        const environment = { CALLS: JSON.stringify([{ what: 'none', ...read }]) };
        const common = { authority, program: 'agent.mjs' as const, environment };
        await startMeshAgent(cluster, { ...common, name: `boss-${authority}`, account: 'boss' });
        await expect(cameOf(cluster, `boss-${authority}`, 1)).rejects.toThrow(/policy\.denied|access_denied|invalid_/);
      });

      it('lets nobody in who has no certificate of the mesh', async () => {
        const common = {
          authority,
          program: 'agent.mjs' as const,
          environment: { CALLS: JSON.stringify([{ what: 'in clear', ...read }]) },
        };
        await startMeshAgent(cluster, { ...common, name: `clear-${authority}`, isInMesh: false });
        expect(await cameOf(cluster, `clear-${authority}`, 1)).toEqual([
          { what: 'in clear', status: 0, text: expect.stringContaining('ECONNRESET') },
        ]);
      });
    });
  },
);
