import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import type { TracedCheck } from '../../src/sidecar/check/trace/traced-check.ts';
import { explainCommand } from '../../src/cli/explain/explain.ts';
import { traceCommand } from '../../src/cli/trace/trace.ts';
import { cures } from '../../src/core/decision/cures.ts';
import type { Agent } from '../../src/dev/agent.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { commandRun } from '../builders/command-run.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { testFolder } from '../builders/test-folders.ts';
import { callPayments, examples, mustDeclare, payment, startDomain } from './domain.ts';

const SECRET = 'ghp_0123456789abcdefghijklmnopqrstuvwxyz';

const checkOf = (line: string | undefined): TracedCheck => JSON.parse(line ?? '{}');
const stage = (check: TracedCheck, name: string) => check.stages.find((one) => one.name === name);
const detail = (check: TracedCheck, of: string, name: string) =>
  stage(check, of)?.details.find(([key]) => key === name)?.[1];

describeWith(envoyPart(), '`remit trace` over a real Envoy', (envoy) => {
  const scratch = testFolder(() => domain?.stop());
  let domain: DevDomain;
  let planner: Agent;
  let thief: Agent;
  let socket: string;
  beforeAll(async () => {
    socket = join(scratch.folder, 'admin.sock');
    // A rate that only a flood exceeds.
    const extAuthz = { maxChecksPerSecondPerAgent: 20 };
    const settings = { extAuthz, admin: { listen: '127.0.0.1:0', socket: `unix:${socket}` } };
    domain = await startDomain(envoy, { folder: scratch.folder, settings });
    ({ planner, thief } = domain.stage);
  });

  /** Runs the command; `act` is called once the Remit waits. */
  const traced = async (args: readonly string[], act: () => Promise<unknown> = async () => undefined) => {
    const err: string[] = [];
    let acted: Promise<unknown> = Promise.resolve();
    const { code, out } = await commandRun(traceCommand.run, ['--admin', `unix:${socket}`, ...args], {
      err: (line) => {
        err.push(line);
        if (line.startsWith('waiting')) acted = act();
      },
      environment: process.env,
    });
    await acted;
    return { code, out, err };
  };
  const explained = (args: readonly string[]) =>
    commandRun(explainCommand.run, ['--state', join(scratch.folder, 'state.db'), ...args]);
  const denied = async (agent: Agent, call: Partial<Parameters<typeof callPayments>[2]>) => {
    const { token, taskId } = await mustDeclare(planner, domain);
    const reply = await agent.call(domain.stage.envoyPort, {
      host: 'payments.acme.test',
      path: '/v1/payments/p-1',
      ...call,
      headers: { ...call.headers, authorization: `Bearer ${token}` },
    });
    await domain.remit.flush();
    return { ...(JSON.parse(reply.body) as { decision: string; trace: string }), taskId };
  };

  it('shows every stage of an allowed call with its input and result', async () => {
    const { token, taskId } = await mustDeclare(planner, domain);
    const { code, out } = await traced(['--json', '--task', taskId], () => callPayments(planner, domain, { token }));
    const check = checkOf(out[0]);
    expect([code, check.decision, check.reason]).toEqual([0, 'allow', null]);
    expect(check.stages.map(({ name, result }) => `${name} ${result}`)).toEqual(
      ['asked', 'identity', 'token', 'task', 'action', 'policy', 'answer'].map((name) => `${name} passed`),
    );
    expect(detail(check, 'asked', 'call')).toBe('GET https://payments.acme.test/v1/payments/p-1');
    expect(detail(check, 'identity', 'caller')).toBe(planner.id);
    expect(detail(check, 'token', 'client')).toBe(planner.id);
    expect(detail(check, 'task', 'state')).toBe('active');
    expect(detail(check, 'action', 'action')).toContain('payments.read');
    expect(detail(check, 'policy', 'decided by')).not.toBe(undefined);
    expect(detail(check, 'answer', 'decision')).toBe(check.decisionId);
    for (const name of ['asked', 'task', 'policy', 'answer']) expect(stage(check, name)?.ms).toBeGreaterThanOrEqual(0);
    expect(check.totalMs).toBeGreaterThan(0);
  });

  it.each([
    ['a stolen token', 'token', 'token.binding', async (token: string) => callPayments(thief, domain, { token })],
    [
      'no token',
      'token',
      'token.missing',
      async () => planner.call(domain.stage.envoyPort, { host: 'payments.acme.test' }),
    ],
    [
      'a path with two readings',
      'asked',
      'request.not-canonical',
      async (token: string) => callPayments(planner, domain, { token, path: '/v1/payments/a;b' }),
    ],
    [
      'an unknown action',
      'action',
      'action.unknown',
      async (token: string) => callPayments(planner, domain, { token, path: '/v2/unknown' }),
    ],
    [
      'a policy that forbids',
      'policy',
      'policy.forbidden',
      async (token: string) => callPayments(planner, domain, { token, ...payment(10_001) }),
    ],
  ])('marks the stage that denied: %s', async (_name, name, reason, call) => {
    const { token } = await mustDeclare(planner, domain);
    const { out } = await traced(['--json', '--reason', reason], () => call(token));
    const check = checkOf(out[0]);
    expect([check.reason, check.stages.find(({ result }) => result === 'denied')?.name]).toEqual([reason, name]);
    const at = check.stages.findIndex(({ result }) => result === 'denied');
    expect(check.stages.slice(at + 1, -1).every(({ result }) => result === 'unused')).toBe(true);
  });

  it('shows no token, no secret, and no value of an argument or of a header that may hold a secret', async () => {
    const { token } = await mustDeclare(planner, domain);
    const { out } = await traced(['--json'], () =>
      callPayments(planner, domain, {
        token,
        path: `/v1/payments/p-1?key=${SECRET}&note=confidential-note`,
        headers: { 'x-api-key': SECRET, cookie: 'session=confidential-cookie', 'x-note': 'confidential-header' },
      }),
    );
    const line = out[0] ?? '';
    expect(line).toContain('x-api-key (40 characters)');
    expect(line).toContain('authorization (');
    expect(line).not.toContain(SECRET);
    expect(line).not.toContain(token.split('.')[2]);
    expect(line).not.toContain('confidential');
  });

  it('skips what does not match, and shows as many as asked', async () => {
    const { token, taskId } = await mustDeclare(planner, domain);
    const other = await mustDeclare(planner, domain);
    const filters = ['--host', 'payments.acme.test', '--path', '/v1/*', '--agent', planner.id, '--decision', 'allow'];
    const { code, out } = await traced(['--json', '--count', '2', '--task', taskId, ...filters], async () => {
      await callPayments(thief, domain, { token: other.token });
      await callPayments(planner, domain, { token, path: '/v2/unknown' });
      await callPayments(planner, domain, { token });
      await callPayments(planner, domain, { token, path: '/v1/payments/p-2' });
    });
    expect(code).toBe(0);
    expect(out.map((line) => detail(checkOf(line), 'asked', 'call'))).toEqual([
      'GET https://payments.acme.test/v1/payments/p-1',
      'GET https://payments.acme.test/v1/payments/p-2',
    ]);
  });

  it('shows a check that was refused without a decision', async () => {
    const { envoyPort } = domain.stage;
    const flood = () =>
      Promise.all(Array.from({ length: 300 }, () => thief.call(envoyPort, { host: 'payments.acme.test' })));
    const { code, out } = await traced(['--json', '--reason', 'overloaded'], flood);
    const check = checkOf(out[0]);
    expect([code, check.reason, check.stages.map(({ name, result }) => [name, result])]).toEqual([
      0,
      'overloaded',
      [['answer', 'denied']],
    ]);
    expect(detail(check, 'answer', 'cause')).toBe('refused before it was read or decided: agent');
  });

  it('asks at the socket of a configuration', async () => {
    const config = join(scratch.folder, 'remit.yaml');
    const words = ['--config', config, '--timeout', '1s', '--reason', 'internal'];
    const { code, err } = await commandRun(traceCommand.run, words);
    expect([code, err]).toEqual([1, ['waiting for reason internal', 'no matching check came in time']]);
  });

  it('ends with 1 if nothing matches in time', async () => {
    const { code, out, err } = await traced(['--timeout', '1s', '--host', 'nobody.acme.test']);
    expect([code, out]).toEqual([1, []]);
    expect(err.at(-1)).toBe('no matching check came in time');
  });

  it('fires `curl` and shows its check alone', async () => {
    const { envoyPort } = domain.stage;
    const { folder } = scratch;
    const words = [
      'curl',
      '--silent',
      '--output',
      '/dev/null',
      '--cert',
      join(folder, 'planner.pem'),
      '--key',
      join(folder, 'planner.key'),
    ];
    const url = `https://payments.acme.test:${envoyPort}/v1/payments/fired`;
    const resolve = ['--insecure', '--resolve', `payments.acme.test:${envoyPort}:127.0.0.1`];
    const { code, out, err } = await traced(['--', ...words, ...resolve, url], () =>
      planner.call(envoyPort, { host: 'payments.acme.test', path: '/v1/payments/other' }),
    );
    expect([code, err.at(-1)]).toEqual([0, 'the call ended with exit code 0']);
    expect(out.join('\n')).toContain('/v1/payments/fired');
    expect(out.join('\n')).toContain('× token');
  });

  it('says that Remit was not asked if a fired call reaches no Envoy', async () => {
    const url = `http://127.0.0.1:${domain.remit.adminPort}/livez`;
    const { code, err } = await traced(['--url', url]);
    expect(code).toBe(1);
    expect(err).toContain('the call answered 200');
    expect(err.at(-1)).toContain('Remit was not asked about the call');
  });

  it('renders later what `--json` printed', async () => {
    const { token } = await mustDeclare(planner, domain);
    const { out } = await traced(['--json'], () => callPayments(planner, domain, { token }));
    const file = join(scratch.folder, 'checks.jsonl');
    writeFileSync(file, `${out.join('\n')}\n`);
    const shown = await traced(['--file', file]);
    expect([shown.code, shown.err]).toEqual([0, []]);
    expect(shown.out[0]).toContain(checkOf(out[0]).decisionId);
    writeFileSync(file, '{"decisionId":"\u001b[31m"}\n');
    const hostile = await traced(['--file', file]);
    expect([hostile.code, hostile.out]).toEqual([2, []]);
    expect(hostile.err[0]).toMatch(/checks\.jsonl:1: not a trace/);
  });

  describe('`remit explain`', () => {
    it.each(['decision', 'trace'] as const)('begins with the %s id that a client was shown', async (shown) => {
      const { taskId, ...ids } = await denied(planner, payment(10_001));
      const { code, out } = await explained([ids[shown], '--policies', examples]);
      const text = out.join('\n');
      expect(code).toBe(0);
      expect(text).toContain('POST https://payments.acme.test/v1/payments');
      expect(text).toContain(`by ${planner.id}`);
      expect(text).toContain(`in task ${taskId}: settle payment p-1`);
      expect(text).toContain('denied, policy.forbidden: a policy forbids the action');
      expect(text).toContain('by the policy `payments-limit`');
      expect(text).toContain(`remit policy explain ${ids.decision}`);
    });

    it('says what would have to differ if no policy was asked', async () => {
      const { decision } = await denied(thief, {});
      const { out } = await explained([decision, '--json']);
      const { reason, asked, differ, next } = JSON.parse(out[0] ?? '{}');
      expect(reason).toBe('token.binding');
      expect(asked).toContain(`by ${thief.id}`);
      expect(differ).toEqual([cures['token.binding']]);
      expect(next).toContain('deploy/guide/fix/reasons.md#token.binding');
    });

    it.each([
      ['019ab77e-5d3c-7a41-9f60-2f0b8c1d7e55', 1, 'there is no decision'],
      ['what\u001b[31m', 2, 'is neither a decision id nor a trace id'],
    ])('refuses %p', async (id, exit, problem) => {
      const { code, err } = await explained([id]);
      expect([code, err.join('\n')]).toEqual([exit, expect.stringContaining(problem)]);
      expect(err.join('')).not.toContain('\u001b');
    });
  });

  it('keeps its socket for the user of the process, and waits for at most four', async () => {
    expect(existsSync(socket) && (statSync(socket).mode & 0o777).toString(8)).toBe('600');
    const begun: Promise<void>[] = [];
    const waiting = Array.from({ length: 4 }, () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      begun.push(promise);
      return traced(['--timeout', '5s', '--reason', 'internal'], async () => resolve());
    });
    await Promise.all(begun);
    const fifth = await traced(['--timeout', '1s']);
    expect([fifth.code, fifth.err[0]]).toEqual([2, expect.stringContaining('answered 503: too many wait for checks')]);
    expect((await Promise.all(waiting)).map(({ code }) => code)).toEqual([1, 1, 1, 1]);
    expect((await traced(['--timeout', '1s', '--reason', 'internal'])).code).toBe(1);
  });
});

describe('`remit trace` with bad words', () => {
  it.each([
    [['--timeout', '11m'], '--timeout must be'],
    [['--count', '0'], '--count must be from 1 to 100'],
    [['--url', 'ftp://x'], 'invalid URL `ftp://x`'],
    [['--url', 'http://x', '--', 'curl'], 'exclude each other'],
    [['--'], 'a command is required'],
    [['--file', 'checks.jsonl', '--decision', 'deny'], '--file shows all checks of a file: it takes no --decision'],
    [['--file', 'checks.jsonl', '--', 'curl'], '--file shows all checks of a file: it takes no --'],
    [['--config', '/nowhere/remit.yaml'], 'cannot read the configuration `/nowhere/remit.yaml`'],
    [['--file', '/nowhere/checks.jsonl'], 'cannot read `/nowhere/checks.jsonl`: ENOENT'],
    [['--admin', 'nothing'], 'invalid URL `nothing`'],
    [['--admin', 'unix:/nowhere/admin.sock'], '`unix:/nowhere/admin.sock` did not answer'],
  ])('%p', async (args, problem) => {
    const { code, err } = await commandRun(traceCommand.run, args);
    expect([code, err.join('\n')]).toEqual([2, expect.stringContaining(problem)]);
  });
});
