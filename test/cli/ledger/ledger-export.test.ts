import { createServer } from 'node:http';
import type { IncomingHttpHeaders, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { remitVersion } from '../../../src/core/config/version.ts';
import { ledgerExport } from '../../../src/cli/ledger/ledger-export.ts';
import { readLog } from '../../../src/core/ledger/log/log-reader.ts';
import { commandRun } from '../../builders/command-run.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { taskNumber } from '../../builders/task.ts';
import { diskLedger, ran, START_MS, type DiskLedger } from '../ledgers.ts';

const folder = testFolders();

let ledger: DiskLedger;
beforeAll(() => {
  ledger = diskLedger(folder(), 7);
});

const exported = (...args: readonly string[]) => ran(ledgerExport, '--ledger', ledger.folder, ...args);
const lines = (text: string): readonly string[] => text.split('\n').slice(0, -1);

const seqs = (text: string) => lines(text).map((line) => JSON.parse(line).seq);

describe('remit ledger export', () => {
  it('writes the leaves as stored, oldest first', async () => {
    const stored = readLog(ledger.folder, (log) => [...log.leaves()].map(({ bytes }) => Buffer.from(bytes).toString()));
    const { exit, out, err } = await exported();
    expect([exit, err, lines(out)]).toEqual([0, '', stored]);
    expect(lines(out)).toHaveLength(10);
  });

  it('accepts the filters of query, and a number to begin at', async () => {
    expect(seqs((await exported('--decision', 'deny')).out)).toEqual([5]);
    expect(seqs((await exported('--from', '8')).out)).toEqual([8, 9, 10]);
    expect(seqs((await exported('--since', '2026-01-01T00:00:07Z')).out)).toEqual([9, 10]);
  });

  it('writes the notes in the form of the checkpoint file', async () => {
    expect((await exported('--format', 'notes')).out).toBe(readFileSync(ledger.anchors, 'utf8'));
  });

  it('writes OTLP log records with the attribute names of spans, ids in their fields, and WARN for a denial', async () => {
    const { out } = await exported('--format', 'otlp', '--from', '4');
    const [request, ...others] = lines(out).map((line) => JSON.parse(line));
    expect(others).toEqual([]);
    const { resource, scopeLogs } = request.resourceLogs[0];
    expect(resource.attributes).toEqual([
      { key: 'service.name', value: { stringValue: 'remit' } },
      { key: 'service.version', value: { stringValue: remitVersion() } },
      { key: 'remit.ledger.origin', value: { stringValue: ledger.key.split('+')[0] } },
    ]);
    const [checkpoint, denial] = scopeLogs[0].logRecords;
    expect(checkpoint).toMatchObject({ severityText: 'INFO', eventName: 'remit.ledger.checkpoint' });
    expect(denial).toEqual({
      timeUnixNano: `${START_MS + 4_000}000000`,
      observedTimeUnixNano: `${START_MS + 4_000}000000`,
      severityNumber: 13,
      severityText: 'WARN',
      eventName: 'remit.ledger.use',
      body: { stringValue: lines((await exported('--from', '5')).out)[0] },
      attributes: [
        { key: 'remit.record.seq', value: { intValue: '5' } },
        { key: 'remit.record.kind', value: { stringValue: 'use' } },
        { key: 'remit.task.id', value: { stringValue: taskNumber(4).id } },
        { key: 'remit.agent', value: { stringValue: taskNumber(4).agent } },
        { key: 'remit.action', value: { stringValue: 'payments.read' } },
        { key: 'remit.decision', value: { stringValue: 'deny' } },
        { key: 'remit.reason', value: { stringValue: 'policy.forbidden' } },
        { key: 'remit.decision.id', value: { stringValue: 'use-4' } },
        { key: 'remit.credential', value: { stringValue: 'task-token' } },
        { key: 'remit.token.use', value: { intValue: '1' } },
        { key: 'remit.token.reuse', value: { arrayValue: { values: [{ stringValue: 'first' }] } } },
        { key: 'http.request.method', value: { stringValue: 'GET' } },
        { key: 'server.address', value: { stringValue: 'payments.acme.test' } },
        { key: 'url.path', value: { stringValue: '/v1/payments' } },
      ],
      traceId: 'a'.repeat(32),
      spanId: 'b'.repeat(16),
    });
  });

  it('writes a private file, and does not overwrite it', async () => {
    const file = join(folder(), 'out.jsonl');
    expect(await exported('--out', file)).toEqual({ exit: 0, out: '', err: '' });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(lines(readFileSync(file, 'utf8'))).toHaveLength(10);
    expect(await exported('--out', file)).toMatchObject({
      exit: 2,
      err: `remit ledger export: \`${file}\` cannot be written: EEXIST\n`,
    });
  });

  it('ends without an error if the reader closed the pipe', async () => {
    let written = 0;
    const stdout = { writable: true, writableLength: 0, write: () => (stdout.writable = ++written < 3) };
    const io = { err: () => undefined, environment: {}, stdout };
    expect([await ledgerExport(['--ledger', ledger.folder], io), written]).toEqual([0, 3]);
  });

  it.each([
    [['--format', 'xml'], '--format must be one of jsonl, otlp, notes'],
    [['--to', 'ftp://x'], '--to must be an http or https URL without user and password'],
    [['--to', 'http://u:p@127.0.0.1'], '--to must be an http or https URL without user and password'],
    [
      ['--to', 'http://127.0.0.1', '--format', 'jsonl'],
      '--to posts OTLP log records: it takes neither --out nor another --format',
    ],
    [['--format', 'notes', '--since', '-1d'], '--format notes exports all checkpoints: it takes no --since'],
    [['--format', 'notes', '--from', '3'], '--format notes exports all checkpoints: it takes no --from'],
    [['--from', '0'], '--from must be the number of a record'],
  ])('refuses %j', async (args, problem) => {
    expect(await exported(...args)).toEqual({ exit: 2, out: '', err: `remit ledger export: ${problem}\n` });
  });
});

describe('remit ledger export --to', () => {
  let server: Server;
  let answers: { status: number; body?: string; headers?: Record<string, string> }[];
  let received: { path: string; headers: IncomingHttpHeaders; records: number }[];
  beforeEach(async () => {
    answers = [];
    received = [];
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { resourceLogs } = JSON.parse(Buffer.concat(chunks).toString());
        const records = resourceLogs[0].scopeLogs[0].logRecords.length as number;
        received.push({ path: request.url ?? '', headers: request.headers, records });
        const { status, body = '{}', headers = {} } = answers.shift() ?? { status: 200 };
        response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
      });
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  });
  const url = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  it('posts to /v1/logs, with the headers of the standard variable', async () => {
    const { code, err } = await commandRun(ledgerExport, ['--ledger', ledger.folder, '--to', url()], {
      environment: { OTEL_EXPORTER_OTLP_HEADERS: 'x-tenant=acme%20east,not a header' },
    });
    expect([code, err]).toEqual([0, ['remit ledger export: the collector accepted 10 records']]);
    expect(received).toMatchObject([
      { path: '/v1/logs', records: 10, headers: { 'content-type': 'application/json', 'x-tenant': 'acme east' } },
    ]);
  });

  it('retries a busy collector after its `retry-after`', async () => {
    answers = [
      { status: 503, headers: { 'retry-after': '0' } },
      { status: 429, headers: { 'retry-after': '0' } },
    ];
    expect(await exported('--to', url())).toMatchObject({ exit: 0 });
    expect(received.map(({ records }) => records)).toEqual([10, 10, 10]);
  });

  it.each<[string, { status: number; body?: string }, string]>([
    ['refuses', { status: 400 }, 'it answered 400'],
    ['is not a collector', { status: 404 }, 'it answered 404'],
    [
      'accepts only a part',
      { status: 200, body: '{"partialSuccess":{"rejectedLogRecords":"3"}}' },
      'it rejected 3 log records of a request',
    ],
  ])('exits with 1 and names the position to continue from for a collector that %s', async (_name, answer, detail) => {
    answers = [answer];
    expect(await exported('--to', `${url()}/v1/logs`, '--from', '3')).toEqual({
      exit: 1,
      out: '',
      err: `remit ledger export: the collector \`${url()}\` rejected the records: ${detail}; it accepted 0 records; continue with --from 3\n`,
    });
    expect(received).toHaveLength(1);
  });
});
