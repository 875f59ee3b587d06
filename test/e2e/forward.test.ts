import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { writeCredential } from '../../src/dev/authority.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { testFolder } from '../builders/test-folders.ts';
import { startDomain } from './domain.ts';
import { remit, type Running } from './process.ts';

/** Knows only a URL, and leaves proxies to the environment. */
const STOCK_AGENT = `
import json, os, urllib.error, urllib.request
base = os.environ['REMIT_FORWARD_PAYMENTS']
with urllib.request.urlopen(base + '/v1/payments/p-1') as answer:
    print('read', answer.status, json.load(answer)['id'])
try:
    urllib.request.urlopen(urllib.request.Request(base + '/v1/payments', b'{"amount": 1}', {'content-type': 'application/json'}))
except urllib.error.HTTPError as error:
    print('create', error.code, json.load(error)['reason'])
path = os.environ['REMIT_MCP_SERVERS']
mode = lambda at: oct(os.stat(at).st_mode & 0o777)
print('files', list(json.load(open(path))['mcpServers']), mode(path), mode(os.path.dirname(path)))
`;

/** Prints the token of the run. */
const TOKEN = `
url = urllib.request.Request(os.environ['REMIT_TOKEN_URL'], headers={'authorization': 'Bearer ' + os.environ['REMIT_TOKEN_URL_AUTH']})
print('token', json.load(urllib.request.urlopen(url))['access_token'])
`;

/** Reads a payment until it is told to end; prints each answer that is not 200, and counts the others. */
const POLLING_AGENT = `
import os, sys, time, urllib.error, urllib.request
base = os.environ['REMIT_FORWARD_PAYMENTS']
end, good, denied = time.time() + 120, 0, 0
print('task', os.environ['REMIT_TASK_ID'], flush=True)
while time.time() < end and not os.path.exists(sys.argv[1]):
    try:
        urllib.request.urlopen(base + '/v1/payments/p-1').read()
        good += 1
    except urllib.error.HTTPError as error:
        denied += 1
        print('denied', error.code, error.read().decode(), flush=True)
    if good == 5: print('five', flush=True)
    time.sleep(0.02)
print('good', good > 10, 'denied', denied, flush=True)
`;

const CURL = `
curl -sS -w ' %{http_code} %{http_version}\n' "$REMIT_FORWARD_PAYMENTS/v1/payments/p-1"
curl -sS -w ' %{http_code} %{http_version}\n' --http2 "$REMIT_FORWARD_PAYMENTS/v1/payments/p-1"
curl -sS -w ' %{http_code} %{http_version}\n' --http2-prior-knowledge "$REMIT_FORWARD_PAYMENTS/v1/payments/p-1"
curl -sS -w ' %{http_code} %{http_version}\n' --unix-socket "$REMIT_FORWARD_PAYMENTS_SOCKET" http://localhost/v1/payments/p-1
curl -sS -o /dev/null -w '%{http_code} HEAD\n' --head "$REMIT_FORWARD_PAYMENTS/v1/payments/p-1"
curl -sS -o /dev/null -w '%{http_code} without the secret\n' "$(echo "$REMIT_FORWARD_PAYMENTS" | cut -d/ -f1-3)/v1/payments/p-1"
`;

