import { createHash, createPrivateKey, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { decodeJwt, SignJWT } from 'jose';
import type { Agent } from '../../src/dev/agent.ts';
import type { Reply } from '../../src/dev/agent.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { startDevProcess } from './dev-process.ts';
import type { DevProcess } from './dev-process.ts';
import { otlpReceiver } from './otlp-receiver.ts';
import type { OtlpReceiver } from './otlp-receiver.ts';
import { outputsWithKeyOrToken, Secrets } from './secrets.ts';

const AUDIENCE = 'https://payments.acme.test';
const PATH = '/v1/payments/p-1';
/** Where a private key is meant to be. */
const isKeyFile = (name: string): boolean => name.endsWith('.key') || /^(?:signing|ledger)-key[\w.-]*\.pem$/.test(name);

/** Long-lived secrets as agents send them, each new so that it is found where it leaks and nowhere else. */
const staticSecrets = {
  'an API key in a header': `k${randomBytes(20).toString('hex')}`,
  'an API key in the query': `q${randomBytes(20).toString('hex')}`,
  'a password': `p${randomBytes(20).toString('hex')}`,
  'a GitHub token': `ghp_${randomBytes(18).toString('hex')}`,
} as const;

/**
 * Tokens, proofs, keys and long-lived secrets go through a whole process, well and badly, and every output of it is searched
 * for each of them: what it writes, serves, exports, stores and answers.
 */
describeWith(envoyPart(), 'no output holds a secret', (envoy) => {
  describe.each(['certificate', 'dpop'] as const)('with binding %s', (binding) => {
    const outputs = new Map<string, string>();
    const secrets = new Secrets();
    const proofKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    let [jti, taskId] = ['', ''];
    let dev: DevProcess;
    let receiver: OtlpReceiver;

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
      dev = await startDevProcess({
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
      // The issuer takes no proof of before it started.
      await delay(1100);

      const answers: string[] = [];
      const answered = (reply: Reply): Reply => {
        answers.push(JSON.stringify([reply.status, reply.headers, reply.body]));
        return reply;
      };
      const ask = async (path: string, form: Record<string, string>): Promise<Reply> =>
        planner.call(issuerPort, {
          host: `localhost:${issuerPort}`,
          method: 'POST',
          path,
          headers: {
            'content-type': 'application/x-www-form-urlencoded',
            ...(binding === 'dpop' ? { dpop: await proof('POST', `https://issuer.acme.test${path}`) } : {}),
          },
          body: new URLSearchParams(form).toString(),
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
      await withToken(thief);
      await withToken(planner);
      answered(await ask('/oauth/revoke', { token }));

      outputs.set('answers', answers.join('\n'));
      // Spans every 100 ms, records every 50.
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
    }, 60_000);
    afterAll(async () => {
      await dev?.stop();
      await receiver?.close();
    });

    it('looks where all of it would be: each output knows of the task, the token or the decisions', () => {
      const digest = createHash('sha256').update(jti, 'utf8').digest('base64url');
      expect(outputs.get('stdout')).toContain(`"jtiDigest":"${digest}"`);
      expect(outputs.get('stdout')).toContain('"reason":"token.static-secret"');
      expect(`${outputs.get('state.db')}${outputs.get('state.db-wal')}`).toContain(digest);
      const segment = 'ledger/segment-0000000000000000.db';
      expect(`${outputs.get(segment)}${outputs.get(`${segment}-wal`)}`).toContain(digest);
      expect(outputs.get('spans')).toContain(taskId);
      expect(outputs.get('answers')).toContain(taskId);
      expect(outputs.get('metrics as text/plain')).toMatch(
        /remit_static_secrets_total\{kind="[\w-]+",decision="deny"\} \d/,
      );
      expect(outputs.get('metrics as application/openmetrics-text')).toContain('trace_id=');
    });

    it('finds none of the secrets in any of them', () => {
      expect(secrets.size).toBeGreaterThan(20);
      // What introspection answers to the token's own agent has its id (RFC 7662 section 2.2).
      const found = secrets.foundIn(outputs).filter((one) => one !== 'answers: the id of the token');
      expect(found).toEqual([]);
    });

    it('finds no other token and no private key either', () => {
      expect(outputsWithKeyOrToken(outputs)).toEqual([]);
    });
  });
});
