import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { ledgerQuery } from '../../src/cli/ledger/ledger-query.ts';
import { runObserve } from '../../src/cli/observe.ts';
import { writeCredential } from '../../src/dev/authority.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { ran } from '../cli/ledgers.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { callPayments, mustDeclare, startDomain } from './domain.ts';
import { Processes } from './processes.ts';

const OPERATOR = 'spiffe://acme.test/ns/ops/sa/desk';
const settings = { enforcement: { emergency: { operators: [OPERATOR] } } };
/** What an agent sends that has no task: a token of its upstream. */
const UPSTREAMS = { token: 'of-the-upstream' };

/** Issue 41, point 7: an emergency, through real Envoy. */
describeWith(envoyPart(), 'an emergency, through Envoy', (envoy) => {
  const scratch = testFolder(() => domain?.stop());
  let domain: DevDomain;
  beforeAll(async () => {
    domain = await startDomain(envoy, { folder: scratch.folder, settings });
    await writeCredential(scratch.folder, 'desk', await domain.authority.svid('/ns/ops/sa/desk'));
  });

  const at = (name: string): string => join(scratch.folder, name);
  const observe = async (...words: readonly string[]): Promise<readonly [number, string]> => {
    const lines: string[] = [];
    const issuer = ['--issuer', `https://localhost:${domain.stage.issuerPort}`, '--bundle', at('bundle.pem')];
    const svid = ['--svid-cert', at('desk.pem'), '--svid-key', at('desk.key')];
    const write = (line: string): void => void lines.push(line);
    const code = await runObserve([...words, ...issuer, ...svid], { out: write, err: write, environment: {} });
    return [code, lines.join('\n')];
  };
  const running = async (): Promise<string | undefined> => {
    const text = await (await fetch(`http://127.0.0.1:${domain.remit.adminPort}/metrics`)).text();
    return /^remit_observe_emergencies (\d+)$/m.exec(text)?.[1];
  };

  it('has denied calls pass until it is ended, frees no ended or stolen token, and is recorded', async () => {
    const { planner, reporter, thief } = domain.stage;
    const ended = await mustDeclare(planner, domain);
    expect(await callPayments(planner, domain, ended)).toEqual([200, null]);
    const path = `/tasks/${ended.taskId}/complete`;
    const { issuerPort, issuerHost } = domain.stage;
    expect((await planner.call(issuerPort, { host: issuerHost, method: 'POST', path })).status).toBe(200);
    const stolen = await mustDeclare(planner, domain);
    expect(await callPayments(planner, domain, UPSTREAMS)).toEqual([401, 'token.malformed']);
    expect(await running()).toBe('0');

    const agents = ['--agents', planner.id, '--agents', thief.id];
    const [code, text] = await observe('start', ...agents, '--servers', 'payments', '--because', 'INC-42');
    expect([code, text]).toEqual([0, expect.stringMatching(/^emergency [0-9a-f]{16}: .* is only observed until /)]);
    const id = /^emergency (\S+):/.exec(text)?.[1] ?? '';
    expect(await callPayments(planner, domain, UPSTREAMS)).toEqual([200, null]);
    expect(await callPayments(reporter, domain, UPSTREAMS)).toEqual([401, 'token.malformed']);
    expect(await callPayments(planner, domain, ended)).toEqual([403, 'task.completed']);
    expect(await callPayments(thief, domain, stolen)).toEqual([401, 'token.binding']);
    expect(await running()).toBe('1');

    expect((await observe('end', id))[0]).toBe(0);
    expect(await callPayments(planner, domain, UPSTREAMS)).toEqual([401, 'token.malformed']);
    expect(await running()).toBe('0');

    await domain.stop();
    const ledger = join(scratch.folder, 'ledger');
    const events = await ran(ledgerQuery, '--ledger', ledger, '--kind', 'event', '--json');
    const orders = events.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
      .filter(({ details }) => details.order === id);
    expect(orders.map(({ event, by, cause }) => [event, by, cause]).toReversed()).toEqual([
      ['order-made', OPERATOR, 'operator.observed'],
      ['order-lifted', OPERATOR, 'operator.lifted'],
    ]);
    const uses = await ran(ledgerQuery, '--ledger', ledger, '--kind', 'use', '--json');
    expect(uses.out).toContain(`"entry":"${id}"`);
  });
});

/** The state has the order, so it outlives the process; its end is an instant, so it outlives no minute. */
describeWith(envoyPart(), 'an emergency while `remit serve` is restarted, through Envoy', (envoy) => {
  const scratch = testFolder(() => processes?.stop());
  let processes: Processes;
  beforeAll(async () => {
    processes = await Processes.start(envoy, scratch.folder, { kind: 'alone' });
    await appendFile(processes.config, `enforcement: { emergency: { operators: ['${OPERATOR}'] } }\n`);
    await processes.serve(1);
  });

  const call = async (): Promise<number> => {
    const headers = { authorization: 'Bearer of-the-upstream' };
    const asked = { host: 'payments.acme.test', path: '/v1/payments/p-1', headers };
    return (await processes.agent.call(processes.envoyPort, asked)).status;
  };
  const at = (name: string): string => join(scratch.folder, name);
  const observe = async (...words: readonly string[]): Promise<string> => {
    const issuer = ['--issuer', `https://localhost:${processes.issuerPort}`, '--bundle', at('bundle.pem')];
    const svid = ['--svid-cert', at('desk.pem'), '--svid-key', at('desk.key')];
    const lines: string[] = [];
    const write = (line: string): void => void lines.push(line);
    await runObserve([...words, ...issuer, ...svid], { out: write, err: write, environment: {} });
    return lines.join('\n');
  };

  it('holds after a crash of the whole process, and ends in time', async () => {
    expect(await call()).toBe(401);
    const agents = ['--agents', 'spiffe://acme.test/ns/agents/*', '--servers', 'payments'];
    expect(await observe('start', ...agents, '--minutes', '2', '--because', 'INC-42')).toMatch(/^emergency /);
    expect(await call()).toBe(200);
    await processes.end(1, 'SIGKILL');
    await processes.serve(1);
    expect(await call()).toBe(200);
    expect(await observe('emergencies')).toContain('INC-42');
    await until(async () => (await call()) === 401, { what: 'the end of the emergency', withinMs: 240_000 });
    expect(await observe('emergencies')).toBe('no emergency is in force');
  }, 400_000);
});