describeWith(envoyPart(), 'remit run --forward through Envoy', (envoy) => {
  const scratch = testFolder(() => domain?.stop());
  let domain: DevDomain;
  beforeAll(async () => {
    domain = await startDomain(envoy, {
      folder: scratch.folder,
      settings: { issuer: { operators: ['spiffe://acme.test/ns/agents/sa/reporter'] } },
    });
    await writeFile(
      join(scratch.folder, 'intent.yaml'),
      'purpose: look at a payment\naccess:\n  - resource: https://payments.acme.test\n    actions: [payments.read]\n',
    );
  });

  const at = (name: string): string => join(scratch.folder, name);
  /** Starts a command with a forwarder for payments. */
  const forwarded = (
    command: readonly string[],
    environment: Record<string, string> = {},
    more: readonly string[] = [],
  ): Running => {
    const { envoyPort, issuerPort } = domain.stage;
    const issuer = ['--issuer', `https://localhost:${issuerPort}`, '--bundle', at('bundle.pem')];
    const svid = ['--svid-cert', at('planner.pem'), '--svid-key', at('planner.key')];
    const forward = ['--forward', `payments=https://payments.acme.test,connect=127.0.0.1:${envoyPort}`];
    return remit(
      ['run', '--intent', at('intent.yaml'), ...issuer, ...svid, ...forward, ...more, '--', ...command],
      environment,
    );
  };

  it('carries the calls of an agent that knows nothing of tokens and certificates, past its proxy', async () => {
    const proxy = 'http://127.0.0.1:1';
    const running = forwarded(['python3', '-c', STOCK_AGENT], { HTTP_PROXY: proxy, http_proxy: proxy });
    const code = await running.exit;
    expect(running.out() + running.err()).toMatch(/^read 200 p-1$/m);
    expect(running.out()).toMatch(/^create 403 action\.outside-intent$/m);
    expect(running.out()).toMatch(/^files \['payments'\] 0o600 0o700$/m);
    expect(code).toBe(0);
  });

  // Issue 39, point 1.
  it('with --dpop carries calls that are signed, and the token is of no use to anybody else', async () => {
    const running = forwarded(['python3', '-c', STOCK_AGENT + TOKEN], {}, ['--dpop']);
    const code = await running.exit;
    expect(running.out() + running.err()).toMatch(/^read 200 p-1$/m);
    expect([code, running.out().match(/^create .*/m)?.[0]]).toEqual([0, 'create 403 action.outside-intent']);
    const [, token = ''] = /^token (\S+)$/m.exec(running.out()) ?? [];
    // The same workload, with its own certificate, but without the key of the run.
    const answers = ['Bearer', 'DPoP'].map((scheme) =>
      domain.stage.planner.call(domain.stage.envoyPort, {
        host: 'payments.acme.test',
        path: '/v1/payments/p-1',
        headers: { authorization: `${scheme} ${token}` },
      }),
    );
    for (const { body, status } of await Promise.all(answers))
      expect([status, JSON.parse(body).reason]).toEqual([401, 'token.proof']);
  });

  it('answers curl over HTTP/1.1, with an offer of h2c, over HTTP/2, and at the socket', async () => {
    const running = forwarded(['sh', '-c', CURL]);
    await running.exit;
    const ends = running.out().match(/\d{3} (?:[\d.]+|HEAD|without the secret)$/gm);
    // The catalog has no HEAD.
    expect(ends).toEqual(['200 1.1', '200 1.1', '200 2', '200 1.1', '403 HEAD', '404 without the secret']);
  });

  it('hides a rotation of the SVID, and a suspension that ends, from the agent', async () => {
    const stop = at('stop');
    const running = forwarded(['python3', '-c', POLLING_AGENT, stop]);
    await running.said('five');
    const next = await writeCredential(scratch.folder, 'next', await domain.authority.svid('/ns/agents/sa/planner'));
    await rename(next.key, at('planner.key'));
    await rename(next.certificate, at('planner.pem'));
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    expect(running.out()).not.toContain('denied');
    const [, task = ''] = /task (\S+)/.exec(running.out()) ?? [];
    const { issuerHost, issuerPort, reporter } = domain.stage;
    for (const change of ['suspend', 'resume']) {
      const path = `/tasks/${task}/${change}`;
      const { status } = await reporter.call(issuerPort, { host: issuerHost, method: 'POST', path });
      expect([change, status]).toEqual([change, 200]);
    }
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await writeFile(stop, '');
    expect(await running.exit).toBe(0);
    // A call may have met the suspension; none meets a token that the resume has made invalid.
    const denials = running.out().match(/^denied .*$/gm) ?? [];
    expect(denials.filter((line) => !line.includes('task.suspended'))).toEqual([]);
    expect(running.out()).toMatch(/^good True/m);
  });
});
