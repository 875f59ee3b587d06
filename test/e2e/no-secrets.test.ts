import { createHash, createPrivateKey, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { decodeJwt, SignJWT } from 'jose';
import type { Agent } from '../../src/dev/agent.ts';
import type { AgentReply } from '../../src/dev/agent.ts';
import { formPost } from '../../src/dev/issuer-request.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { startDevProcess } from './dev-process.ts';
import type { DevProcess } from './dev-process.ts';
import { otlpReceiver } from './otlp-receiver.ts';
import type { OtlpReceiver } from './otlp-receiver.ts';
import { outputsWithKeyOrToken, Secrets } from './secrets.ts';

const AUDIENCE = 'https://payments.acme.test';
const PATH = '/v1/payments/p-1';
/** Files that are meant to contain a private key. */
const isKeyFile = (name: string): boolean => name.endsWith('.key') || /^(?:signing|ledger)-key[\w.-]*\.pem$/.test(name);

const HEAP = 'the heap';

/** The answer to introspection by the token's own agent contains its id (RFC 7662 section 2.2), and so do the token caches. */
const isId = (found: string): boolean => ['answers', HEAP].some((output) => found === `${output}: the id of the token`);
/** `remit dev` has the keys of its agents on purpose. */
const isOfAgent = (found: string): boolean => /^the heap: \w+\.key as PEM$/.test(found);

/** The heap of a process after a garbage collection, as a snapshot that V8 writes on a signal. */
async function heapOf(child: ChildProcess, folder: string): Promise<string> {
  child.kill('SIGUSR2');
  const file = await until(async () => (await readdir(folder)).find((name) => name.endsWith('.heapsnapshot')));
  const whole = await until(async () => {
    const text = await readFile(join(folder, file), 'latin1');
    return text.trimEnd().endsWith(']}') && text;
  });
  return whole;
}

/** Long-lived secrets as agents send them. Each is unique, so that a leak shows which one it is. */
const staticSecrets = {
  'an API key in a header': `k${randomBytes(20).toString('hex')}`,
  'an API key in the query': `q${randomBytes(20).toString('hex')}`,
  'a password': `p${randomBytes(20).toString('hex')}`,
  'a GitHub token': `ghp_${randomBytes(18).toString('hex')}`,
  'a key in a path': `sk-${randomBytes(20).toString('hex')}`,
  'a key in the path of no route': `sk-${randomBytes(20).toString('hex')}`,
  'a key in the name of a tool': `sk-${randomBytes(20).toString('hex')}`,
  'a key in the name of a method': `sk-${randomBytes(20).toString('hex')}`,
  'a password in the URI of a resource': `u${randomBytes(20).toString('hex')}`,
} as const;

/**
 * Tokens, proofs, keys and long-lived secrets pass through a whole process, validly and invalidly. Every output is searched for each of
 * them: what it writes, serves, exports, stores and answers.
 */
describeWith(envoyPart(), 'no output contains a secret', (envoy) => {
  describe.each(['certificate', 'dpop'] as const)('with binding %s', (binding) => {
    const outputs = new Map<string, string>();
    const secrets = new Secrets();
    const proofKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    let [jti, taskId] = ['', ''];
    let dev: DevProcess;
    let receiver: OtlpReceiver;
    let diagnostics: string;

    const proof = async (method: string, url: string, of?: string): Promise<string> =>
      secrets.noteJws(
        `proof ${secrets.size}`,
        await new SignJWT({
          jti: randomUUID(),
          htm: method,
          htu: url,
          iat: Math.floor(Date.now() / 1000),
          ...(of === undefined ? {} : { ath: createHash('sha256').update(of).digest('base64url') }),
        })
          .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk: proofKey.publicKey.export({ format: 'jwk' }) })
          .sign(proofKey.privateKey),
      );

    beforeAll(async () => {
      for (const [name, value] of Object.entries(staticSecrets)) secrets.note(name, value);
      receiver = await otlpReceiver();
      diagnostics = await mkdtemp(join(tmpdir(), 'heap-'));
      dev = await startDevProcess({
        NODE_OPTIONS: `--heapsnapshot-signal=SIGUSR2 --diagnostic-dir=${diagnostics}`,
        ENVOY_BIN: envoy,
        REMIT_DECISION_LOG: 'stdout',
        REMIT_EXT_AUTHZ_BINDING: binding,
        OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
        OTEL_BSP_SCHEDULE_DELAY: '100',
      });
      const folder = dev.place('folder');
      const files = await readdir(folder);
      for (const name of files.filter(isKeyFile)) {
        secrets.noteKey(name, createPrivateKey(await readFile(join(folder, name), 'utf8')));
      }
      secrets.noteKey('the key of the proofs', proofKey.privateKey);
      const [envoyPort, issuerPort] = [dev.port('envoy'), dev.port('issuer')];
      const [planner, thief] = [await dev.agent('planner'), await dev.agent('thief')];
      // The issuer refuses proofs from before its start.
      await delay(1100);

      const answers: string[] = [];
      const answered = (reply: AgentReply): AgentReply => {
        answers.push(JSON.stringify([reply.status, reply.headers, reply.body]));
        return reply;
      };
      const ask = async (
        path: string,
        form: Record<string, string>,
        headers: Record<string, string> = {},
      ): Promise<AgentReply> =>
        planner.call(issuerPort, {
          host: `localhost:${issuerPort}`,
          ...formPost(path, form, {
            ...(binding === 'dpop' ? { dpop: await proof('POST', new URL(path, dev.place('issuer')).href) } : {}),
            ...headers,
          }),
        });
      const request = {
        resource: AUDIENCE,
        authorization_details: JSON.stringify([
          { type: 'urn:remit:task', locations: [AUDIENCE], actions: ['payments.read'], purpose: 'look' },
        ]),
      };
      const issued = await ask('/oauth/token', { grant_type: 'client_credentials', ...request });
      const { access_token: token, txn } = JSON.parse(issued.body) as Record<string, string>;
      if (token === undefined) throw new Error(`the issuer refused: ${issued.body}`);
      secrets.noteJws('the token', token);
      taskId = String(txn);
      jti = String(decodeJwt(token).jti);
      secrets.note('the id of the token', jti);

      const scheme = binding === 'dpop' ? 'DPoP' : 'Bearer';
      const withToken = async (by: Agent, path = PATH, headers: Record<string, string> = {}): Promise<void> => {
        const dpop = binding === 'dpop' ? { dpop: await proof('GET', `${AUDIENCE}${PATH}`, token) } : {};
        const sent = { authorization: `${scheme} ${token}`, ...dpop, ...headers };
        answered(await by.call(envoyPort, { host: 'payments.acme.test', path, headers: sent }));
      };
      const bare = async (headers: Record<string, string>, path = PATH): Promise<void> => {
        answered(await planner.call(envoyPort, { host: 'payments.acme.test', path, headers }));
      };
      const forged = secrets.noteJws(
        'a forged token',
        `${token.split('.').slice(0, 2).join('.')}.${'A'.repeat(43)}_leak_`,
      );
      const long = secrets.noteJws(
        'a token of another issuer',
        await new SignJWT({ iss: 'https://idp.test', sub: 'u', exp: 9e9 })
          .setProtectedHeader({ alg: 'ES256', kid: 'k' })
          .sign(proofKey.privateKey),
      );
      const { 'an API key in a header': key, 'an API key in the query': query } = staticSecrets;
      const { 'a password': password, 'a GitHub token': github } = staticSecrets;
      await withToken(planner);
      await withToken(planner);
      await withToken(planner, PATH, { 'x-api-key': key });
      await withToken(planner, `${PATH}?api_key=${query}&access_token=${token}`);
      await withToken(planner, PATH, { authorization: `${scheme} ${forged}` });
      await withToken(planner, PATH, { authorization: `${scheme} ${long}` });
      await bare({ authorization: `Bearer ${token}, ${scheme} ${forged}` });
      await bare({ authorization: `Basic ${Buffer.from(`user:${password}`).toString('base64')}` });
      await bare({ authorization: `Bearer ${github}` });
      await bare({ 'x-api-key': key }, '/nothing/here');
      // In names of MCP messages and in paths. Some are so long that a message would truncate them.
      const {
        'a key in a path': inPath,
        'a key in the path of no route': inNoRoute,
        'a key in the name of a tool': tool,
        'a key in the name of a method': method,
        'a password in the URI of a resource': inUri,
      } = staticSecrets;
      for (const message of [
        { method: 'tools/call', params: { name: tool, arguments: {} } },
        { method: 'tools/call', params: { name: `${'x'.repeat(190)} ${token}`, arguments: {} } },
        { method: 'resources/read', params: { uri: `postgres://me:${inUri}@db.acme.test/x` } },
        { method: 'prompts/get', params: { name: token } },
        { method, params: {} },
      ]) {
        answered(
          await planner.call(envoyPort, {
            host: 'tickets.acme.test',
            method: 'POST',
            path: '/mcp',
            headers: { 'content-type': 'application/json', authorization: `${scheme} ${token}` },
            body: JSON.stringify({ jsonrpc: '2.0', id: 1, ...message }),
          }),
        );
      }
      secrets.note('a password in base64', Buffer.from(`user:${password}`).toString('base64'));
      for (const [path, form] of [
        ['/oauth/introspect', { token }],
        ['/oauth/introspect', { token: forged }],
        [
          '/oauth/token',
          {
            grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
            subject_token: long,
            subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
            ...request,
          },
        ],
        ['/oauth/token', { grant_type: 'client_credentials', client_secret: password, ...request }],
        ['/oauth/revoke', { token: forged }],
      ] as const) {
        answered(await ask(path, form));
      }
      const basic = Buffer.from(`planner:${password}`).toString('base64');
      secrets.note('a client secret in base64', basic);
      for (const path of ['/oauth/token', '/oauth/introspect'])
        answered(
          await ask(path, { grant_type: 'client_credentials', token, ...request }, { authorization: `Basic ${basic}` }),
        );
      // Later calls replace what an engine keeps of the last call only, such as the last match of an expression.
      for (let n = 0; n < 20; n += 1) await bare({}, '/nothing/here');
      outputs.set(HEAP, await heapOf(dev.running.child, diagnostics));
      // After the heap snapshot: `remit dev` keeps Envoy's log and the upstream's calls to show them, with whole paths.
      for (const path of [inPath, token, forged, long]) await withToken(planner, `/v1/payments/${path}`);
      for (const path of [inNoRoute, token]) {
        await withToken(planner, `/nothing/${path}`);
        await bare({}, `/nothing/${path}`);
        await withToken(planner, `/nothing/${'x'.repeat(150)}/${path}`);
      }
      await withToken(thief);
      await withToken(planner);
      answered(await ask('/oauth/revoke', { token }));

      outputs.set('answers', answers.join('\n'));
      // Spans are sent every 100 ms, records written every 50 ms.
      await delay(1000);
      for (const accept of ['text/plain', 'application/openmetrics-text']) {
        outputs.set(`metrics as ${accept}`, await dev.metrics(accept));
      }
      for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
        const path = join(entry.parentPath, entry.name);
        if (entry.isFile() && !isKeyFile(entry.name))
          outputs.set(relative(folder, path), await readFile(path, 'latin1'));
      }
      await dev.stop();
      outputs.set('stdout', dev.running.out());
      outputs.set('stderr', dev.running.err());
      outputs.set('spans', receiver.bodies.join('\n'));
    });
    afterAll(async () => {
      await dev?.stop();
      await receiver?.close();
      if (diagnostics !== undefined) await rm(diagnostics, { recursive: true });
    });

    it('searches outputs that all contain the task, the token or the decisions', () => {
      const digest = createHash('sha256').update(jti, 'utf8').digest('base64url');
      expect(outputs.get('stdout')).toContain(`"jtiDigest":"${digest}"`);
      expect(outputs.get('stdout')).toContain('"reason":"token.static-secret"');
      // A digest replaces the key, and says which one of the inventory it is.
      const [shown] =
        /"path":"\/v1\/payments\/(hmac-sha-256:[\w-]{43})"/.exec(outputs.get('stdout') ?? '')?.slice(1) ?? [];
      expect(outputs.get('spans')).toContain(`/v1/payments/${shown}`);
      expect(outputs.get('stdout')).toContain('in path segment 3');
      const namesTool = /does not name the tool `hmac-sha-256:/.test(outputs.get('stdout') ?? '');
      expect(binding !== 'certificate' || namesTool).toBe(true);
      expect(`${outputs.get('state.db')}${outputs.get('state.db-wal')}`).toContain(digest);
      const segment = 'ledger/segment-0000000000000000.db';
      expect(`${outputs.get(segment)}${outputs.get(`${segment}-wal`)}`).toContain(digest);
      expect(outputs.get('spans')).toContain(taskId);
      expect(outputs.get('spans')).toContain('remit_decisions_total');
      expect(outputs.get('answers')).toContain(taskId);
      expect(outputs.get(HEAP)).toContain(taskId);
      expect(outputs.get('metrics as text/plain')).toMatch(
        /remit_static_secrets_total\{kind="[\w-]+",decision="deny"\} \d/,
      );
      expect(outputs.get('metrics as application/openmetrics-text')).toContain('trace_id=');
    });

    it('finds none of the secrets in any of them', () => {
      expect(secrets.size).toBeGreaterThan(20);
      const found = secrets.foundIn(outputs).filter((one) => !isId(one) && !isOfAgent(one));
      expect(found).toEqual([]);
    });

    it('finds no other token and no private key either', () => {
      const written = new Map([...outputs].filter(([name]) => name !== HEAP));
      expect(outputsWithKeyOrToken(written)).toEqual([]);
    });
  });
});
