import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { DevDomain } from '../../src/dev/domain.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { scratchFolder, startDomain } from './domain.ts';
import { ran } from './process.ts';

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

describeWith(envoyPart(), 'remit run --forward through Envoy', (envoy) => {
  let scratch: Awaited<ReturnType<typeof scratchFolder>>;
  let domain: DevDomain;
  beforeAll(async () => {
    scratch = await scratchFolder('remit-forward-');
    domain = await startDomain(envoy, { folder: scratch.folder });
    await writeFile(
      join(scratch.folder, 'intent.yaml'),
      'purpose: look at a payment\naccess:\n  - resource: https://payments.acme.test\n    actions: [payments.read]\n',
    );
  });
  afterAll(async () => {
    await domain?.stop();
    await scratch?.remove();
  });

  const at = (name: string): string => join(scratch.folder, name);
  /** Runs a command with a forwarder for payments. */
  const forwarded = (command: readonly string[], environment: Record<string, string> = {}) => {
    const { envoyPort, issuerPort } = domain.stage;
    const issuer = ['--issuer', `https://localhost:${issuerPort}`, '--bundle', at('bundle.pem')];
    const svid = ['--svid-cert', at('planner.pem'), '--svid-key', at('planner.key')];
    const forward = ['--forward', `payments=https://payments.acme.test,connect=127.0.0.1:${envoyPort}`];
    return ran(['run', '--intent', at('intent.yaml'), ...issuer, ...svid, ...forward, '--', ...command], environment);
  };

  it('carries the calls of an agent that knows nothing of tokens and certificates, past its proxy', async () => {
    const proxy = 'http://127.0.0.1:1';
    const { code, out, err } = await forwarded(['python3', '-c', STOCK_AGENT], {
      HTTP_PROXY: proxy,
      http_proxy: proxy,
    });
    expect(out + err).toMatch(/^read 200 p-1$/m);
    expect(out).toMatch(/^create 403 action\.outside-intent$/m);
    expect(out).toMatch(/^files \['payments'\] 0o600 0o700$/m);
    expect(code).toBe(0);
  });
});
