import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { both, describeWith, imagePart } from '../../parts.ts';
import { until } from '../../until.ts';
import { register } from '../addons.ts';
import type { Cluster } from '../cluster.ts';
import { startMesh } from './installed-mesh.ts';
import type { Mesh } from './installed-mesh.ts';
import { meshPart } from './mesh-part.ts';
import { cameOf, endAgent, meshTools, startMeshAgent, tokenOf } from './mesh-pods.ts';
import type { Call, MeshAgent } from './mesh-pods.ts';
import { enforceByIstioPage } from './page.ts';

const read = { method: 'GET', path: '/items/7' };

/** What an agent that knows nothing of Remit does: without a token, beside what the catalog and the policies know. */
const CARELESS: readonly Call[] = [
  { what: 'known', ...read, hasToken: false },
  { what: 'amount', method: 'POST', path: '/items', body: '{"amount":500}', hasToken: false },
  { what: 'no such action', method: 'DELETE', path: '/items/7', hasToken: false },
  { what: 'no such path', method: 'GET', path: '/reports/1', hasToken: false },
  { what: 'doubled slash', method: 'GET', path: '//items/7', hasToken: false },
  { what: 'escaped slash', method: 'GET', path: '/items%2F7', hasToken: false },
];
const served = CARELESS.map(({ what, path }) => ({ what, status: 200, text: expect.stringContaining(path) }));
const AUTHORITY = '-n remit exec remit-authority-0 -- remit';

// In this order: one mesh, observed and then enforced, by the commands of the page (issue 41, point 3).
describeWith(
  both(meshPart(), imagePart()),
  'a real Istio mesh that is observed, and then enforced',
  ([[parts, istio]]) => {
    let mesh: Mesh;
    let cluster: Cluster;
    beforeAll(async () => {
      mesh = await startMesh(parts, istio, { isObserved: true, isPatient: true });
      cluster = mesh.cluster;
      const thief = { id: 'spiffe://acme.test/ns/agents/sa/thief', selectors: ['k8s:ns:agents', 'k8s:sa:thief'] };
      await register(cluster, [thief]);
    });
    afterAll(async () => {
      await mesh?.close();
    });

    const start = (name: string, calls: readonly Call[], more: Partial<MeshAgent> = {}): Promise<void> => {
      const environment = { CALLS: JSON.stringify(calls), ...more.environment };
      return startMeshAgent(cluster, { name, authority: 'istio', program: 'agent.mjs', ...more, environment });
    };
    const came = async (name: string, calls: readonly Call[], more?: Partial<MeshAgent>) => {
      await start(name, calls, more);
      return cameOf(cluster, name, calls.length);
    };
    const withoutTask = { isRun: false, environment: { TOKEN: '' } };

    it('lets all calls pass as they came, of agents in the mesh and outside', async () => {
      expect(await came('careless', CARELESS, withoutTask)).toEqual(served);
      expect(await came('outside', CARELESS, { ...withoutTask, isInMesh: false })).toEqual(served);
    });

    it('denies stolen and ended tokens all the same', async () => {
      const own = [{ what: 'own', ...read }];
      expect(await came('planner', own, { environment: { HOLD: '1' } })).toMatchObject([{ status: 200 }]);
      const environment = { TOKEN: await tokenOf(cluster, 'planner') };
      const other = { isRun: false, environment };
      expect(await came('thief', own, { ...other, account: 'thief' })).toMatchObject([
        { status: 401, reason: 'token.binding' },
      ]);
      await endAgent(cluster, 'planner');
      expect(await came('late', own, other)).toMatchObject([{ status: 403, reason: 'task.cancelled' }]);
    });

    it('records at the authority what it would have answered, and learns from it there', async () => {
      const query = `${AUTHORITY} ledger query --mode observe --json --limit 1000`;
      const reasons = await until(
        async () => {
          const lines = (await cluster.kubectl(query)).split('\n').filter((line) => line.startsWith('{'));
          const uses = lines.map((line): { readonly would?: { readonly reason: string } } => JSON.parse(line));
          return uses.length >= 2 * CARELESS.length && new Set(uses.map(({ would }) => would?.reason));
        },
        { what: 'records of observed calls', withinMs: 170_000 },
      );
      expect([...reasons]).toEqual(expect.arrayContaining(['token.missing', 'identity.missing']));
      expect(await cluster.kubectl(`${AUTHORITY} observe`)).toMatch(
        /agents[^]*spiffe:\/\/acme\.test\/ns\/agents\/sa\/planner/,
      );
      const patch = await cluster.kubectl(`${AUTHORITY} learn --patch`);
      const learnt = join(mesh.folder, 'learnt');
      mkdirSync(learnt);
      execFileSync('git', ['apply', '-'], { cwd: learnt, input: `${patch}\n` });
      expect(readFileSync(join(learnt, 'actions.yaml'), 'utf8')).toContain('path: "/reports/{report:int}"');
    });

    it('lets calls pass while Remit is away', async () => {
      await cluster.apply(...meshTools({ authority: 'istio', labels: { 'remit.dev/inject': 'disabled' } }));
      await cluster.kubectl('-n demo rollout status deployment/tools');
      const names = '-n demo get pods -l app=tools -o jsonpath={.items[*].spec.initContainers[*].name}';
      await until(async () => !(await cluster.kubectl(names)).split(' ').includes('remit'), {
        what: 'tools without Remit',
      });
      const alone = await came('alone', CARELESS, withoutTask);
      await cluster.apply(...meshTools({ authority: 'istio' }));
      await cluster.kubectl('-n demo rollout status deployment/tools');
      expect(alone).toEqual(served);
    });

    it('enforces by the commands of the page', async () => {
      await enforceByIstioPage(cluster, mesh.folder);
      let round = 0;
      const isDenied = async (): Promise<boolean> => {
        round += 1;
        const [answer] = await came(`enforced-${round}`, CARELESS.slice(0, 1), withoutTask);
        return answer?.status === 401 && answer.reason === 'token.missing';
      };
      await until(isDenied, { what: 'a call without a token that is denied', withinMs: 300_000 });
      const outside = await came('outside-enforced', CARELESS.slice(0, 1), { ...withoutTask, isInMesh: false });
      expect(outside).toMatchObject([{ status: 0, text: expect.stringContaining('ECONNRESET') }]);
      expect(await came('with-task', [{ what: 'own', ...read }])).toMatchObject([{ status: 200 }]);
    });
  },
);
