import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import type { DevDomain } from '../../src/dev/domain.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { testFolder } from '../builders/test-folders.ts';
import { callPayments, startDomain } from './domain.ts';
import { ran } from './process.ts';

/** An agent that knows nothing about Remit except where its token is. */
const AGENT = `
import http from 'node:http'; import https from 'node:https'; import fs from 'node:fs';
const get = (lib, options) => new Promise((done, fail) => lib.get(options, (r) => {
  let body = ''; r.on('data', (c) => (body += c)); r.on('end', () => done({ status: r.statusCode, body }));
}).on('error', fail));
const folder = process.argv[2], port = process.argv[3];
const answer = await get(http, Object.assign(new URL(process.env.REMIT_TOKEN_URL), {
  headers: { authorization: 'Bearer ' + process.env.REMIT_TOKEN_URL_AUTH } }));
const token = JSON.parse(answer.body).access_token;
fs.writeFileSync(folder + '/seen-token', token, { mode: 0o600 });
const read = (name) => fs.readFileSync(folder + '/' + name);
const call = await get(https, { host: '127.0.0.1', port, servername: 'payments.acme.test', path: '/v1/payments/p-1',
  ca: read('bundle.pem'), cert: read('planner.pem'), key: read('planner.key'),
  headers: { host: 'payments.acme.test', authorization: 'Bearer ' + token } });
console.log('task', process.env.REMIT_TASK_ID, 'status', call.status, 'secret', process.env.OPENAI_API_KEY ?? 'gone');
process.exit(Number(process.argv[4]));
`;

/** An agent that reads a payment, pays three times, and reads again; prints the status of each call. */
const PAYER = `
import http from 'node:http'; import https from 'node:https'; import fs from 'node:fs';
const [, , folder, port] = process.argv;
const read = (name) => fs.readFileSync(folder + '/' + name);
const sent = (lib, options, body) => new Promise((done, fail) => lib.request(options, (r) => {
  let text = ''; r.on('data', (c) => (text += c)); r.on('end', () => done({ status: r.statusCode, text }));
}).on('error', fail).end(body));
const { text } = await sent(http, Object.assign(new URL(process.env.REMIT_TOKEN_URL), {
  headers: { authorization: 'Bearer ' + process.env.REMIT_TOKEN_URL_AUTH } }));
const call = async (method, path, body) => {
  const { status } = await sent(https, { host: '127.0.0.1', port, servername: 'payments.acme.test', method, path,
    ca: read('bundle.pem'), cert: read('planner.pem'), key: read('planner.key'),
    headers: { host: 'payments.acme.test', authorization: 'Bearer ' + JSON.parse(text).access_token,
      ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(body.length) }) } }, body);
  return status;
};
const pay = (amount) => call('POST', '/v1/payments', JSON.stringify({ amount, currency: 'EUR' }));
const look = () => call('GET', '/v1/payments/p-1');
console.log('statuses', await look(), await pay(300), await pay(200), await pay(1), await look());
`;

describeWith(envoyPart(), 'remit run through Envoy', (envoy) => {
  const scratch = testFolder(() => domain?.stop());
  let domain: DevDomain;
  beforeAll(async () => {
    domain = await startDomain(envoy, { folder: scratch.folder });
    await writeFile(join(scratch.folder, 'agent.mjs'), AGENT);
    await writeFile(
      join(scratch.folder, 'intent.yaml'),
      'purpose: look at a payment\naccess:\n  - resource: https://payments.acme.test\n    actions: [payments.read]\n',
    );
  });

  it.each([
    [0, 'task.completed'],
    [3, 'task.cancelled'],
  ])('runs an agent that exits with %i under a task that ends as %s', async (code, reason) => {
    const { folder } = scratch;
    const { envoyPort, issuerPort, planner } = domain.stage;
    const flags = ['--svid-cert', 'planner.pem', '--svid-key', 'planner.key', '--bundle', 'bundle.pem'];
    const files = flags.map((word) => (word.startsWith('--') ? word : join(folder, word)));
    const agent = [process.execPath, join(folder, 'agent.mjs'), folder, String(envoyPort), String(code)];
    const { code: seen, out } = await ran(
      [
        'run',
        '--intent',
        join(folder, 'intent.yaml'),
        '--issuer',
        `https://localhost:${issuerPort}`,
        ...files,
        '--',
        ...agent,
      ],
      { OPENAI_API_KEY: 'sk-inherited' },
    );
    expect(out).toMatch(/^task [0-9a-f-]{36} status 200 secret gone$/m);
    expect(seen).toBe(code);
    const token = await readFile(join(folder, 'seen-token'), 'utf8');
    expect(await callPayments(planner, domain, { token })).toEqual([403, reason]);
  });

  it('bounds what the first example of the guide pays, and lets it read', async () => {
    const { folder } = scratch;
    const { envoyPort, issuerPort } = domain.stage;
    const page = await readFile(new URL('../../deploy/guide/start/first-agent.md', import.meta.url), 'utf8');
    const [, intent = ''] = /```yaml\n# report\.yaml\n([^`]*)```/.exec(page) ?? [];
    await writeFile(join(folder, 'report.yaml'), intent);
    await writeFile(join(folder, 'payer.mjs'), PAYER);
    const files = { '--svid-cert': 'planner.pem', '--svid-key': 'planner.key', '--bundle': 'bundle.pem' };
    const options = Object.entries(files).flatMap(([option, file]) => [option, join(folder, file)]);
    const declared = ['--intent', join(folder, 'report.yaml'), '--issuer', `https://localhost:${issuerPort}`];
    const [, report = '', ...issuer] = declared;
    const checked = await ran(['intent', 'check', report, ...issuer, ...options]);
    expect([checked.code, checked.out.split('\n')[0]]).toEqual([0, 'https://payments.acme.test: granted']);
    const agent = [process.execPath, join(folder, 'payer.mjs'), folder, String(envoyPort)];
    const { code, out, err } = await ran(['run', ...declared, ...options, '--', ...agent]);
    expect([out.trim(), code, err]).toEqual([
      'statuses 200 201 201 403 200',
      0,
      expect.stringContaining('is completed'),
    ]);
    const [, taskId = ''] = /task ([0-9a-f-]{36})/.exec(err) ?? [];
    const used = await ran(['intent', 'new', '--from-task', taskId, '--state', join(folder, 'state.db')]);
    expect([used.code, parse(used.out)]).toMatchObject([
      0,
      {
        purpose: 'settle payment p-1',
        access: [
          { actions: ['payments.read'], constraints: { max_calls: 6 } },
          {
            actions: ['payments.create'],
            constraints: { max_calls: 6, max_amount: { argument: 'amount', limit: 500 } },
          },
        ],
        expires_in: '1m',
      },
    ]);
    expect(used.out).toContain('# Denied once: payments.create: task.exhausted');
  });
});
