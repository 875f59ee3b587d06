import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { beforeAll, expect, it } from '@jest/globals';
import { Agent } from '../../src/dev/agent.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { testFolder } from '../builders/test-folders.ts';
import { mustDeclare, startDomain } from '../e2e/domain.ts';
import { freePort } from '../free-port.ts';
import { clientPart, describeWith, envoyPart, goClientPart } from '../parts.ts';

const AGENT = 'spiffe://acme.test/ns/agents/sa/planner';
const OPERATOR = 'spiffe://acme.test/ns/ops/sa/operator';
const RESOURCE = 'https://payments.acme.test';
const programs = import.meta.dirname;
const python = (name: string): readonly string[] => ['python3', join(programs, 'python', name)];

/** What a program with a stock client saw. */
interface Seen {
  readonly first: { readonly txn: string; readonly scope?: string };
  readonly renewed: { readonly txn: string; readonly same: boolean };
  /** Of two calls, before and after the renewal, or both after it. */
  readonly statuses: readonly number[];
  readonly secret: string;
}

/** Programs of stock OAuth and HTTP clients at a real issuer and Envoy. They know nothing of Remit: a client id, a scope and a certificate. */
describeWith(envoyPart(), 'stock clients', (envoy) => {
  const scratch = testFolder(async () => {
    operator?.close();
    await domain?.stop();
  });
  let domain: DevDomain;
  let issuer: string;
  let operator: Agent;
  beforeAll(async () => {
    const port = await freePort();
    issuer = `https://localhost:${port}`;
    domain = await startDomain(envoy, {
      folder: scratch.folder,
      settings: { issuer: { listen: `127.0.0.1:${port}`, url: issuer, operators: [OPERATOR] } },
    });
    operator = new Agent(await domain.authority.svid('/ns/ops/sa/operator'), domain.authority.bundlePem);
  });

  const file = (name: string): string => join(scratch.folder, name);

  /** Runs a program to its end; gives its output. @param meanwhile is told its first line, and is awaited before it may go on */
  async function run(
    command: readonly string[],
    extra: Readonly<Record<string, string>> = {},
    meanwhile?: (line: string) => Promise<unknown>,
  ): Promise<string> {
    const [program = '', ...args] = command;
    const running = promisify(execFile)(program, args, {
      env: {
        PATH: process.env['PATH'],
        AGENT,
        RESOURCE,
        HOST_NAME: 'payments.acme.test',
        ISSUER: issuer,
        ENVOY: `https://localhost:${domain.stage.envoyPort}`,
        BUNDLE: file('bundle.pem'),
        SVID_CERT: file('planner.pem'),
        SVID_KEY: file('planner.key'),
        ...extra,
      },
      timeout: 120_000,
    });
    if (meanwhile !== undefined) {
      running.child.stdout?.once('data', (line: Buffer) => {
        void meanwhile(String(line).trim()).finally(() => running.child.stdin?.end('\n'));
      });
    }
    return (await running).stdout;
  }

  const tasks = (): unknown => {
    const state = new DatabaseSync(join(scratch.folder, 'state.db'), { readOnly: true });
    try {
      return state.prepare('SELECT count(*) AS tasks FROM tasks').get()?.['tasks'];
    } finally {
      state.close();
    }
  };

  /** Kinds of the records of a task, with the reasons of denied uses, without what became of them. */
  async function timeline(id: string): Promise<readonly string[]> {
    const { planner, issuerHost, issuerPort } = domain.stage;
    const answer = await planner.call(issuerPort, { host: issuerHost, method: 'GET', path: `/tasks/${id}/timeline` });
    const { records } = JSON.parse(answer.body);
    return records
      .map(({ kind, reason }: { kind: string; reason?: string | null }) => reason ?? kind)
      .filter((kind: string) => kind !== 'outcome');
  }

  /** Runs a program; it must have made one task, whose token it renewed and used twice. */
  async function renewsOneTask(
    command: readonly string[],
    extra: Readonly<Record<string, string>> = {},
  ): Promise<Seen> {
    const before = Number(tasks());
    const seen: Seen = JSON.parse(await run(command, extra));
    expect(seen.statuses).toEqual([200, 200]);
    expect(seen.renewed).toEqual({ txn: seen.first.txn, same: false });
    expect(tasks()).toBe(before + 1);
    expect((await timeline(seen.first.txn)).toSorted()).toEqual(['intent', 'token', 'token', 'use', 'use']);
    return seen;
  }

  describeWith(clientPart('oauth-python'), 'of Python', (packages) => {
    it('Authlib gets a token by scope, as far as it is granted, and renews it within its task', async () => {
      const seen = await renewsOneTask(python('oauth_authlib.py'), { PYTHONPATH: packages });
      expect([seen.first.scope, seen.secret]).toEqual(['payments.read', 'invalid_client']);
    });

    it('Authlib with Basic and an empty secret, or its None, is taken at every endpoint', async () => {
      const seen = await run(python('oauth_basic.py'), { PYTHONPATH: packages });
      const each = [true, true, 200, false];
      expect(JSON.parse(seen)).toEqual([each, each]);
    });

    it('requests-oauthlib signs in with its default client authentication, and renews within its task', async () => {
      const seen = await renewsOneTask(python('oauth_requests.py'), { PYTHONPATH: packages });
      expect(seen).toMatchObject({ secret: 'invalid_client', updated: 1 });
    });

    it('Authlib neither renews a task that an operator cancelled, nor gets a task like it', async () => {
      const before = Number(tasks());
      const states: string[] = [];
      const { issuerHost: host, issuerPort } = domain.stage;
      const cancel = async (task: string): Promise<void> => {
        const answer = await operator.call(issuerPort, { host, method: 'POST', path: `/tasks/${task}/cancel` });
        states.push(JSON.parse(answer.body).state);
      };
      const asReporter = {
        PYTHONPATH: packages,
        AGENT: 'spiffe://acme.test/ns/agents/sa/reporter',
        SVID_CERT: file('reporter.pem'),
        SVID_KEY: file('reporter.key'),
      };
      const said = await run(python('oauth_stopped.py'), asReporter, cancel);
      expect(states).toEqual(['cancelled']);
      expect(JSON.parse(said.split('\n')[1] ?? '')).toEqual([403, 'invalid_grant', 'access_denied']);
      expect(tasks()).toBe(before + 1);
    });

    it("urllib3's and requests' retries ask for a spent budget once", async () => {
      const { planner } = domain.stage;
      const declared = { actions: ['payments.read'], constraints: { max_calls: 1 } };
      const { token, taskId } = await mustDeclare(planner, domain, declared);
      const answers = await run(python('http_retries.py'), { PYTHONPATH: packages, TOKEN: token });
      expect(JSON.parse(answers)).toEqual([
        [200, 0],
        [403, 0],
      ]);
      expect(await timeline(taskId)).toEqual(['intent', 'token', 'use', 'task.exhausted']);
    });
  });

  describeWith(clientPart('openid-client'), 'of npm', (folder) => {
    it('openid-client discovers the issuer, renews within its task, and ends it by revocation', async () => {
      const program = resolve(programs, 'npm/openid-client.mjs');
      const before = Number(tasks());
      const seen = JSON.parse(await run([process.execPath, program], { CLIENT: folder }));
      expect(seen).toEqual({
        first: { txn: expect.any(String) },
        renewed: { txn: seen.first.txn, same: false },
        statuses: [200, 200],
        introspected: true,
        secret: 'basic',
        revoked: 'invalid_grant',
      });
      expect(tasks()).toBe(before + 1);
      expect((await timeline(seen.first.txn)).filter((kind) => kind === 'use')).toHaveLength(2);
    });
  });

  describeWith(goClientPart('x-oauth2'), 'of Go', (agent) => {
    it('x/oauth2 finds out how to authenticate, and renews within its task', async () => {
      expect((await renewsOneTask([agent])).secret).toBe('invalid_client');
    });
  });
});
