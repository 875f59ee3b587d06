import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { ToolServer } from '../../src/dev/upstream.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { examples } from './domain.ts';
import { Processes } from './processes.ts';

/** The team of a server has this file of the catalog. */
const CATALOGS = {
  payments: 'actions/payments/own.yaml',
  files: 'actions/files.yaml',
  tickets: 'actions/tickets.yaml',
};
const uid = (type: string, id: string) => ({ type: `Remit::${type}`, id });
const PLANNER = 'spiffe://acme.test/ns/agents/sa/planner';
const group = (id: string, ...parents: readonly object[]) => ({ uid: uid('AgentGroup', id), attrs: {}, parents });
const planner = (...parents: readonly object[]) => JSON.stringify([{ uid: uid('Agent', PLANNER), attrs: {}, parents }]);

/** The example policies with a file for each team. */
async function teamFolder(folder: string): Promise<void> {
  await cp(examples, folder, { recursive: true });
  const { servers, ...shared } = parse(await readFile(join(folder, 'actions.yaml'), 'utf8'));
  await writeFile(join(folder, 'actions.yaml'), stringify({ servers: {}, ...shared }));
  await mkdir(join(folder, 'actions/payments'), { recursive: true });
  for (const [server, file] of Object.entries(CATALOGS))
    await writeFile(join(folder, file), stringify({ servers: { [server]: servers[server] } }));
  await rm(join(folder, 'entities.cedarentities.json'));
  await mkdir(join(folder, 'entities'));
  const groups = [group('agents'), group('payers', uid('AgentGroup', 'agents'))];
  await writeFile(join(folder, 'entities/groups.cedarentities.json'), JSON.stringify(groups));
  await writeFile(join(folder, 'entities/planner.cedarentities.json'), planner(uid('AgentGroup', 'payers')));
}

/** Issue 43, point 2: a process that follows a folder in which each team has files of its own. */
describeWith(envoyPart(), 'remit serve with a catalog and entities in several files', (envoy) => {
  const scratch = testFolder(() => processes?.stop());
  let processes: Processes;
  let token = '';
  const at = (name: string): string => join(scratch.folder, 'policies', name);

  beforeAll(async () => {
    await teamFolder(join(scratch.folder, 'policies'));
    const files = async () => {
      const server = await ToolServer.start('files');
      const policies = { folder: join(scratch.folder, 'policies'), lookSeconds: 1 };
      return { address: server.address, policies, issuer: {}, close: () => server.close() };
    };
    processes = await Processes.start(envoy, join(scratch.folder, 'domain'), { kind: 'alone', files });
    await processes.serve(1);
    ({ token } = await processes.declare());
  });

  /** Status and reason of a call that reads a payment. */
  async function reads(): Promise<string> {
    const headers = { authorization: `Bearer ${token}` };
    const call = { host: 'payments.acme.test', path: '/v1/payments/p-1', headers };
    const { status, body } = await processes.agent.call(processes.envoyPort, call);
    return status === 200 ? '200' : `${status} ${JSON.parse(body).reason}`;
  }

  const becomes = (answer: string): Promise<unknown> =>
    until(async () => (await reads()) === answer, { what: `a call is answered ${answer}` });

  /** The sets that were loaded, in order. */
  const sets = (): readonly string[] =>
    Array.from(processes.said(1).matchAll(/set (sha-256:\S+)/g), ([, hash = '']) => hash);

  /** Puts a text into a file while something is done, then what it had, or no file. */
  async function withFile(name: string, text: string, meanwhile: () => Promise<unknown>): Promise<void> {
    const before = await readFile(at(name), 'utf8').catch(() => null);
    await writeFile(at(name), text);
    await meanwhile();
    if (before === null) await rm(at(name));
    else await writeFile(at(name), before);
  }

  it("takes a change of one team's catalog file without a restart", async () => {
    expect(await reads()).toBe('200');
    const own = await readFile(at(CATALOGS.payments), 'utf8');
    const moved = own.replace(/(action: payments\.read[^]*?path: "?\/)v1/, '$1v2');
    expect(moved).not.toBe(own);
    await withFile(CATALOGS.payments, moved, () => becomes('403 action.unknown'));
    await becomes('200');
  });

  it("takes a change of one team's entities", async () => {
    await withFile('entities/planner.cedarentities.json', planner(), () => becomes('403 policy.not-permitted'));
    await becomes('200');
  });

  it('takes a new file of a team', async () => {
    const before = new Set(sets());
    const crm = { hosts: ['crm.acme.test'], audience: 'https://crm.acme.test', routes: [] };
    const route = { action: 'crm.read', method: 'GET', path: '/v1/customers', risk: 'low' };
    await withFile('actions/crm.yaml', stringify({ servers: { crm: { ...crm, routes: [route] } } }), () =>
      until(() => sets().some((hash) => !before.has(hash)), { what: 'the set with the new file' }),
    );
    expect(processes.said(1)).toContain('actions: 11, ');
  });

  it.each([
    [
      'a server',
      'actions/second.yaml',
      'servers:\n  payments: { hosts: [x.acme.test], audience: https://x.acme.test, routes: [] }\n',
      (folder: string) =>
        `${folder}/actions/second.yaml:2:3: the server \`payments\` is defined twice: first at \`${folder}/${CATALOGS.payments}:2\``,
    ],
    [
      'an agent',
      'entities/second.cedarentities.json',
      planner(),
      (folder: string) =>
        `${folder}/entities/second.cedarentities.json:1:2: the entity \`${PLANNER}\` is already at ${folder}/entities/planner.cedarentities.json:1`,
    ],
  ])('keeps the set in force and names both places if two files define %s', async (_what, name, text, message) => {
    const expected = message(join(scratch.folder, 'policies'));
    await becomes('200');
    await withFile(name, text, async () => {
      await until(() => processes.said(1).includes(expected), { what: expected });
      const inForce = sets().at(-1);
      expect(await reads()).toBe('200');
      // A change beside the conflict has no effect before the conflict is gone.
      await withFile('entities/planner.cedarentities.json', planner(), async () => {
        const of = processes.said(1).split(expected).length;
        await until(() => processes.said(1).split(expected).length > of, { what: 'the conflict is reported again' });
        expect(await reads()).toBe('200');
      });
      expect(sets().at(-1)).toBe(inForce);
    });
    await withFile('entities/planner.cedarentities.json', planner(), () => becomes('403 policy.not-permitted'));
    await becomes('200');
  });
});
